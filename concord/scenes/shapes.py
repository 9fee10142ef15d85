"""Outlines of the objects: closed polygons in a unit circle, y pointing down."""

import numpy as np
from numpy.typing import NDArray

Outline = list[NDArray[np.float64]]

# How far each outline may be rotated and keep its name, in radians.
_TURN = {
    "ball": 0.0,
    "box": 0.3,
    "triangle": 0.3,
    "star": 0.6,
    "ring": 0.0,
    "cross": 0.25,
    "bar": 3.14,
    "heart": 0.35,
    "hexagon": 0.5,
    "moon": 3.14,
}
SHAPES = tuple(_TURN)


def _circle(radius: float, count: int = 72) -> NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.asarray(radius * np.stack([np.cos(angle), np.sin(angle)], 1))


def _regular(corners: int) -> NDArray[np.float64]:
    angle = np.arange(corners) * 2 * np.pi / corners - np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _rectangle(half_width: float, half_height: float) -> NDArray[np.float64]:
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (half_width, half_height)


def _star(inner: float) -> NDArray[np.float64]:
    return np.asarray(_regular(10) * np.where(np.arange(10) % 2, inner, 1.0)[:, None])


def _cross(arm: float) -> NDArray[np.float64]:
    corner, end = arm * 0.95, 0.95
    quarter = np.array([[corner, -end], [corner, -corner], [end, -corner]])
    turns = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in np.arange(4) * np.pi / 2]
    return np.concatenate([quarter @ turn.T for turn in turns])


def _heart() -> NDArray[np.float64]:
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.asarray(np.stack([x, y - 2.5], 1) / 16)


def _moon(bite: float) -> NDArray[np.float64]:
    """A unit disc less a disc of radius `bite` whose centre is moved to the right."""
    shift = 0.45 + (1 - bite) * 0.6
    meet_x = (1 - bite**2 + shift**2) / (2 * shift)
    outer = np.arccos(np.clip(meet_x, -1, 1))
    inner = np.arccos(np.clip((meet_x - shift) / bite, -1, 1))
    a = np.linspace(outer, 2 * np.pi - outer, 48)
    b = np.linspace(2 * np.pi - inner, inner, 40)
    rim = np.stack([np.cos(a), np.sin(a)], 1)
    hollow = np.stack([shift + bite * np.cos(b), bite * np.sin(b)], 1)
    return np.asarray(np.concatenate([rim, hollow]) + np.array((0.15, 0)))


def outline(rng: np.random.Generator, shape: str) -> Outline:
    """Polygons (vertices [n, 2]) of one example of `shape`; a second polygon is a hole.

    Proportions and rotation vary a little; the shape's name stays true.
    """
    polygons = {
        "ball": lambda: [_circle(1.0)],
        "box": lambda: [_rectangle(0.86, 0.86 * rng.uniform(0.85, 1.0))],
        "triangle": lambda: [_regular(3)],
        "star": lambda: [_star(rng.uniform(0.42, 0.52))],
        "ring": lambda: [_circle(1.0), _circle(rng.uniform(0.45, 0.58))],
        "cross": lambda: [_cross(rng.uniform(0.30, 0.38))],
        "bar": lambda: [_rectangle(1.0, rng.uniform(0.24, 0.32))],
        "heart": lambda: [_heart()],
        "hexagon": lambda: [_regular(6)],
        "moon": lambda: [_moon(rng.uniform(0.78, 0.88))],
    }[shape]()
    angle = rng.uniform(-1, 1) * _TURN[shape]
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [polygon @ turn for polygon in polygons]
