import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect
from psd_tools import PSDImage

from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord_client import at_strength
from facade.page.examples import EXAMPLES
from facade.page.languages import CHINESE
from facade.settings import Settings
from tests.facade.accessibility import serious
from tests.facade.browsing import DESKTOP, PHONE, Tab, chromium, circle, tab
from tests.facade.gated import MODEL
from tests.facade.running import Facade, running
from tests.serving.pictures import decoded, encoded, photograph
from tests.serving.tiny_networks import unet, write_loops, write_networks

KEY = "a-key-for-the-page"
PHOTOGRAPH = EXAMPLES[0]
EXAMPLE = next(each for each in EXAMPLES if each.text)
UPRIGHT = 6
"""EXIF orientation of a photograph that was taken with the camera on its side."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running_browser:
        yield running_browser


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Iterator[EmbeddedServer]:
    """The real server with the project's models, and the diffusion models on tiny networks."""
    repository = tmp_path_factory.mktemp("everything")
    write_networks(repository, unet=unet(layers=6))
    write_loops(repository)
    for folder in MODEL_REPOSITORIES:
        for model in folder.iterdir():
            if not (repository / model.name).exists():
                (repository / model.name).symlink_to(model)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def paged(everything) -> Iterator[Facade]:
    """The facade with its page."""
    with running(Settings(triton_url=everything.grpc_url)) as facade:
        yield facade


@pytest.fixture(autouse=True)
def folder_of_gradio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio's folder is one for the process, so a test with another page gives it back to the one that goes on."""
    if "GRADIO_TEMP_DIR" in os.environ:
        monkeypatch.setenv("GRADIO_TEMP_DIR", os.environ["GRADIO_TEMP_DIR"])


@pytest.fixture
def desk(browser, paged) -> Iterator[Tab]:
    """A tab on a desk."""
    with tab(browser, paged.url, DESKTOP) as opened:
        yield opened


def test_a_person_types_what_is_out_of_place_sees_it_found_and_compares(desk, paged):
    desk.keep_picture("1_bring")
    desk.bring_example(EXAMPLE.text)
    expect(desk.page.get_by_label("What is out of place?")).to_have_value(EXAMPLE.text)
    desk.press("Find it")
    desk.wait_for("Found, ")
    expect(desk.page.locator(".pointing .mark")).to_be_visible()
    desk.keep_picture("2_found")
    desk.press("Harmonize")
    desk.wait_for("Done in")
    expect(desk.part("slider").locator("img")).to_have_count(2)
    desk.keep_picture("3_compared")

    picture, mask = desk.download("Download the picture"), desk.download("Download the mask")
    with httpx.Client(base_url=paged.url, timeout=60) as api:
        files = {"image": EXAMPLE.path.read_bytes(), "mask": mask}
        assert picture == api.post("/v1/harmonize", files=files).content
    assert decoded(mask).any() and decoded(mask).shape == decoded(picture).shape[:2]


def test_one_press_is_enough_after_typing(desk):
    desk.bring_example(EXAMPLE.text)
    desk.press("Harmonize")
    desk.wait_for("Done in")
    assert decoded(desk.download("Download the mask")).any()


def test_a_model_that_finds_the_part_itself_is_asked_with_words_whatever_is_marked(desk):
    desk.bring_example(EXAMPLE.text)
    desk.press("Find it")
    desk.wait_for("Found, ")
    desk.page.get_by_label("crisht").check()
    desk.press("Harmonize")
    desk.wait_for("Done in")
    expect(desk.part("slider").locator("img")).to_have_count(2)


