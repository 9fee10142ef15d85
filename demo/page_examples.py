"""``python -m demo.page_examples``: draws the page's example photographs from generated scenes."""

from pathlib import Path

from PIL import Image

from concord.scenes.scene import make_scene
from facade.page.examples import EXAMPLES, FOLDER

SIZE = (640, 960)
"""Height and width in pixels."""


def main() -> None:
    for example in EXAMPLES:
        scene = make_scene(example.seed, SIZE)
        Image.fromarray(scene.composite).save(FOLDER / Path(example.path).name, "JPEG", quality=88, optimize=True)


if __name__ == "__main__":
    main()
