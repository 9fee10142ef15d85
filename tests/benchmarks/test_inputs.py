"""Every pipeline is sent what it can take."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from benchmarks.load.inputs import inputs_of
from benchmarks.load.kserve import Pipeline
from concord.errors import InvalidSetting
from concord_client.repository import Tensor

PHOTOGRAPH = tuple(Tensor(name, "BYTES", (-1, 1)) for name in ("IMAGE", "MASK", "TEXT"))


def pipeline(*tensors: Tensor, optional: tuple[str, ...] = ()) -> Pipeline:
    return Pipeline("pipeline", tensors, frozenset(optional), streamed=False)


def test_a_photograph_has_the_size_that_was_asked_and_so_has_its_mask() -> None:
    image, mask, text = inputs_of(pipeline(*PHOTOGRAPH), 96, 64, {})
    assert {each.array.shape for each in (image, mask, text)} == {(1, 1)}
    assert {Image.open(BytesIO(each.array.item())).size for each in (image, mask)} == {(96, 64)}
    assert text.array.item().decode().startswith("the ")


def test_optional_inputs_are_left_out_but_for_one_of_mask_and_text() -> None:
    steps = Tensor("STEPS", "INT32", (-1, 1))
    diffusion = pipeline(*PHOTOGRAPH, steps, optional=("MASK", "TEXT", "STEPS"))
    assert [each.name for each in inputs_of(diffusion, 64, 64, {})] == ["IMAGE", "MASK"]
    request = {"inputs": [{"name": "TEXT"}, {"name": "STEPS", "data": [2]}]}
    assert [each.name for each in inputs_of(diffusion, 64, 64, request)] == ["IMAGE", "TEXT", "STEPS"]


def test_what_is_made_up_has_the_model_s_types_and_its_free_sizes_are_one() -> None:
    types = {"UINT8": np.uint8, "INT64": np.int64, "FP16": np.float16, "FP32": np.float32, "BOOL": np.bool_}
    made = inputs_of(pipeline(*(Tensor(name, name, (-1, 3, -1)) for name in types)), 64, 64, {})
    assert {each.name: each.array.dtype for each in made} == types
    assert {each.array.shape for each in made} == {(1, 3, 1)}
    again = inputs_of(pipeline(*(Tensor(name, name, (-1, 3, -1)) for name in types)), 64, 64, {})
    assert all((one.array == other.array).all() for one, other in zip(made, again, strict=True))


def test_a_request_in_a_file_says_shapes_and_values() -> None:
    image = Tensor("PIXELS", "UINT8", (-1, -1, -1, 3))
    [made] = inputs_of(pipeline(image), 64, 64, {"inputs": [{"name": "PIXELS", "shape": [1, 4, 5, 3]}]})
    assert made.array.shape == (1, 4, 5, 3) and made.array.std() > 0
    words = {"inputs": [{"name": "TEXT", "shape": [2, 1], "data": ["the ball", "the box"]}]}
    [given] = inputs_of(pipeline(PHOTOGRAPH[2]), 64, 64, words)
    assert given.array.tolist() == [[b"the ball"], [b"the box"]]


@pytest.mark.parametrize(
    "request_",
    [
        {"inputs": [{"name": "OTHER"}]},
        {"inputs": [{"name": "TEXT", "data": [1]}]},
        {"inputs": [{"name": "TEXT", "data": ["a", "b"]}]},
        {"inputs": [{"name": "TEXT", "datatype": "FLOAT"}]},
        {"inputs": ["TEXT"]},
        {"inputs": [{}]},
    ],
    ids=str,
)
def test_a_request_that_cannot_be_sent_is_refused(request_: dict) -> None:
    with pytest.raises(InvalidSetting, match=r"\[invalid_setting\] data: .*; allowed: "):
        inputs_of(pipeline(PHOTOGRAPH[2]), 64, 64, request_)
