"""The page of the demonstration: one file that needs no network, with every picture before and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import count
from pathlib import Path
from string import Template

import numpy as np

from concord.arrays import Pixels
from demo.drawing import Drawing
from demo.pictures import data_uri
from demo.shown import Answer, Shown

_PAGE = Template(Path(__file__).with_name("page.html").read_text())


@dataclass(frozen=True)
class Parts:
    """What the page shows: composites with their masks, by words, pictures with holes, and what was drawn for words."""

    photographs: Sequence[Shown]
    scenes: Sequence[Shown]
    holes: Sequence[Shown]
    edits: Sequence[Drawing]
    drawings: Sequence[Drawing]


def written(parts: Parts) -> str:
    """The page's HTML."""
    number = count()
    return _PAGE.substitute(
        summary=_summary([each for each in parts.photographs if each.is_unseen]),
        photographs="".join(_card(next(number), each, is_by_words=False) for each in parts.photographs),
        scenes="".join(_card(next(number), each, is_by_words=True) for each in parts.scenes),
        more=_section(
            "Holes, filled",
            "A part of each picture was taken out, and Concord got the rest and where the hole is. Beside each network "
            "stands Telea's method, which needs none.",
            [_card(next(number), each, is_by_words=False) for each in parts.holes],
        )
        + _section(
            "A part drawn anew, by words",
            "The words are drawn where a mask allows it; no pixel outside was changed. The demo weights draw generated "
            "scenes.",
            list(map(_drawing, parts.edits)),
        )
        + _section(
            "Drawn from words",
            "The demo weights draw scenes like those of their training.",
            list(map(_drawing, parts.drawings)),
        ),
    )


def _section(title: str, text: str, cards: Sequence[str]) -> str:
    """A part of the page; empty where there is nothing to show, as where no model of its task is served."""
    if not cards:
        return ""
    return f'<h2>{escape(title)}</h2><p>{escape(text)}</p><div class="cards small">{"".join(cards)}</div>'


def _summary(shown: Sequence[Shown]) -> str:
    """The mean errors of each model over photographs that it never saw."""
    before = np.mean([each.fmse for each in shown])
    rows = []
    for number, answer in enumerate(shown[0].answers):
        after = np.mean([each.answers[number].fmse for each in shown])
        seconds = np.mean([each.answers[number].seconds for each in shown])
        rows.append(
            f"<tr><th scope=row>{escape(answer.model)}<td>{before:.0f}<td>{after:.0f}<td>{after / before:.2f}"
            f"<td>{seconds:.2f} s"
        )
    return "".join(rows)


def _card(number: int, shown: Shown, *, is_by_words: bool) -> str:
    """One composite: a slider between before and after, and a choice of what is shown as after."""
    height, width = shown.composite.shape[:2]
    choices = [_choice(number, place, shown, each, is_by_words) for place, each in enumerate(shown.answers)]
    choices.append(_radio(number, len(choices), "the original", ""))
    afters = [each.pixels for each in shown.answers] + [shown.truth]
    images = "".join(
        f'<img class="after" src="{data_uri(pixels)}" alt="" width="{width}" height="{height}"'
        f"{'' if place == 0 else ' hidden'}>"
        for place, pixels in enumerate(afters)
    )
    note = "never seen in training" if shown.is_unseen else "a photograph of the training"
    title = f"“{escape(shown.title)}”" if is_by_words else escape(shown.title)
    mask = f'<figure><img src="{data_uri(_small(shown.answers[0].mask))}" alt="The mask"></figure>'
    return (
        f'<article><header><h3>{title}</h3><span class="note">{note}</span></header>'
        f"{_compared(shown.title, shown.composite, images)}"
        f'<div class="below">{mask}<fieldset><legend>After: fMSE {shown.fmse:.0f} &rarr;</legend>'
        f"{''.join(choices)}</fieldset></div></article>"
    )


def _drawing(drawing: Drawing) -> str:
    """What was drawn for a text, over what was there before."""
    height, width = drawing.picture.shape[:2]
    size = f'width="{width}" height="{height}"'
    source, text = data_uri(drawing.picture), escape(drawing.text)
    if drawing.before is None:
        picture = f'<img class="drawn" src="{source}" alt="{text}" {size}>'
    else:
        picture = _compared(drawing.text, drawing.before, f'<img class="after" src="{source}" alt="" {size}>')
    note = f'<span class="note">{escape(drawing.model)}, {drawing.seconds:.2f} s</span>'
    return f"<article><header><h3>“{text}”</h3>{note}</header>{picture}</article>"


def _compared(title: str, before: Pixels, afters: str) -> str:
    """A slider between a picture uint8 [H, W, 3] and the images over it, of which one is seen."""
    height, width = before.shape[:2]
    return (
        f'<div class="compare" style="aspect-ratio: {width} / {height}">'
        f'<img src="{data_uri(before)}" alt="Before" width="{width}" height="{height}">{afters}'
        f'<span class="tag left">before</span><span class="tag right">after</span><i class="line"></i>'
        f'<input type="range" min="0" max="100" value="50" aria-label="Before and after: {escape(title)}"></div>'
    )


def _choice(number: int, place: int, shown: Shown, answer: Answer, is_by_words: bool) -> str:
    better = "better" if answer.fmse < shown.fmse else "worse"
    found = f", IoU {answer.iou:.2f}" if is_by_words else ""
    numbers = f'<b class="{better}">{answer.fmse:.0f}</b> <small>{answer.seconds:.2f} s{found}</small>'
    return _radio(number, place, answer.model, numbers)


def _radio(number: int, place: int, name: str, numbers: str) -> str:
    checked = " checked" if place == 0 else ""
    box = f'<input type="radio" name="after-{number}" value="{place}"{checked}>'
    return f"<label>{box}<span>{escape(name)}</span> {numbers}</label>"


def _small(mask: Pixels) -> Pixels:
    """A mask [H, W] in a quarter of its height and width."""
    return np.ascontiguousarray(mask[::4, ::4])
