"""``python -m demo.readme_picture``: draws ``docs/photograph.png`` through the real server.

The photograph is scikit-image's ``coffee``, which no demo network was trained on. The cup, saucer and spoon are given
the colours of daylight; the server gets that composite and the mask, and never the photograph itself.
"""

import sys
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord.errors import ConcordError
from concord.gates.metrics import foreground_mse
from concord.masks import encode_mask
from concord.png import encode_png
from concord.scenes.adjustments import Adjustment
from concord.scenes.photographs import read_photograph
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, ConcordClientError
from demo.pictures import decoded, side_by_side

PICTURE = Path(__file__).parents[1] / "docs" / "photograph.png"
PHOTOGRAPH = ("skimage.data", "coffee.png")
DAYLIGHT = (0.72, 0.98, 1.45)
"""Gains of red, green and blue."""
SIZE = (432, 288)
"""Width and height of each of the four pictures in pixels."""
GAP = 8
COLOURS = 256

# The cup's rim and handle and the saucer: centre, half axes and rotation in degrees. The cup's body is a polygon.
_ELLIPSES = (((290, 112), (119, 95), 0), ((228, 268), (33, 40), 20), ((279, 222), (203, 163), 10))
_BODY = (
    (172, 112), (174, 150), (186, 190), (205, 225), (225, 252), (245, 272), (270, 282),
    (300, 282), (325, 272), (350, 250), (375, 215), (395, 180), (407, 140), (408, 112),
)  # fmt: skip


def main() -> int:
    truth = read_photograph(*PHOTOGRAPH)
    mask = cup_and_saucer(truth.shape[:2])
    composite = in_daylight(truth, mask)
    try:
        with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
            answer = client.harmonize(encode_png(composite), mask=encode_mask(mask))
    except (ConcordError, ConcordClientError) as error:
        print(f"readme_picture: {error}", file=sys.stderr)
        return 1
    harmonized = decoded(answer.image)
    PICTURE.write_bytes(row(composite, np.repeat(mask[..., None], 3, axis=2), harmonized, truth))
    before, after = (foreground_mse(picture, truth, mask) for picture in (composite, harmonized))
    print(f"fMSE {before:.0f} -> {after:.0f}; {PICTURE}: {PICTURE.stat().st_size // 1024} KiB")
    return 0


def cup_and_saucer(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Mask [H, W] of 0 and 255: the cup and the saucer with everything on it."""
    mask = np.zeros(shape, np.uint8)
    for centre, axes, rotation in _ELLIPSES:
        cv2.ellipse(mask, centre, axes, rotation, 0, 360, (255,), -1)
    cv2.fillPoly(mask, [np.array(_BODY, np.int32)], (255,))
    return mask


def in_daylight(truth: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photograph [H, W, 3] with the masked part in bluer light."""
    tones = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    changed = Adjustment(curves=tones * np.array(DAYLIGHT, np.float32)).apply(truth)
    return np.where(mask[..., None] > 0, changed, truth)


def row(*pictures: NDArray[np.uint8]) -> bytes:
    """The pictures [H, W, 3] side by side, as PNG with a palette, which is a third of the size."""
    small = [cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA) for picture in pictures]
    stream = BytesIO()
    image = Image.fromarray(side_by_side(small, GAP))
    # Pillow dithers only onto a palette that is given.
    palette = image.quantize(COLOURS, Image.Quantize.MEDIANCUT)
    image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(stream, "PNG", optimize=True)
    return stream.getvalue()


if __name__ == "__main__":
    sys.exit(main())
