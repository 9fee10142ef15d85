"""Surfaces: the paints of backgrounds and objects before light falls on them."""

import colorsys
from functools import lru_cache

import cv2
import numpy as np

from concord.arrays import Floats, Pixels
from concord.scenes.chance import one_of

_TILE = 512


@lru_cache(maxsize=1)
def _noise_tiles() -> dict[str, Floats]:
    """Noise in 0..1 at several scales, repeated twice along both axes without a seam."""
    rng = np.random.default_rng(20)
    tiles = {}
    for name, slope in (("grain", 0.0), ("fine", 0.9), ("cloud", 1.6), ("smooth", 2.4)):
        fy, fx = np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)[None]
        frequency = np.hypot(fy, fx)
        frequency[0, 0] = np.inf
        spectrum = np.fft.rfft2(rng.normal(size=(_TILE, _TILE))) * frequency**-slope
        field = np.fft.irfft2(spectrum, (_TILE, _TILE))
        tile = np.clip(0.5 + field / field.std() / 5, 0, 1).astype(np.float32)
        tiles[name] = np.tile(tile, (2, 2))
    return tiles


def noise(rng: np.random.Generator, name: str, size: tuple[int, int], zoom: float = 1.0) -> Floats:
    """A random crop [height, width] of a noise tile, in 0..1; features are `zoom` times as large as the tile's."""
    tile = _noise_tiles()[name]
    if rng.random() < 0.5:
        tile = tile.T
    rows, columns = (min(_TILE, max(2, round(length / zoom))) for length in size)
    top, left = rng.integers(_TILE, size=2)
    cut = tile[top : top + rows, left : left + columns]
    return cv2.resize(cut, size[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)


def coordinates(size: tuple[int, int], angle: float) -> tuple[Floats, Floats]:
    """Two rotated coordinates [height, width], 0 at the centre, 1 unit = the shorter side."""
    height, width = size
    side = min(size)
    x = (np.arange(width, dtype=np.float32) - width / 2) / side
    y = (np.arange(height, dtype=np.float32) - height / 2) / side
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x[None] * cosine + y[:, None] * sine, y[:, None] * cosine - x[None] * sine


def random_palette(rng: np.random.Generator, hue: float | None = None) -> Floats:
    """A smooth run of 256 related muted colours [256, 3], RGB in 0..1."""
    hue = rng.uniform() if hue is None else hue
    saturation, value = rng.beta(1.6, 3.0) * 0.75, rng.uniform(0.3, 0.85)
    spread = rng.uniform(0.05, 0.22)
    stops = [
        colorsys.hsv_to_rgb(
            (hue + rng.normal(0, 0.03)) % 1,
            float(np.clip(saturation + rng.normal(0, 0.07), 0, 0.75)),
            float(np.clip(value + offset * spread + rng.normal(0, 0.03), 0.08, 0.97)),
        )
        for offset in np.linspace(-1, 1, 4)
    ]
    knots = np.linspace(0, 255, 4)
    return np.stack([np.interp(np.arange(256), knots, channel) for channel in np.array(stops).T], 1).astype(np.float32)


def _through(palette: Floats, field: Floats) -> Pixels:
    index = (np.clip(field, 0, 1) * 255).astype(np.uint8)
    table = (palette * 255).astype(np.uint8)[None]
    return cv2.LUT(cv2.merge([index, index, index]), table).astype(np.uint8, copy=False)


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    unit = min(size) / 256
    field = noise(rng, one_of(rng, ("cloud", "smooth", "fine")), size, unit * rng.uniform(0.8, 2.0))
    return _through(random_palette(rng), field)


def _wood(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    unit = min(size) / 256
    u, v = coordinates(size, one_of(rng, (0, np.pi / 2)) + rng.uniform(-0.1, 0.1))
    warp = noise(rng, "smooth", size, unit * 1.5)
    field = 0.5 + 0.32 * np.sin(u * rng.uniform(18, 45) + warp * rng.uniform(8, 26))
    field += 0.35 * (noise(rng, "fine", size, unit) - 0.5)
    image = _through(random_palette(rng, rng.normal(0.075, 0.02) % 1 if rng.random() < 0.75 else None), field)
    if rng.random() < 0.5:
        gaps = np.abs((v * rng.uniform(3, 6) + 0.3) % 1 - 0.5) > 0.485
        image[gaps] = image[gaps] // 2
    return image


def _checks(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    u, v = coordinates(size, rng.uniform(0, np.pi / 2))
    count = rng.uniform(3, 10)
    if rng.random() < 0.5:
        softness = rng.uniform(8, 30)
        cells = np.tanh(np.sin(u * count * np.pi) * softness) * np.tanh(np.sin(v * count * np.pi) * softness)
    else:
        cells = np.tanh(np.sin(u * count * np.pi) * rng.uniform(1, 12)) + 0.4 * np.sin(v * count * np.pi)
    field = 0.5 + 0.3 * cells + 0.4 * (noise(rng, "fine", size, min(size) / 256) - 0.5)
    return _through(random_palette(rng), field)


def _bricks(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    u, v = coordinates(size, rng.normal(0, 0.05))
    rows = v * rng.uniform(7, 13) + 50
    columns = u * rng.uniform(3, 6) + 50 + 0.5 * (np.floor(rows) % 2)
    gap = np.maximum(np.abs(rows % 1 - 0.5), np.abs(columns % 1 - 0.5) * 1.0)
    tone = np.sin(np.floor(rows) * 12.9898 + np.floor(columns) * 78.233) * 43758.5453 % 1
    field = 0.35 + 0.35 * tone + 0.5 * (noise(rng, "fine", size, min(size) / 256) - 0.5)
    image = _through(random_palette(rng), field)
    mortar = cv2.GaussianBlur((gap > 0.455).astype(np.float32), (0, 0), 0.7)[..., None]
    return np.asarray(image * (1 - mortar) + rng.uniform(110, 210) * mortar).astype(np.uint8)


def _cloth(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    u, v = coordinates(size, rng.uniform(0, np.pi / 2))
    count = rng.uniform(40, 80)
    field = 0.5 + 0.14 * np.sin(u * count * np.pi) + 0.14 * np.sin(v * count * np.pi)
    field += 0.9 * (noise(rng, "smooth", size, min(size) / 200) - 0.5)
    return _through(random_palette(rng), field)


def _bokeh(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """Out-of-focus blobs, drawn small and enlarged."""
    height, width = 64 * size[0] // min(size), 64 * size[1] // min(size)
    palette = random_palette(rng)
    small = np.empty((height, width, 3), np.float32)
    small[:] = palette[rng.integers(256)] * 255
    for _ in range(int(rng.integers(12, 40))):
        hue = palette if rng.random() < 0.7 else random_palette(rng)
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(small, centre, int(rng.integers(3, 16)), (hue[rng.integers(256)] * 255).tolist(), -1)
    blurred = cv2.GaussianBlur(small, (0, 0), rng.uniform(1.2, 4))
    return np.clip(cv2.resize(blurred, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def _gradient(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    u, _ = coordinates(size, rng.uniform(0, 2 * np.pi))
    field = 0.5 + 0.6 * u + 0.5 * (noise(rng, "cloud", size, min(size) / 128) - 0.5)
    return _through(random_palette(rng), field)


_SURFACES = (_clouds, _wood, _checks, _bricks, _cloth, _bokeh, _gradient)
_SURFACE_WEIGHTS = (0.2, 0.24, 0.12, 0.1, 0.12, 0.1, 0.12)


def surface(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """A random background surface, gamma-encoded RGB [height, width, 3]."""
    chosen = one_of(rng, _SURFACES, _SURFACE_WEIGHTS)
    image = chosen(rng, size)
    grain = noise(rng, "grain", size) * rng.uniform(4, 22)
    return cv2.add(image, cv2.merge([grain] * 3), dtype=cv2.CV_8U).astype(np.uint8, copy=False)


_RELIEFS = ("plain", "grain", "mottled", "stripes", "dots", "checks", "wood")
_RELIEF_WEIGHTS = (0.2, 0.15, 0.2, 0.13, 0.1, 0.1, 0.12)


def relief(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Floats:
    """The paint's relative brightness at each point of an object [height, width], around 1.

    unit: the object's radius in pixels.
    """
    kind = one_of(rng, _RELIEFS, _RELIEF_WEIGHTS)
    depth = rng.uniform(0.12, 0.38)
    if kind == "plain":
        return np.ones(size, np.float32)
    if kind == "grain":
        return 1 + depth * (noise(rng, "fine", size, 0.6) - 0.5)
    if kind == "mottled":
        return 1 + 1.6 * depth * (noise(rng, "cloud", size, unit / 60) - 0.5)
    u, v = coordinates(size, rng.uniform(0, np.pi))
    turns = rng.uniform(5, 11) * min(size) / (2 * unit)
    if kind == "stripes":
        pattern = np.tanh(3 * np.sin(u * turns * np.pi))
    elif kind == "dots":
        pattern = np.tanh(5 * (np.sin(u * turns * np.pi) * np.sin(v * turns * np.pi) - 0.35))
    elif kind == "checks":
        pattern = np.tanh(6 * np.sin(u * turns * np.pi) * np.sin(v * turns * np.pi))
    else:
        pattern = np.sin(u * turns * 2 * np.pi + 14 * noise(rng, "smooth", size, unit / 80))
    return np.asarray(1 - depth / 2 + depth / 2 * pattern, np.float32)
