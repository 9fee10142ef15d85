"""The light of a scene, and how it shows flat ground and raised objects. Colours are linear (gamma 2)."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from concord.arrays import Floats, Pixels


@dataclass(frozen=True)
class Illumination:
    """A distant light and an ambient one.

    direction: unit vector towards the light, x right, y down, z towards the viewer. light, ambient: linear RGB.
    falloff: how much brighter the side of the light is than the middle (0..0.3). softness: width of shadow edges, in
    units of the shorter side.
    """

    direction: Floats
    light: Floats
    ambient: Floats
    falloff: float
    softness: float

    def falloff_at(self, x: Floats | float, y: Floats | float) -> Any:
        """Relative brightness at x, y (shorter sides from the centre): a number or an array, as they are."""
        length = float(np.hypot(self.direction[0], self.direction[1])) + 1e-6
        return 1 + self.falloff * (x * (self.direction[0] / length) + y * (self.direction[1] / length)) * 2


def random_illumination(rng: np.random.Generator) -> Illumination:
    """Light from candle-warm to overcast-cool, usually from above, as bright as a camera exposes for."""
    azimuth = rng.normal(-np.pi / 2, 0.9)
    elevation = rng.uniform(0.75, 1.05)
    direction = np.array(
        [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], np.float32
    )
    warmth, tint = rng.normal(0.02, 0.12), rng.normal(0, 0.02)
    colour = np.exp(np.array([warmth, tint, -warmth * 1.15]))
    exposure = np.exp(rng.uniform(np.log(0.82), np.log(1.12)))
    share = rng.uniform(0.28, 0.5)
    # The shadow side is lit by the sky: a little cooler than the light itself.
    ambient = colour * np.exp(np.array([-0.05, 0, 0.06]) * rng.uniform(0, 1))
    return Illumination(
        direction,
        (colour * exposure * (1 - share) * 1.15).astype(np.float32),
        (ambient * exposure * share).astype(np.float32),
        float(rng.uniform(0, 0.22)),
        float(rng.uniform(0.006, 0.022)),
    )


def light_ground(linear: Floats, shadow: Floats, illumination: Illumination) -> None:
    """Lights flat ground [h, w, 3] in place; shadow [h, w] is 1 where no direct light arrives."""
    height, width = linear.shape[:2]
    side = min(height, width)
    x = ((np.arange(width, dtype=np.float32) - width / 2) / side)[None]
    y = ((np.arange(height, dtype=np.float32) - height / 2) / side)[:, None]
    falloff = illumination.falloff_at(x, y)
    direct = (1 - shadow) * falloff * illumination.direction[2]
    for channel in range(3):
        linear[..., channel] *= direct * illumination.light[channel] + falloff * illumination.ambient[channel]


def bulge(alpha: Pixels, bevel: float) -> tuple[Floats, Floats]:
    """How far inside the rounded rim each point is (0 at the edge to 1), and the surface normals [h, w, 3].

    alpha: coverage, 0..255. bevel: width of the rounded rim in pixels; a disc whose bevel is its radius is a sphere.
    """
    depth = cv2.distanceTransform((alpha > 127).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    rim = np.minimum(depth / bevel, 1.0)
    height = bevel * np.sqrt(rim * (2 - rim))
    height = cv2.GaussianBlur(height, (0, 0), max(0.8, bevel * 0.07))
    dx = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    dy = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    length = np.sqrt(dx * dx + dy * dy + 1)
    return rim, np.dstack([-dx / length, -dy / length, 1 / length])


def light_object(
    paint: Floats, rim: Floats, normals: Floats, illumination: Illumination, gloss: tuple[float, int], falloff: float
) -> Floats:
    """The light an object sends to the viewer [h, w, 3] (Blinn-Phong).

    paint: linear RGB [h, w, 3]. rim: 0 at the edge to 1 inside. gloss: strength of the highlight, and how often its
    cosine is squared.
    """
    towards = normals @ illumination.direction
    diffuse = np.maximum(towards, 0)
    half = illumination.direction + np.array((0, 0, 1))
    highlight = np.maximum(normals @ (half / np.linalg.norm(half)).astype(np.float32), 0)
    strength, squarings = gloss
    for _ in range(squarings):
        highlight *= highlight
    highlight *= strength
    occlusion = 0.62 + 0.38 * rim
    lit = np.empty_like(paint)
    for channel in range(3):
        light, ambient = illumination.light[channel] * falloff, illumination.ambient[channel] * falloff
        lit[..., channel] = paint[..., channel] * (diffuse * light + occlusion * ambient) + highlight * light
    return lit
