"""What is chosen together: a network that two pipelines run has one variant, which both of their gates must pass."""

from concord.tuning.choice import groups
from concord_client import Part, Pipeline, Setting


def looping(name: str, unet: str, steps: int) -> Pipeline:
    parts = {
        "encoder": Part("encoder", "vae"),
        "unet": Part("unet", unet),
        "preview": Part("preview", "small", "PREVIEW"),
    }
    settings = {"STEPS": Setting("STEPS", "TYPE_INT32", default=steps)}
    return Pipeline(name, "harmonize", name, parts=parts, settings=settings)


def test_pipelines_that_share_a_network_are_one_choice() -> None:
    alone = Pipeline("alone", "harmonize", "alone", members=("decode", "quick"))
    known = dict.fromkeys(("vae", "one", "two", "quick", "small"))
    single, both = groups([looping("first", "one", 5), alone, looping("second", "two", 3)], known)
    assert (single.name, single.networks, single.runs("quick")) == ("alone", ("quick",), 1)
    assert both.name == "first + second" and set(both.networks) == {"vae", "one", "two"}
    assert {name: both.runs(name) for name in both.networks} == {"vae": 2, "one": 5, "two": 3}
