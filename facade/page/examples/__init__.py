"""Example pictures: photographs in which one object was given other light, with its mask, and a generated scene.

``python -m demo.examples`` makes them; ``demo/examples/README.md`` says where the photographs are from.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Example:
    """One picture.

    Attributes:
        name: of its files.
        text: names what is out of place, where words are to find it; empty where a mask says it.
        seed: of a generated scene; None for a photograph.
    """

    name: str
    text: str = ""
    seed: int | None = None

    @property
    def title(self) -> str:
        """What is out of place, as a key of the page's languages."""
        return f"example.{self.name}"

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.jpg"

    @property
    def mask(self) -> Path | None:
        """A grey PNG of the picture's size, 255 where the object is; None where words find it."""
        return None if self.text else FOLDER / f"{self.name}.png"


EXAMPLES = (
    Example("cup"),
    Example("dahlia"),
    Example("rocket"),
    Example("astronaut"),
    Example("moon", text="the pink moon", seed=1_000_044),
)
