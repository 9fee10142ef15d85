"""A real Triton with a model of every task that the page has a mode for, on small networks; harmonizing is left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from tests.serving.enlarging_networks import ldm_sr_decoder, ldm_sr_unet
from tests.serving.generating_networks import link_generating
from tests.serving.inpainting_networks import diffir

NETWORKS = {"diffir": diffir, "ldm_sr_unet": ldm_sr_unet, "ldm_sr_decoder": ldm_sr_decoder}
PIPELINES = ("select_grabcut", "inpaint_diffir", "ldm_sr", "ldm_sr_once")
COLOURS = {"EDITED": (200, 30, 40), "CANDIDATES": (30, 160, 60)}
"""Of the part, in the answer and in the other candidate of the model that edits."""

_EDITING = """import numpy as np
import triton_python_backend_utils as pb_utils

from concord.images import decode_image
from concord.limits import Limits
from concord.masks import decode_mask
from concord.png import encode_png

COLOURS = {colours}


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        image, mask = (pb_utils.get_input_tensor_by_name(request, name).as_numpy().item() for name in ("IMAGE", "MASK"))
        pixels = decode_image(image, Limits()).pixels
        inside = decode_mask(mask, *pixels.shape[:2], Limits()) > 0
        tensors = []
        for name, colour in COLOURS.items():
            edited = pixels.copy()
            edited[inside, :3] = colour
            tensors.append(pb_utils.Tensor(name, np.array([[encode_png(edited)]], object)))
        return pb_utils.InferenceResponse(tensors)
"""
_EDITING_CONFIG = """name: "paint"
backend: "python"
max_batch_size: 1
input [
  { name: "IMAGE" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "MASK" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "TEXT" data_type: TYPE_STRING dims: [ 1 ] }
]
output [
  { name: "EDITED" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "CANDIDATES" data_type: TYPE_STRING dims: [ -1 ] }
]
instance_group [ { count: 1 kind: KIND_CPU } ]
parameters { key: "task" value { string_value: "edit" } }
parameters { key: "model" value { string_value: "painter" } }
parameters { key: "about" value { string_value: "paints the part in one colour" } }
"""


@contextmanager
def every_mode(repository: Path) -> Iterator[EmbeddedServer]:
    """Serves for as long as the block runs."""
    networks, pipelines = MODEL_REPOSITORIES
    for name, network in NETWORKS.items():
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").symlink_to(networks / name / "config.pbtxt")
        onnx.save(network(), repository / name / "1" / "model.onnx")
    for name in PIPELINES:
        (repository / name).symlink_to(pipelines / name)
    link_generating(repository)
    (repository / "paint" / "1").mkdir(parents=True)
    (repository / "paint" / "config.pbtxt").write_text(_EDITING_CONFIG)
    (repository / "paint" / "1" / "model.py").write_text(_EDITING.replace("{colours}", repr(COLOURS)))
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running
