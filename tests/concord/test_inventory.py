"""Which models of Triton stand behind the names that people use."""

import pytest

from concord.server.inventory import Inventory

RUNS = {
    "find": {"decode", "finder"},
    "harmonize_a": {"decode", "a", "compose"},
    "find_harmonize_a": {"decode", "finder", "a", "compose"},
    "diffuse": {"unet", "vae", "find"},
    "diffuse_twice": {"unet_two", "vae"},
    **dict.fromkeys(("decode", "finder", "a", "compose", "unet", "unet_two", "vae"), ()),
}
PIPELINES = {
    "finder": {"find"},
    "a": {"harmonize_a", "find_harmonize_a"},
    "diffuse": {"diffuse"},
    "twice": {"diffuse_twice"},
}
NETWORKS = {"finder", "a", "unet", "unet_two", "vae"}
INVENTORY = Inventory(*({name: frozenset(each) for name, each in found.items()} for found in (RUNS, PIPELINES)))


def test_behind_a_model_are_its_pipelines_and_all_that_they_run():
    assert INVENTORY.behind(["finder"]) == {"find", "decode", "finder"}
    assert INVENTORY.behind(["diffuse"]) == {"diffuse", "unet", "vae", "find", "decode", "finder"}
    assert INVENTORY.behind(["nothing"]) == frozenset()


@pytest.mark.parametrize(
    ("model", "networks"),
    [("finder", {"finder"}), ("a", {"a"}), ("diffuse", {"unet", "vae"}), ("twice", {"unet_two", "vae"})],
)
def test_a_models_own_networks_are_not_those_of_the_models_it_is_built_on(model, networks):
    assert INVENTORY.own(model, NETWORKS) == networks


def test_everything_comes_behind_what_it_runs():
    order = INVENTORY.in_order(INVENTORY.behind(["diffuse"]))
    assert all(order.index(below) < order.index(name) for name in order for below in RUNS[name])


def test_a_model_is_public_by_any_of_its_pipelines():
    assert INVENTORY.public({"harmonize_a", "decode", "finder"}) == {"a"}