def test_what_is_painted_is_harmonized_in_the_photograph_as_it_was_taken(desk):
    """On its side, larger than the editor's canvas, and answered upright in full size."""
    taken = Image.fromarray(photograph(2000, 1500))
    exif = Image.Exif()
    exif[0x0112] = UPRIGHT
    desk.bring("photo.jpg", encoded(taken, "JPEG", exif=exif, quality=90))
    desk.wait_for_photograph()
    desk.take_brush()
    desk.paint((0.45, 0.45), (0.55, 0.55))
    desk.press("Make a rectangle")
    desk.wait_for("The rectangle is marked.")
    desk.keep_picture("4_painted")
    desk.press("Harmonize")
    desk.wait_for("Done in")

    picture, mask = decoded(desk.download("Download the picture")), decoded(desk.download("Download the mask"))
    assert picture.shape == (2000, 1500, 3) and mask.shape == (2000, 1500)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all(), "a rectangle"
    assert abs(rows.mean() / 2000 - 0.5) < 0.03 and abs(columns.mean() / 1500 - 0.5) < 0.03
    upright = np.rot90(np.asarray(Image.open(io.BytesIO(encoded(taken, "JPEG", quality=90)))), -1)
    assert np.array_equal(picture[mask == 0], upright[mask == 0])
    assert not np.array_equal(picture[mask > 0], upright[mask > 0])


