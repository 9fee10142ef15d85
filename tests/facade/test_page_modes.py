"""The page's modes in a real browser: each is there where its task is served, and does what it is for."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from concord_client import Upscale
from facade.page.languages import CHINESE, ENGLISH
from facade.settings import Settings
from tests.facade.accessibility import serious
from tests.facade.browsing import DESKTOP, PHONE, Tab, chromium, tab
from tests.facade.every_mode import COLOURS, every_mode
from tests.facade.running import Facade, running
from tests.serving.pictures import decoded, encoded, photograph

SIZE = (320, 200)
PIXELS = photograph(*SIZE)
MODES = ("inpaint", "edit", "generate", "upscale")
"""Of which there are models here; nothing harmonizes."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running_browser:
        yield running_browser


@pytest.fixture(scope="module")
def paged(tmp_path_factory) -> Iterator[Facade]:
    """The facade with its page, before a server with those models."""
    with (
        every_mode(tmp_path_factory.mktemp("models")) as server,
        running(Settings(triton_url=server.grpc_url)) as facade,
    ):
        yield facade


@pytest.fixture
def desk(browser, paged) -> Iterator[Tab]:
    with tab(browser, paged.url, DESKTOP) as opened:
        wait_for_modes(opened)
        yield opened


def wait_for_modes(person: Tab) -> None:
    """Returns when the page knows what there are models for."""
    expect(person.part("mode").locator("label")).to_have_count(len(MODES))


def enter(person: Tab, mode: str, table: dict[str, str] = ENGLISH) -> None:
    """Chooses a mode, and returns when the page is in it."""
    person.part("mode").get_by_label(table[f"mode.{mode}"], exact=True).check(force=True)
    expect(person.page.locator(f'#served [data-mode="{mode}"]')).to_be_attached()


def bring(person: Tab) -> None:
    person.bring("photo.png", encoded(PIXELS))
    person.wait_for_photograph()


def ask(person: Tab, mode: str, table: dict[str, str] = ENGLISH) -> None:
    """Presses the mode's button, and waits for the result."""
    person.press(table[f"mode.{mode}.press"])
    person.wait_for(table["result.done"].partition("{")[0])


def steps(person: Tab, count: int, table: dict[str, str] = ENGLISH) -> None:
    """Chooses how many there are, in what is folded away."""
    person.part("advanced").locator("button").first.click()
    person.part("steps").locator("input[type=number]").fill(str(count))


def test_only_modes_with_a_model_are_offered(desk):
    expect(desk.part("mode").locator("label")).to_have_text([ENGLISH[f"mode.{mode}"] for mode in MODES])
    expect(desk.part("title")).to_have_text(ENGLISH["mode.inpaint.title"])


def test_a_hole_is_filled_where_it_was_painted(desk):
    bring(desk)
    desk.press(ENGLISH["mode.inpaint.press"])
    desk.wait_for(ENGLISH["mark.missing"])
    desk.take_brush()
    desk.paint((0.45, 0.45), (0.55, 0.55))
    ask(desk, "inpaint")
    picture, mask = decoded(desk.download("Download the picture")), decoded(desk.download("Download the mask"))
    assert mask.any() and np.array_equal(picture[mask == 0], PIXELS[mask == 0])
    assert (picture != PIXELS)[mask > 0].any()
    expect(desk.part("strength")).to_be_hidden()
    expect(desk.part("find")).to_be_hidden()


def test_a_part_becomes_what_is_said_and_of_candidates_one_is_kept(desk):
    enter(desk, "edit")
    bring(desk)
    desk.take_brush()
    desk.paint((0.45, 0.45), (0.55, 0.55))
    desk.press(ENGLISH["mode.edit.press"])
    desk.wait_for(ENGLISH["mode.edit.missing"])
    desk.part("text").locator("textarea").fill("a red hat")
    ask(desk, "edit")
    mask = decoded(desk.download("Download the mask"))
    assert (decoded(desk.download("Download the picture"))[mask > 0] == COLOURS["EDITED"]).all()
    desk.part("results").locator("button").nth(1).click()
    assert (decoded(desk.download("Download the picture"))[mask > 0] == COLOURS["CANDIDATES"]).all()


def test_a_picture_is_generated_and_then_enlarged(desk):
    enter(desk, "generate")
    expect(desk.part("drop")).to_be_hidden()
    desk.press(ENGLISH["mode.generate.press"])
    desk.wait_for(ENGLISH["mode.generate.missing"])
    desk.part("text").locator("textarea").fill("a red bird")
    ask(desk, "generate")
    expect(desk.part("slider")).to_be_hidden()
    expect(desk.part("alone").locator("img")).to_be_visible()
    expect(desk.part("model").locator("input:checked")).to_have_count(1)
    generated = decoded(desk.download("Download the picture"))

    enter(desk, "upscale")
    expect(desk.page.locator(".pointing img").first).to_be_visible()
    expect(desk.part("text")).to_be_hidden()
    expect(desk.part("ways")).to_be_hidden()
    steps(desk, 2)
    ask(desk, "upscale")
    expect(desk.part("slider").locator("img")).to_have_count(2)
    expect(desk.part("download-mask")).to_be_hidden()
    enlarged = Image.open(io.BytesIO(desk.download("Download the picture")))
    assert enlarged.size == tuple(Upscale.SCALE * side for side in generated.shape[1::-1])


def test_what_is_marked_stays_when_the_mode_changes(desk):
    bring(desk)
    desk.take_brush()
    desk.paint((0.45, 0.45), (0.55, 0.55))
    enter(desk, "upscale")
    enter(desk, "inpaint")
    desk.wait_for_editor()
    ask(desk, "inpaint")
    assert decoded(desk.download("Download the mask")).any()


def test_nothing_keeps_people_from_using_the_modes(browser, paged):
    """axe-core finds nothing serious on a desk, nor on a phone in Chinese, which the page fits."""
    for viewport, table, options in (
        (DESKTOP, ENGLISH, {}),
        (PHONE, CHINESE, {"has_touch": True, "is_mobile": True, "locale": "zh-CN"}),
    ):
        with tab(browser, paged.url, viewport, **options) as person:
            wait_for_modes(person)
            found = {"bring": faults(person)}
            enter(person, "generate", table)
            found["generate"] = faults(person)
            person.part("text").locator("textarea").fill("a red bird")
            ask(person, "generate", table)
            found["generated"] = faults(person)
            for mode in ("upscale", "edit"):
                enter(person, mode, table)
                person.wait_for_photograph()
                found[mode] = faults(person)
            assert not any(found.values()), found


def test_the_keyboard_is_enough_to_change_the_mode(desk):
    second = desk.part("mode").locator("input").nth(1)
    for _ in range(20):
        desk.page.keyboard.press("Tab")
        if second.evaluate("each => each === document.activeElement"):
            break
    desk.page.keyboard.press("Space")
    expect(desk.page.locator(f'#served [data-mode="{MODES[1]}"]')).to_be_attached()


def faults(person: Tab) -> list[str]:
    """What axe-core finds, and whether the page is wider than the screen."""
    wide = person.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return serious(person) + ["too wide"] * wide
