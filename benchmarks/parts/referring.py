"""A diffusion that finds by a text what it harmonizes, against the one that is given a mask: published sizes."""

from dataclasses import dataclass
from functools import partial

from benchmarks.floors import published
from benchmarks.floors.published import SIZE
from benchmarks.subjects import DIFFUSION, REFERRING, diffusion_networks, referring
from concord.instruments.markdown import times
from concord.instruments.stages import read_statistics, stage_milliseconds
from concord.instruments.timing import in_turns, percentiles
from concord.scenes.encoded import scene, scene_jpeg, scene_mask
from concord_client import Client, Harmonize
from concord_client.settings import SettingValue


@dataclass(frozen=True)
class Numbers:
    """Percentiles of a request of each, and the median of their ratios; milliseconds of the networks that one has more.

    Both decode the whole square, by the same sampler.
    """

    milliseconds: dict[str, dict[str, float]]
    over: float
    text_encoder_ms: float


def measure(rounds: int = 5) -> Numbers:
    prompts = referring().parts["text_encoder"].model
    names = {*diffusion_networks(), *(part.model for part in referring().parts.values())}
    image = scene_jpeg(512, 512)
    settings: dict[str, SettingValue] = {"seed": 0, "resolution": SIZE, "sampler": "dpmpp_2m", "window": False}
    requests = {
        DIFFUSION: Harmonize(image, mask=scene_mask(512, 512)),
        REFERRING: Harmonize(image, text=scene().expression),
    }
    with (
        published.serving(published.referring(), published.diffusion(), only=names) as server,
        Client(server.grpc_url, timeout=None) as client,
    ):
        before = read_statistics(server.grpc_url)
        calls = {
            model: partial(client.run, request, model=model, settings=settings) for model, request in requests.items()
        }
        spent = in_turns(calls, rounds)
        stages = stage_milliseconds(before, read_statistics(server.grpc_url))
    milliseconds = {name: percentiles(each) for name, each in spent.items()}
    return Numbers(
        milliseconds,
        over=milliseconds[REFERRING]["p50"] / milliseconds[DIFFUSION]["p50"],
        text_encoder_ms=stages[prompts],
    )


def section(numbers: Numbers) -> str:
    return (
        f"## Diffusion that finds what it harmonizes (`{REFERRING}`), published sizes, {SIZE} pixels\n\n"
        f"{times(numbers.milliseconds)}\n\nIt takes {numbers.over:.3f} times as long as `{DIFFUSION}`, "
        f"{numbers.text_encoder_ms:.0f} ms of it for the text encoder."
    )