def test_an_outline_is_filled_and_a_mark_can_be_cleared(desk):
    desk.bring_example(EXAMPLE.text)
    desk.say("")
    desk.take_brush()
    desk.paint(*circle(0.5, 0.5, 0.2))
    desk.press("Fill the outline")
    desk.wait_for("What the line goes around is marked.")
    desk.press("Uneven edge")
    desk.wait_for("The edge is uneven now.")
    desk.press("Harmonize")
    desk.wait_for("Done in")
    mask = decoded(desk.download("Download the mask"))
    assert mask[mask.shape[0] // 2, mask.shape[1] // 2] == 255

    desk.press("Change the mark")
    desk.wait_for_editor()
    desk.press("Clear")
    desk.wait_for("Nothing is marked.")
    desk.press("Harmonize")
    desk.wait_for("say what is out of place, or paint over it")


def test_what_was_found_can_be_refined_by_hand(browser, paged):
    # The editor draws the mark in the pixels of the screen.
    with tab(browser, paged.url, DESKTOP, device_scale_factor=1) as desk:
        desk.bring_example(EXAMPLE.text)
        desk.press("Find it")
        desk.wait_for("Found, ")
        desk.press("Harmonize")
        desk.wait_for("Done in")
        found = decoded(desk.download("Download the mask"))
        desk.press("Change the mark")
        desk.take_brush()
        desk.paint((0.5, 0.9), (0.6, 0.9))
        desk.press("Harmonize")
        desk.wait_for("Done in")
        refined = decoded(desk.download("Download the mask"))
        assert np.all(refined[found > 0] == 255) and refined.sum() > found.sum()


def test_a_person_points_at_it_and_takes_away(desk):
    desk.bring_example("the dahlia")
    desk.press("Clear")
    desk.wait_for("Nothing is marked.")
    desk.point(0.48, 0.52)
    desk.wait_for("Guess 1 of ")
    expect(desk.page.locator(".pointing .belongs")).to_have_count(1)
    desk.keep_picture("4_pointed")
    desk.press("Another guess")
    desk.wait_for("Guess 2 of ")
    desk.point(0.1, 0.1, shift=True)
    desk.wait_for("Guess 1 of ")
    expect(desk.page.locator(".pointing .other")).to_have_count(1)
    desk.press("Harmonize")
    desk.wait_for("Done in")
    mask = decoded(desk.download("Download the mask"))
    height, width = mask.shape
    assert mask[round(0.52 * height), round(0.48 * width)] == 255 and mask[round(0.1 * height), round(0.1 * width)] == 0


def test_the_strength_is_changed_in_the_browser_and_taken_home_in_every_form(desk):
    desk.bring_example("the cup")
    desk.wait_for("It is marked.")
    desk.press("Harmonize")
    desk.wait_for("Done in")
    before, after = decoded(PHOTOGRAPH.path.read_bytes()), decoded(desk.download("Download the picture"))
    assert np.array_equal(decoded(desk.download("Download the mask")), decoded(PHOTOGRAPH.mask.read_bytes()))

    asked = len(desk.asked)
    desk.part("strength").locator("input[type=range]").fill("0.5")
    expect(desk.part("slider").locator("img").last).to_have_attribute("src", re.compile("^blob:"))
    elsewhere = [each for each in desk.asked[asked:] if not each.startswith("blob:") and "/file=" not in each]
    assert not elsewhere, "nobody is asked"
    half = decoded(desk.download("Download the picture"))
    assert np.array_equal(half, at_strength(before, after, 0.5))
    layer = decoded(desk.download("As a layer"))
    assert np.array_equal(np.where(layer[..., 3:] > 0, layer[..., :3], before), half)
    psd = PSDImage.open(io.BytesIO(desk.download("PSD")))
    assert np.array_equal(np.asarray(psd.topil().convert("RGB")), half) and len(list(psd)) == 2


def test_of_several_results_one_is_kept(desk, paged):
    desk.bring_example("the cup")
    desk.page.get_by_label("diffharmony").check()
    desk.part("count").get_by_text("3", exact=True).click()
    desk.press("Advanced ▼")
    desk.page.get_by_label("Seed").fill("7")
    desk.press("Harmonize")
    desk.wait_for("Done in")
    results = desk.part("results").locator("button")
    expect(results).to_have_count(3)
    desk.keep_picture("5_several")
    results.nth(2).click()
    desk.wait_for("Seed 9 gives it again.")
    kept = desk.download("Download the picture")
    with httpx.Client(base_url=paged.url, timeout=60) as api:
        files = {"image": PHOTOGRAPH.path.read_bytes(), "mask": PHOTOGRAPH.mask.read_bytes()}
        data = {"model": "diffharmony", "seed": "9"}
        assert np.array_equal(decoded(kept), decoded(api.post("/v1/harmonize", files=files, data=data).content))


def test_a_file_is_the_mask(desk):
    desk.bring_example(EXAMPLE.text)
    picture = decoded(EXAMPLE.path.read_bytes())
    mask = np.zeros(picture.shape[:2], np.uint8)
    mask[10:60, 20:90] = 255
    files = desk.part("mask-file").locator("xpath=..").locator("input[type=file]")
    files.set_input_files({"name": "mask.png", "mimeType": "image/png", "buffer": encoded(mask)})
    desk.wait_for("The mask of the file is marked.")
    desk.say("")
    desk.press("Harmonize")
    desk.wait_for("Done in")
    assert np.array_equal(decoded(desk.download("Download the mask")), mask)
    desk.press("Change the mark")
    files.set_input_files({"name": "mask.png", "mimeType": "image/png", "buffer": encoded(mask[:50])})
    expect(desk.page.get_by_role("alert")).to_contain_text("The mask cannot belong to the image")


def test_nothing_keeps_people_from_using_the_page(browser, paged):
    """axe-core finds nothing serious, in light and in dark, wherever a person comes by."""
    for scheme in ("light", "dark"):
        with tab(browser, paged.url, DESKTOP, color_scheme=scheme) as person:
            found = {"bring": serious(person)}
            person.bring_example("the cup")
            found["point"] = serious(person)
            person.page.get_by_label("diffharmony").check()
            person.part("count").get_by_text("2", exact=True).click()
            person.press("Advanced ▼")
            found["settings"] = serious(person)
            person.take_brush()
            found["brush"] = serious(person)
            person.press("Harmonize")
            person.wait_for("Done in")
            found["result"] = serious(person)
            assert not any(found.values()), found


def test_another_model_is_chosen_and_its_steps_are_watched(desk):
    desk.bring_example(EXAMPLE.text)
    expect(desk.part("steps")).to_have_count(0)
    desk.page.get_by_label("diffharmony").check()
    desk.press("Advanced ▼")
    desk.page.get_by_label("Seed").fill("7")
    desk.part("steps").locator("input[type=number]").fill("50")
    expect(desk.part("steps").locator("input[type=range]")).to_have_value("50")
    # What is folded away counts as well.
    desk.press("Advanced ▼")
    desk.page.evaluate(
        """() => {
            window.seen = []
            new MutationObserver(() => {
                const [status, preview] = [document.querySelector("#status"), document.querySelector("#preview img")]
                window.seen.push([status?.innerText ?? "", preview?.src ?? ""])
            }).observe(document.body, {childList: true, subtree: true, characterData: true, attributes: true})
        }"""
    )
    desk.press("Harmonize")
    expect(desk.part("preview").locator("img")).to_have_count(1)
    desk.keep_picture("5_steps")
    desk.wait_for("Seed 7 gives it again")
    desk.keep_picture("5_diffused")
    seen = desk.page.evaluate("window.seen")
    assert any("of 50" in status for status, _ in seen)
    assert any(preview.startswith("data:image/jpeg") for _, preview in seen)


def test_what_runs_is_cancelled_and_who_is_too_many_is_told_so(browser, gate):
    settings = Settings(triton_url=gate.server.grpc_url, concurrency={MODEL: 1}, queue=0, probe_interval=3600)
    gate.open()
    with running(settings) as facade:
        facade.wait_until(lambda: facade.app.state.readiness.ready)
        gate.close()
        with tab(browser, facade.url, DESKTOP) as first, tab(browser, facade.url, DESKTOP) as second:
            for each in (first, second):
                each.bring_example(EXAMPLE.text)
                each.take_brush()
                each.paint((0.4, 0.4), (0.6, 0.6))
                each.press("Harmonize")
                facade.wait_until(lambda: facade.service.admission.running[MODEL] == 1, "the first of the two runs")
            second.wait_for("The server is busy")
            second.wait_for("Try again in")
            second.keep_picture("6_busy")
            first.keep_picture("7_running")
            first.press("Cancel")
            first.wait_for("Cancelled.")
            facade.wait_until(lambda: not facade.service.jobs, "cancelling ends the job")
            gate.open()


def test_closing_the_tab_ends_what_it_asked_for(browser, gate):
    with running(Settings(triton_url=gate.server.grpc_url, probe_interval=3600)) as facade:
        with tab(browser, facade.url, DESKTOP) as left:
            left.bring_example(EXAMPLE.text)
            left.take_brush()
            left.paint((0.4, 0.4), (0.6, 0.6))
            left.press("Harmonize")
            facade.wait_until(lambda: len(facade.service.jobs) == 1, "the photograph is being harmonized")
        facade.wait_until(lambda: not facade.service.jobs, "the job ends with its tab")
        gate.open()


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (encoded(Image.new("CMYK", (64, 64)), "JPEG"), "CMYK image"),
        (b"no picture at all", "not a readable image"),
    ],
    ids=["cmyk", "no_picture"],
)
def test_a_photograph_that_cannot_be_used_is_explained(desk, file, words):
    desk.bring("photo.jpg", file)
    alert = desk.page.get_by_role("alert")
    expect(alert).to_contain_text(words)
    expect(alert).to_contain_text("Allowed: ")
    desk.keep_picture("8_refused")
    desk.bring_example(EXAMPLE.text)


