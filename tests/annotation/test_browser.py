"""The page in a browser: by keys alone, on a phone, for everybody, and when the browser dies."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from annotation.page.words import CHINESE, ENGLISH
from annotation.record import Annotation, Record, Skipped, Source
from tests.annotation.running import Annotating, annotating
from tests.annotation.scenes import write_scenes
from tests.annotation.test_killed import exported
from tests.facade.accessibility import serious
from tests.facade.browsing import DESKTOP, PATIENCE_MS, PHONE, Tab, chromium

PAINTED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, 2, 6)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Annotating]:
    with annotating(folder) as server:
        yield server


@contextmanager
def visitor(browser: Browser, url: str, name: str, **options: Any) -> Iterator[Tab]:
    """Somebody at the first sample; asserts at the end that nobody else was asked and that no script failed."""
    context = browser.new_context(**{"viewport": DESKTOP, **options})
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    opened = Tab(context.new_page(), url)
    context.on("request", lambda request: opened.asked.append(request.url))
    opened.page.on("pageerror", lambda error: opened.failures.append(str(error)))
    try:
        opened.page.goto(url)
        opened.page.locator("#name").fill(name)
        opened.page.keyboard.press("Enter")
        opened.page.wait_for_url(re.compile("/(guide|sample)$"))
        if opened.page.url.endswith("guide"):
            # Chromium drops keys that come before the first picture of a page.
            opened.page.evaluate(PAINTED)
            opened.page.keyboard.press("Enter")
            opened.page.wait_for_url("**/sample")
        yield opened
    finally:
        context.close()
    assert all(each.startswith((f"{url}/", "data:")) for each in opened.asked) and not opened.failures


def place(page: Page) -> str:
    """The composite that is shown."""
    return (page.locator("#answer").get_attribute("action") or "").removeprefix("/samples/")


def goes_on(page: Page, key: str) -> None:
    """Presses a key, and returns when another sample is shown."""
    before = place(page)
    page.keyboard.press(key)
    expect(page.locator(f'#answer:not([action="/samples/{before}"])')).to_be_visible()
    # From here on the script listens.
    page.wait_for_load_state("load")


def test_samples_are_answered_by_keys_alone(browser: Browser, server: Annotating, folder: Path) -> None:
    with visitor(browser, server.url, "ada") as ada:
        page = ada.page
        first, words = place(page), page.locator(".words").nth(1).inner_text()
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text(ENGLISH["sample.missing"])
        page.keyboard.press("2")
        expect(page.get_by_role("alert")).to_be_hidden()
        goes_on(page, "Enter")
        second = place(page)
        page.keyboard.press("t")
        page.keyboard.type("the 1 big thing")
        goes_on(page, "Enter")
        third = place(page)
        goes_on(page, "0")
        page.keyboard.press("b")
        page.wait_for_url(f"**/samples/{third}")
        expect(page.get_by_text(ENGLISH["sample.answered"])).to_be_visible()
        page.keyboard.press("n")
        page.wait_for_url("**/sample")
    expected: list[Record] = [
        Annotation(first, words, None, Source.RULES, "ada"),
        Annotation(second, "the 1 big thing", None, Source.OWN, "ada"),
        Skipped(third, "ada"),
    ]
    assert [each for each in exported(folder) if each.annotator == "ada"] == expected


def test_the_line_goes_away_and_comes_back_by_a_key(browser: Browser, server: Annotating) -> None:
    with visitor(browser, server.url, "edsger") as person:
        line = person.page.locator(".picture .line")
        expect(line).to_be_visible()
        person.page.keyboard.press("l")
        expect(line).to_be_hidden()
        person.page.keyboard.press("l")
        expect(line).to_be_visible()


def test_what_was_typed_is_there_after_the_browser_has_died(browser: Browser, server: Annotating) -> None:
    with visitor(browser, server.url, "grace") as grace:
        before = place(grace.page)
        grace.page.keyboard.press("1")
        grace.page.keyboard.press("t")
        grace.page.keyboard.type("the thing that is")
        expect(grace.page.locator("#draft")).to_have_text(ENGLISH["draft.saved"])
    with visitor(browser, server.url, "Grace") as grace:
        assert place(grace.page) == before
        expect(grace.page.locator("#own")).to_have_value("the thing that is")
        expect(grace.page.locator("input[name=chosen]").first).to_be_checked()


def test_an_answer_that_cannot_be_sent_stays_on_the_page(browser: Browser, server: Annotating) -> None:
    with visitor(browser, server.url, "barbara") as barbara:
        page, before = barbara.page, place(barbara.page)
        page.context.set_offline(True)
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text(ENGLISH["draft.failed"])
        page.context.set_offline(False)
        assert place(page) == before
        goes_on(page, "Enter")


@pytest.mark.parametrize("options", [{"viewport": DESKTOP}, {"viewport": PHONE, "locale": "zh-CN", "has_touch": True}])
def test_nothing_keeps_people_from_using_it(browser: Browser, server: Annotating, options: dict[str, Any]) -> None:
    words = CHINESE if "locale" in options else ENGLISH
    with visitor(browser, server.url, f"tony {len(options)}", **options) as tony:
        page = tony.page
        expect(page.get_by_role("heading", name=words["sample.title"])).to_be_visible()
        for path in ("/sample", "/guide", "/progress"):
            page.goto(f"{server.url}{path}")
            assert serious(tony) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.goto(f"{server.url}/sample")
        page.get_by_role("button", name=words["leave"]).click()
        page.wait_for_url("**/enter")
        assert serious(tony) == []
