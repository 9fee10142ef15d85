"""How near a model comes to what was in a hole, beside an inpainting without a network."""

import cv2
import numpy as np

from concord.arrays import Pixels
from concord.gates.metrics import foreground_mse
from concord.gates.pictures import fixed
from concord.gates.tasks import Picture
from concord.masks import encode_mask
from concord.png import encode_png
from concord.scenes.holes import make_hole
from concord_client import Client, Inpaint, Pipeline
from demo.pictures import decoded

_RADIUS = 5  # pixels around one that Telea's method reads


def squared_errors(client: Client, pipeline: Pipeline, number: int, picture: Picture) -> list[float]:
    """Mean squared errors in the hole of that number: of the model, and of OpenCV's Telea (2004), in grey levels."""
    height, width = picture.mask.shape
    hole = make_hole(np.random.default_rng(number), (height, width))
    request = Inpaint(encode_png(picture.truth), encode_mask(hole))
    answers = (
        decoded(client.run(request, model=pipeline.model, settings=fixed(pipeline)).image),
        telea(picture.truth, hole),
    )
    return [foreground_mse(answer, picture.truth, hole) for answer in answers]


def telea(picture: Pixels, hole: Pixels) -> Pixels:
    """A picture uint8 [H, W, 3] whose hole [H, W] was filled by Telea's method, with no network."""
    return np.asarray(cv2.inpaint(picture, hole, _RADIUS, cv2.INPAINT_TELEA), np.uint8)