def test_a_seed_that_cannot_be_used_is_explained(desk):
    desk.bring_example(EXAMPLE.text)
    desk.page.get_by_label("diffharmony").check()
    desk.press("Advanced ▼")
    desk.page.get_by_label("Seed").fill("lucky")
    desk.press("Harmonize")
    expect(desk.page.get_by_role("alert")).to_contain_text("The seed: 'lucky' is not allowed. Allowed: a whole number")


def test_a_photograph_that_the_server_has_forgotten_is_asked_for_again(desk, paged):
    desk.bring_example(EXAMPLE.text)
    paged.app.routes[-1].app.state_holder.session_data.clear()
    desk.press("Harmonize")
    expect(desk.page.get_by_role("alert")).to_contain_text("it is no longer here; drop it again")
    desk.bring_example(EXAMPLE.text)


def test_no_words_and_no_mark_are_asked_for(desk):
    desk.bring_example(EXAMPLE.text)
    desk.say("")
    desk.press("Find it")
    desk.wait_for("say what is out of place, or paint over it")


def test_with_keys_the_page_asks_to_sign_in(browser, everything):
    with running(Settings(triton_url=everything.grpc_url, api_keys=KEY)) as facade:
        with httpx.Client(base_url=facade.url) as stranger:
            assert stranger.get("/").status_code == 401
            assert stranger.get("/config").status_code == 401
            assert stranger.post("/gradio_api/upload").status_code == 401
            assert stranger.get("/v1/models").status_code == 401
            assert stranger.get("/healthz").status_code == 200
        with tab(browser, facade.url, DESKTOP) as person:
            person.keep_picture("9_sign_in")
            person.page.get_by_label("API key").fill("a guess")
            person.press("Sign in")
            expect(person.page.get_by_role("alert")).to_have_text("This key is not accepted.")
            person.page.get_by_label("API key").fill(KEY)
            person.press("Sign in")
            person.bring_example(EXAMPLE.text)
            person.press("Find it")
            person.wait_for("Found, ")
            person.page.get_by_role("link", name="Sign out").click()
            expect(person.page.get_by_label("API key")).to_be_visible()


