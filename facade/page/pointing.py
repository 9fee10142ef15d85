"""The photograph to be pointed at: clicks and boxes are told by the browser, and what they found lies over it."""

from html import escape
from pathlib import Path

from facade.page.languages import Language
from facade.page.messages import FILE
from facade.page.tab_state import Pointed, TabState
from facade.problems import Problem

ON_LOAD = Path(__file__).with_name("pointing.js").read_text()


def picture(tab: TabState, layer: Path | None, say: Language) -> str:
    """The photograph [canvas], the layer of what is marked, and what was pointed at."""
    height, width = tab.photograph.size
    mark = "" if layer is None else f'<img class="mark" src="{FILE}{layer}" alt="">'
    dots = "".join(
        f'<i class="dot {"belongs" if label else "other"}" style="{_at(x / width, y / height)}"></i>'
        for x, y, label in tab.pointed.points
    )
    box = ""
    if tab.pointed.box is not None:
        left, top, right, bottom = tab.pointed.box
        size = f"width:{100 * (right - left) / width:.3f}%;height:{100 * (bottom - top) / height:.3f}%"
        box = f'<i class="box" style="{_at(left / width, top / height)}{size}"></i>'
    words = escape(say("mark.photograph"))
    photograph = f'<img src="{FILE}{tab.photograph.canvas}" alt="{words}" draggable="false">'
    over = f'{mark}{box}{dots}<i class="band" hidden></i>'
    return f'<div class="pointing" style="--ratio: {width / height:.5f}">{photograph}{over}</div>'


def pointed(tab: TabState, told: object, *, away: bool) -> Pointed:
    """What was pointed at before and is now, given what the browser tells: shares of width and height, 0..1.

    Raises:
        Problem: it tells neither a point nor a box.
    """
    said = told if isinstance(told, dict) else {}
    height, width = tab.photograph.size
    before = tab.pointed
    point, box = _shares(said.get("point"), 2), _shares(said.get("box"), 4)
    if box is not None:
        left, top, right, bottom = box
        return Pointed(before.points, (left * width, top * height, right * width, bottom * height))
    if point is None:
        raise Problem("invalid_points", "it is neither a point nor a box", field="points")
    belongs = 0 if away or said.get("away") is True else 1
    return Pointed((*before.points, (point[0] * width, point[1] * height, belongs)), before.box)


def _at(x: float, y: float) -> str:
    return f"left:{100 * x:.3f}%;top:{100 * y:.3f}%;"


def _shares(told: object, count: int) -> tuple[float, ...] | None:
    if not isinstance(told, list) or len(told) != count:
        return None
    if not all(isinstance(each, int | float) and 0 <= each <= 1 for each in told):
        return None
    return tuple(map(float, told))
