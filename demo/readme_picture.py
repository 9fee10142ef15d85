"""``python -m demo.readme_picture``: draws ``docs/photograph.png`` through the real server.

The photograph is the first example's, which no demo network was trained on. The server gets the composite and the mask,
and never the photograph itself.
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
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, ConcordClientError
from demo.examples import COMPOSITES
from demo.pictures import decoded, side_by_side

PICTURE = Path(__file__).parents[1] / "docs" / "photograph.png"
SIZE = (432, 288)
"""Width and height of each of the four pictures in pixels."""
GAP = 8
COLOURS = 256


def main() -> int:
    shown = COMPOSITES[0]
    try:
        with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
            answer = client.harmonize(shown.encoded, mask=shown.encoded_mask)
    except (ConcordError, ConcordClientError) as error:
        print(f"readme_picture: {error}", file=sys.stderr)
        return 1
    harmonized = decoded(answer.image)
    PICTURE.write_bytes(row(shown.pixels, np.repeat(shown.mask[..., None], 3, axis=2), harmonized, shown.truth))
    before, after = (foreground_mse(picture, shown.truth, shown.mask) for picture in (shown.pixels, harmonized))
    print(f"fMSE {before:.0f} -> {after:.0f}; {PICTURE}: {PICTURE.stat().st_size // 1024} KiB")
    return 0


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
