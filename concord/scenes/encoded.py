"""A held-out scene as encoded files of any size: the composite, and the mask of its changed object."""

from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from concord.masks import encode_mask
from concord.scenes.scene import Scene, make_scene

SEED = 1_000_001
SIZE = (384, 512)  # height and width it is drawn at


def scene() -> Scene:
    return make_scene(SEED, SIZE)


def scene_jpeg(height: int, width: int) -> bytes:
    """The composite with grain, so that it compresses like a photograph."""
    picture = cv2.resize(scene().composite, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 4, (height, width, 1))
    stream = BytesIO()
    Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def scene_mask(height: int, width: int) -> bytes:
    """The mask of `scene_jpeg`, as PNG."""
    mask = cv2.resize(scene().mask, (width, height), interpolation=cv2.INTER_NEAREST)
    return encode_mask(np.asarray(mask, np.uint8))
