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
    if saturation < 0.32:
        return None
    if (hue >= 350 or hue <= 13) and saturation > 0.52 and value > 0.30:
        return "red"
    if 18 <= hue <= 38 and saturation > 0.6 and value > 0.55:
        return "orange"
    if 44 <= hue <= 66 and saturation > 0.44 and value > 0.56:
        return "yellow"
    if 80 <= hue <= 165:
        return "green"
    if 198 <= hue <= 250 and saturation > 0.38:
        return "blue"
    if 258 <= hue <= 300:
        return "purple"
    if 308 <= hue <= 343 and value > 0.62:
        return "pink"
    return None
