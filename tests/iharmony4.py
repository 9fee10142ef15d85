"""Data in iHarmony4's layout, made of generated scenes."""

from pathlib import Path

from PIL import Image

from concord.scenes.scene import Scene


def add_scene(subset: Path, name: str, scene: Scene) -> str:
    """Adds a scene to a sub-set's folder; returns the composite's name in the data set."""
    for part in ("composite_images", "masks", "real_images"):
        (subset / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene.composite).save(subset / "composite_images" / f"{name}_1_1.jpg", quality=95)
    Image.fromarray(scene.mask).save(subset / "masks" / f"{name}_1.png")
    Image.fromarray(scene.truth).save(subset / "real_images" / f"{name}.jpg", quality=95)
    return f"{subset.name}/{name}_1_1.jpg"
