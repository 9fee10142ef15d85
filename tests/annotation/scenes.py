"""A small data set in iHarmony4's layout, made of generated scenes."""

from pathlib import Path

from PIL import Image

from concord.scenes.scene import Scene, make_scene

SUBSETS = ("HCOCO", "Hday2night")
SIZE = (96, 128)


def write_scenes(folder: Path, objects: int, composites: int = 1) -> dict[str, Scene]:
    """Scenes in both sub-sets in turn, with so many composites of each; by the names of their composites."""
    scenes = {}
    for number in range(objects):
        scene, subset = make_scene(number, SIZE), folder / SUBSETS[number % 2]
        for part in ("composite_images", "masks", "real_images"):
            (subset / part).mkdir(parents=True, exist_ok=True)
        for composite in range(1, composites + 1):
            name = f"c{number}_1_{composite}.jpg"
            Image.fromarray(scene.composite).save(subset / "composite_images" / name, quality=95)
            scenes[f"{subset.name}/{name}"] = scene
        Image.fromarray(scene.mask).save(subset / "masks" / f"c{number}_1.png")
        Image.fromarray(scene.truth).save(subset / "real_images" / f"c{number}.jpg", quality=95)
    return scenes
