"""A person with a browser: Chromium without a window, and without any network but loopback."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
SCREENSHOTS = Path("out/page")
PATIENCE_MS = 90_000
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# The editor draws all the time, and the processor draws every pixel: ten pictures a second leave it time for the rest.
_SLOW_SCREEN = """
const draw = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (callback) => setTimeout(() => draw(callback), 100);
window.cancelAnimationFrame = clearTimeout;
"""
# Size, place and zoom are the same in ten looks, one after the other.
_RESTS = r"""
() => {
    const zoom = document.querySelector('#editor .zoom-number').innerText;
    const box = document.querySelector('#editor canvas').getBoundingClientRect();
    window.rested = [...window.rested.slice(-9), [zoom, box.x, box.y, box.width, box.height].join()];
    return /^[1-9]\d{0,2}%$/.test(zoom) && window.rested.length === 10 && new Set(window.rested).size === 1;
}
"""
_NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; the test is skipped where there is none."""
    if not CHROMIUM.exists():
        pytest.skip("the page is tested with Debian's browser: apt-get install -y chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS, _NO_NETWORK])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A tab that shows the page; asserts at the end that it asked nobody else and that no script failed."""

    page: Page
    url: str
    asked: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def part(self, elem_id: str) -> Locator:
        """Something on the page by its id."""
        return self.page.locator(f"#{elem_id}")

    def visit(self) -> None:
        self.page.goto(self.url)
        sign_in = self.page.locator("form[action='/sign-in']")
        expect(self.part("drop").or_(sign_in)).to_be_visible()

    def bring_example(self, text: str) -> None:
        """Chooses an example by what is out of place in it."""
        self.page.get_by_role("button", name=text).click()
        self.wait_for_photograph()

    def bring(self, name: str, photograph: bytes) -> None:
        """Drops a file."""
        self.part("drop").locator("input[type=file]").set_input_files(
            {"name": name, "mimeType": "image/jpeg", "buffer": photograph}
        )

    def wait_for_photograph(self) -> None:
        """Returns when the photograph is there to be marked."""
        shown = '#work:has([data-way="point"]) .pointing, #work:has([data-way="brush"]) #editor canvas'
        expect(self.page.locator(shown).first).to_be_visible()

    def take_brush(self) -> None:
        """Goes to the editor, and returns when the photograph is in it."""
        if not self.part("editor").is_visible():
            self.press("Brush")
        self.wait_for_editor()

    def point(self, x: float, y: float, *, shift: bool = False) -> None:
        """Clicks on a place of the photograph, 0..1 of its width and height."""
        box = self.page.locator(".pointing").bounding_box()
        assert box is not None
        keys: list[Literal["Shift"]] = ["Shift"] if shift else []
        place: Any = {"x": x * box["width"], "y": y * box["height"]}
        self.page.locator(".pointing").click(position=place, modifiers=keys)

    def wait_for_editor(self) -> None:
        """Returns when the photograph is in the editor and rests: its canvas is tiny before, and then grows."""
        expect(self.part("editor").locator("canvas").first).to_be_visible()
        self.page.evaluate("() => { window.rested = []; }")
        self.page.wait_for_function(_RESTS, polling=100)

    def paint(self, *points: tuple[float, float]) -> None:
        """One stroke of the brush through points of the editor, 0..1 of its width and height."""
        box = self.part("editor").locator("canvas").first.bounding_box()
        assert box is not None
        where = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*where[0])
        self.page.mouse.down()
        for x, y in where[1:]:
            self.page.mouse.move(x, y)
            # A browser that is busy leaves out places that the pointer passes between two pictures.
            self.page.evaluate("() => new Promise(requestAnimationFrame)")
        self.page.mouse.up()

    def say(self, text: str) -> None:
        """Types what is out of place."""
        self.page.get_by_label("What is out of place?").fill(text)

    def press(self, name: str) -> None:
        """Presses a button by its words."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def wait_for(self, words: str) -> None:
        """Returns when the page says these words."""
        expect(self.page.get_by_text(words).first).to_be_visible()

    def download(self, name: str) -> bytes:
        """The file behind a button."""
        with self.page.expect_download() as download:
            self.press(name)
        return Path(download.value.path()).read_bytes()

    def keep_picture(self, name: str) -> None:
        """A screenshot of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@contextmanager
def tab(browser: Browser, url: str, viewport: dict[str, int], **options: Any) -> Iterator[Tab]:
    """A tab of its own session, with the page, drawn in a quarter of its pixels: the processor draws them all."""
    options = {"device_scale_factor": 0.5, "accept_downloads": True, **options}
    context = browser.new_context(viewport=viewport, **options)
    context.add_init_script(_SLOW_SCREEN)
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    opened = Tab(context.new_page(), url)
    context.on("request", lambda request: opened.asked.append(request.url))
    opened.page.on("pageerror", lambda error: opened.failures.append(str(error)))
    try:
        opened.visit()
        yield opened
    finally:
        context.close()
    elsewhere = [asked for asked in opened.asked if not asked.startswith((f"{url}/", "data:", f"blob:{url}/"))]
    assert opened.asked and not elsewhere
    assert not opened.failures


def circle(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """Points of a closed line around a point, in the editor's coordinates for `Tab.paint`."""
    angles = [step / 5 * 2 * math.pi for step in range(6)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
