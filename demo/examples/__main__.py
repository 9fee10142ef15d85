"""``python -m demo.examples``: makes the example photographs again, from pictures inside installed packages.

Writes composites and masks to ``facade/page/examples``, and the photographs as they were to ``demo/examples``.
"""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from concord.arrays import Pixels
from concord.masks import encode_mask
from concord.scenes.adjustments import Adjustment, saturation_matrix
from concord.scenes.photographs import read_photograph
from concord.scenes.scene import make_scene
from demo.examples import truth_path
from demo.examples.outlines import OUTLINES
from demo.pictures import decoded
from facade.page.examples import EXAMPLES

SCENE_SIZE = (480, 720)
"""Height and width in pixels of the generated ones."""

_SKIMAGE, _SKLEARN = "skimage.data", "sklearn.datasets.images"
_QUALITY = 84


@dataclass(frozen=True)
class Light:
    """Other light on the object: gains of red, green and blue, then a gamma, then a share of the saturation."""

    gains: tuple[float, float, float]
    gamma: float = 1.0
    saturation: float = 1.0

    def adjustment(self) -> Adjustment:
        tones = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
        curves = np.clip(tones**self.gamma * np.array(self.gains, np.float32), 0, 1)
        return Adjustment(curves=curves.astype(np.float32), matrix=saturation_matrix(self.saturation))


MADE = {
    "cup": (_SKIMAGE, "coffee.png", Light((0.60, 0.90, 1.35), gamma=0.8)),
    "dahlia": (_SKLEARN, "flower.jpg", Light((1.00, 1.20, 1.30), gamma=0.75)),
    "rocket": (_SKIMAGE, "rocket.jpg", Light((1.30, 1.00, 0.80), gamma=0.6)),
    "astronaut": (_SKIMAGE, "astronaut.png", Light((0.66, 0.86, 1.12), gamma=1.15)),
}


def main() -> None:
    for example in EXAMPLES:
        if example.mask is None:
            assert example.seed is not None
            example.path.write_bytes(_jpeg(make_scene(example.seed, SCENE_SIZE).composite))
            continue
        package, filename, light = MADE[example.name]
        encoded = _jpeg(read_photograph(package, filename))
        truth_path(example.name).write_bytes(encoded)
        truth = decoded(encoded)
        mask = OUTLINES[example.name].mask(truth)
        example.mask.write_bytes(encode_mask(mask))
        changed = light.adjustment().apply(truth)
        example.path.write_bytes(_jpeg(np.where(mask[..., None] > 0, changed, truth)))


def _jpeg(pixels: Pixels) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    return stream.getvalue()


if __name__ == "__main__":
    main()
