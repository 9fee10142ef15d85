"""The networks have the published keys, and their rewritten parts compute what the published parts do."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from concord.repository.profiles import PROFILES
from export.network import Network, NotPublished
from export.networks import every, harmony_transformer
from export.networks.cris import convolve_each
from export.networks.harmony_transformer import ImageNorm
from tests.export import small

FILES = Path(__file__).parents[1] / "published"
BUILDS = {name: build for network in every() for name, build in network.published.items()}
SIZES = [pytest.param(name, build, id=name) for name, build in BUILDS.items()]


@pytest.mark.parametrize(("name", "build"), SIZES)
def test_every_key_and_shape_is_the_published_one(name: str, build: Callable[[], nn.Module]) -> None:
    lines = [line for line in (FILES / "keys" / f"{name}.txt").read_text().splitlines() if not line.startswith("#")]
    lines = [line for line in lines if not line.endswith(" v")]
    published = {line.split(" ")[0]: tuple(map(int, re.findall(r"\d+", line.split("(")[1]))) for line in lines}
    with torch.device("meta"):
        network = build()
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == published


@pytest.mark.parametrize("network", every(), ids=lambda network: network.name)
def test_a_network_has_published_answers_to_compare_with_or_says_why_not(network: Network) -> None:
    if isinstance(network.golden, NotPublished):
        assert network.golden.reason
    else:
        assert network.golden and set(network.golden) <= network.published.keys()
        assert all((FILES / "golden" / f"{name}.npz").is_file() for name in network.golden)


@pytest.mark.parametrize("network", every(), ids=lambda network: network.name)
def test_a_network_declares_what_its_profiles_need(network: Network) -> None:
    profiles = set(network.serving.profiles)
    assert profiles <= PROFILES.keys()
    assert ("int8" in profiles) == (network.quantization is not None)
    assert ("int8" not in profiles and "fp16" not in profiles) or network.seen is not None
    assert "fp16" not in profiles or network.islands


def test_each_sample_is_convolved_with_its_own_kernel() -> None:
    x, kernel = torch.randn(3, 5, 9, 11), torch.randn(3, 5, 9)
    expected = F.conv2d(x.reshape(1, 15, 9, 11), kernel.reshape(3, 5, 3, 3), padding=1, groups=3).transpose(0, 1)
    torch.testing.assert_close(convolve_each(x, kernel), expected, atol=1e-5, rtol=1e-5)


def test_the_image_norm_uses_the_unbiased_deviation_of_the_whole_map() -> None:
    x = torch.randn(2, 3, 8, 8) * 4 + 1
    mean, std = x.mean((1, 2, 3), keepdim=True), x.flatten(1).std(1)[:, None, None, None]
    torch.testing.assert_close(ImageNorm(3)(x), (x - mean) / (std + 1e-5))


@pytest.mark.parametrize("form", small.FORMS)
@pytest.mark.parametrize("value", [0.0, 1.0], ids=["nothing", "everything"])
def test_a_harmonizer_answers_numbers_for_an_empty_and_for_a_full_mask(
    form: harmony_transformer.Form, value: float
) -> None:
    with torch.no_grad():
        answer = small.harmonizer(form)(torch.rand(2, 3, 256, 256), torch.full((2, 1, 256, 256), value))
    images = answer if isinstance(answer, tuple) else (answer,)
    assert all(image.shape == (2, 3, 256, 256) and image.isfinite().all() for image in images)


@pytest.mark.parametrize("form", ["dht_plus", "dht_v1"])
def test_a_full_mask_in_a_batch_leaves_its_neighbour_as_it_is_alone(form: harmony_transformer.Form) -> None:
    network = small.harmonizer(form)
    composite, mask = torch.rand(2, 3, 256, 256), torch.ones(2, 1, 256, 256)
    mask[0] = 0
    mask[0, :, 64:128, 64:128] = 1
    with torch.no_grad():
        together, alone = network(composite, mask)[0], network(composite[:1], mask[:1])[0]
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=0)


def test_padding_tokens_do_not_change_the_mask() -> None:
    """Words behind the end token are padding: their attention is hidden, so a longer context says the same."""
    network = small.cris()
    tokens = torch.zeros(1, 17, dtype=torch.int64)
    tokens[0, :4] = torch.tensor([49406, 320, 736, 49407])
    image = torch.randn(1, 3, 416, 416)
    with torch.no_grad():
        expected = network(image, tokens)
        network.backbone.token_embedding.weight[0] += 10
        torch.testing.assert_close(network(image, tokens), expected, atol=1e-5, rtol=1e-5)
