"""Inputs of a pipeline: the generated scene, generated tensors, or those of a request in a file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import triton_to_np_dtype  # type: ignore[import-untyped]

from benchmarks.load.kserve import Input, Pipeline
from concord.errors import InvalidSetting
from concord.scenes.encoded import scene, scene_jpeg, scene_mask
from concord_client.repository import Tensor

SIZE = (512, 512)
Request = Mapping[str, Any]
"""KServe's JSON of an inference request: {"inputs": [{"name", "shape", "datatype", "data"}, ...]}."""


def inputs_of(pipeline: Pipeline, width: int, height: int, request: Request) -> list[Input]:
    """The tensors of one request, for a photograph of `width` x `height` pixels.

    A BYTES input named IMAGE, MASK or TEXT gets the scene's photograph, mask or expression. Other inputs are generated:
    fractions between 0 and 1, UINT8 between 0 and 255, other whole numbers 0, which is a valid index everywhere.

    The request's inputs are sent as they are. Each may have a shape (without it free sizes are 1) and data (without it
    they are generated). Optional inputs that it does not name are left out, except a MASK that TEXT could replace.

    Raises:
        InvalidSetting: the request names an input that the pipeline does not have, or its data is not valid.
    """
    given = _entries(request, pipeline)
    names = {tensor.name for tensor in pipeline.inputs} - pipeline.optional
    if {"MASK", "TEXT"} <= pipeline.optional and not {"MASK", "TEXT"} & given.keys():
        names |= {"MASK"}
    return [
        _input(tensor, given.get(tensor.name, {}), width, height)
        for tensor in pipeline.inputs
        if tensor.name in names | given.keys()
    ]


def _entries(request: Request, pipeline: Pipeline) -> dict[str, Mapping[str, Any]]:
    try:
        given = {entry["name"]: entry for entry in request.get("inputs", ())}
    except (AttributeError, TypeError, KeyError):
        raise InvalidSetting("data", "is no inference request", '{"inputs": [{"name": ...}, ...]}') from None
    names = [tensor.name for tensor in pipeline.inputs]
    for name in given:
        if name not in names:
            raise InvalidSetting("data", f"{pipeline.name} has no input {name!r}", ", ".join(names))
    return given


def _input(tensor: Tensor, given: Mapping[str, Any], width: int, height: int) -> Input:
    datatype = given.get("datatype", tensor.datatype)
    if triton_to_np_dtype(datatype) is None:
        raise InvalidSetting("data", f"{tensor.name} is {datatype!r}", "a datatype of KServe, such as FP32 or BYTES")
    shape = tuple(given.get("shape", (max(size, 1) for size in tensor.shape)))
    if "data" not in given:
        return Input(tensor.name, datatype, _made(tensor.name, datatype, shape, width, height))
    try:
        flat = np.ravel(np.array(given["data"], object))
        if datatype == "BYTES":
            flat = np.array([each.encode() for each in flat], object)
        return Input(tensor.name, datatype, flat.astype(triton_to_np_dtype(datatype)).reshape(shape))
    except (AttributeError, TypeError, ValueError) as error:
        allowed = f"{datatype} {list(shape)}"
        raise InvalidSetting("data", f"{tensor.name} cannot be read ({error})", allowed) from None


def _made(name: str, datatype: str, shape: tuple[int, ...], width: int, height: int) -> NDArray[Any]:
    dtype = triton_to_np_dtype(datatype)
    chance = np.random.default_rng(0)
    match datatype, name:
        case "BYTES", "IMAGE":
            return np.full(shape, scene_jpeg(height, width), object)
        case "BYTES", "MASK":
            return np.full(shape, scene_mask(height, width), object)
        case "BYTES", "TEXT":
            return np.full(shape, scene().expression.encode(), object)
        case "BYTES", _:
            return np.full(shape, b"concord", object)
        case "UINT8", _:
            return chance.integers(0, 256, shape, np.uint8)
        case (("FP16" | "BF16" | "FP32" | "FP64"), _):
            return chance.random(shape).astype(dtype)
    return np.zeros(shape, dtype)