def test_a_key_may_ask_the_page_no_more_than_the_api(browser, everything):
    settings = Settings(triton_url=everything.grpc_url, api_keys=KEY, rate_limit="1/hour")
    with running(settings) as facade, tab(browser, facade.url, DESKTOP) as person:
        person.page.get_by_label("API key").fill(KEY)
        person.press("Sign in")
        person.bring_example(EXAMPLE.text)
        person.press("Find it")
        person.wait_for("Found, ")
        person.press("Harmonize")
        expect(person.page.get_by_role("alert")).to_contain_text("Too many requests")


def test_the_page_fits_a_phone_and_speaks_the_browsers_language(browser, paged):
    with tab(browser, paged.url, PHONE, has_touch=True, is_mobile=True, locale="zh-CN") as phone:

        def fits() -> bool:
            return phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        assert fits()
        phone.keep_picture("phone_1_bring")
        phone.bring_example(CHINESE["example.moon"])
        assert fits()
        phone.press(CHINESE["words.find"])
        phone.wait_for(CHINESE["words.found"].partition("{")[0])
        phone.keep_picture("phone_2_found")
        phone.press(CHINESE["mode.harmonize.press"])
        phone.wait_for(CHINESE["result.done"].partition("{")[0])
        assert fits()
        phone.keep_picture("phone_3_compared")
        assert phone.page.locator("html").get_attribute("lang") == "zh-CN"


def test_the_keyboard_is_enough(desk):
    def reach(name: str, role: str = "button") -> None:
        wanted = desk.page.get_by_role(role, name=name)
        expect(wanted.first).to_be_visible()
        for _ in range(60):
            desk.page.keyboard.press("Tab")
            if wanted.first.evaluate("each => each === document.activeElement"):
                return
        pytest.fail(f"{name} is not reached")

    reach(EXAMPLE.text)
    desk.page.keyboard.press("Enter")
    desk.wait_for_photograph()
    reach("What is out of place?", "textbox")
    desk.page.keyboard.press("Enter")
    desk.wait_for("Found, ")
    reach("Harmonize")
    desk.page.keyboard.press("Enter")
    desk.wait_for("Done in")
    reach("Compare", "slider")
    before = desk.page.get_by_test_id("slider").get_attribute("style")
    desk.page.keyboard.press("ArrowRight")
    expect(desk.page.get_by_test_id("slider")).not_to_have_attribute("style", before)


def test_the_page_leaves_the_other_routes_alone(paged):
    with httpx.Client(base_url=paged.url) as api:
        assert api.get("/healthz").json() == {"status": "ok"}
        assert "/v1/harmonize" in api.get("/openapi.json").json()["paths"]
        assert api.get("/v1/nothing").headers["content-type"] == "application/problem+json"


def test_what_the_page_serves_names_no_other_host(paged):
    with httpx.Client(base_url=paged.url) as api:
        scripts = re.findall(r"<(?:script|link|iframe)[^>]*(?:src|href)=[\"']([^\"']*)", api.get("/").text)
        assert scripts and not [source for source in scripts if "//" in source]
        assert not re.findall(r"@import|url\([\"']?https?:", api.get("/theme.css").text)


def test_the_files_of_the_page_are_gone_when_it_is(everything, browser):
    with running(Settings(triton_url=everything.grpc_url)) as facade:
        folder = Path(gradio_folder())
        assert folder.stat().st_mode & 0o777 == 0o700
        with tab(browser, facade.url, DESKTOP) as person:
            person.bring_example(EXAMPLE.text)
        assert list(folder.rglob("*.jpg"))
    assert not folder.exists()


def gradio_folder() -> str:
    return os.environ["GRADIO_TEMP_DIR"]
