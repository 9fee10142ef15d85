"""The colours of objects, and the word that clearly names an observed colour."""

import colorsys

import numpy as np

from concord.arrays import Floats

# Hue in degrees, saturation and value in 0..1, of the paint before any light falls on it.
PAINTS: dict[str, tuple[float, float, float]] = {
    "red": (2, 0.82, 0.80),
    "orange": (27, 0.88, 0.92),
    "yellow": (53, 0.80, 0.92),
    "green": (125, 0.64, 0.66),
    "blue": (222, 0.74, 0.82),
    "purple": (278, 0.58, 0.70),
    "pink": (330, 0.50, 0.95),
    "white": (40, 0.03, 0.94),
    "black": (230, 0.10, 0.15),
}


# Lowest and highest hue, and what saturation and value have to exceed.
_WORDS = (
    ("red", 350, 360, 0.52, 0.30),
    ("red", 0, 13, 0.52, 0.30),
    ("orange", 18, 38, 0.6, 0.55),
    ("yellow", 44, 66, 0.44, 0.56),
    ("green", 80, 165, 0, 0),
    ("blue", 198, 250, 0.38, 0),
    ("purple", 258, 300, 0, 0),
    ("pink", 308, 343, 0, 0.62),
)


def paint(rng: np.random.Generator, name: str) -> Floats:
    """A paint of the named colour, RGB in 0..1 (gamma-encoded), slightly different each time."""
    hue, saturation, value = PAINTS[name]
    hue = (hue + rng.uniform(-5, 5)) % 360
    saturation = float(np.clip(saturation * rng.uniform(0.92, 1.06), 0, 1))
    value = float(np.clip(value * rng.uniform(0.94, 1.06), 0, 1))
    return np.array(colorsys.hsv_to_rgb(hue / 360, saturation, value), np.float32)


def colour_word(rgb: Floats) -> str | None:
    """The word that everybody would use for a mean colour (RGB in 0..1, gamma-encoded); None if people would differ.

    The gaps between the hue ranges are deliberate: a colour in a gap has no clear name.
    """
    red, green, blue = (float(channel) for channel in rgb)
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    hue *= 360
    if value < 0.25:
        return "black" if value - min(red, green, blue) < 0.09 else None
    if saturation < 0.27:
        return "white" if value > 0.60 else None
    named = (
        word
        for word, lowest, highest, dullest, darkest in _WORDS
        if lowest <= hue <= highest and saturation > dullest and value > darkest
    )
    return next(named, None) if saturation >= 0.32 else None
