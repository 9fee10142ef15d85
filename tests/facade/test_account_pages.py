"""Who has an account finds results, keys and people again in a browser, by keyboard, on a desktop and on a phone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from facade.access.cookie import COOKIE
from facade.store.address import file_url
from facade.work.operator import Operator
from tests.facade.accessibility import serious
from tests.facade.browsing import DESKTOP, PHONE, Tab, chromium, tab
from tests.facade.gated import MODEL, Gated, gated
from tests.facade.keeping import result
from tests.facade.running import PATIENCE
from tests.facade.visitor import Visitor
from tests.serving.pictures import encoded, photograph

PASSWORD = "correct horse battery"
BEFORE, AFTER = encoded(photograph(320, 240)), encoded(photograph(320, 240)[::-1])


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Gated]:
    folder = tmp_path_factory.mktemp("pages")
    given = {"accounts": "open", "store": file_url(folder / "store.db"), "history_days": 7, "history_bytes": 2**24}
    with gated(folder, page=True, rate_limit="1000/minute", **given) as running:
        facade = running.facade
        facade.app.state.operator = Operator(facade.service, running.server)
        facade.run(facade.app.state.accounts.people.add("root", PASSWORD, "administrator"))
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def signed_in(served: Gated, name: str) -> str:
    """What the cookie says of somebody who has signed in; an account is made where there is none."""
    accounts = served.facade.app.state.accounts
    if name == "root":
        return served.facade.run(accounts.sessions.begin(name, PASSWORD, "10.0.0.1"))
    return served.facade.run(accounts.register(name, PASSWORD, "", f"of {name}"))[1]


def keep(served: Gated, name: str, words: str) -> str:
    histories = served.facade.app.state.histories
    account = histories.entrance.holders[f"account/{name}"].id
    pictures = {"before": BEFORE, "after": AFTER, "before-small": BEFORE, "after-small": AFTER}
    kept = replace(result(words), model=MODEL, pictures={**result().pictures, **pictures})
    return served.facade.run(histories.history.keep(account, kept))


@contextmanager
def visiting(browser: Browser, served: Gated, of: httpx.Client, viewport: dict[str, int], **options) -> Iterator[Tab]:
    """A tab of somebody who has signed in."""
    cookie = {"name": COOKIE, "value": of.cookies[COOKIE], "url": served.facade.url}
    with tab(browser, served.facade.url, viewport, **options) as person:
        person.page.context.add_cookies([cookie])
        yield person


def client(served: Gated, name: str) -> httpx.Client:
    return httpx.Client(base_url=served.facade.url, timeout=PATIENCE, cookies={COOKIE: signed_in(served, name)})


def test_the_gallery_compares_and_deletes_by_keyboard(served, browser):
    with client(served, "ann") as ann:
        ann.get("/gallery")
        for words in ("the red ball", "a cup with a very long description of what it is and where it stands"):
            keep(served, "ann", words)
        for viewport, name in ((DESKTOP, "desktop"), (PHONE, "phone")):
            with visiting(browser, served, ann, viewport) as person:
                page = person.page
                page.goto(f"{person.url}/gallery")
                expect(page.get_by_role("article")).to_have_count(2)
                expect(page.get_by_text("the red ball")).to_be_visible()
                expect(page.get_by_text(str(2**63 - 1)).first).to_be_visible()
                handle = page.get_by_role("slider").first
                handle.focus()
                page.keyboard.press("ArrowRight")
                share = page.locator(".compare").first.evaluate("(each) => each.style.getPropertyValue('--share')")
                assert share == "51%"
                shown = page.locator(".compare img").evaluate_all("(all) => all.every((each) => each.naturalWidth > 0)")
                assert shown and not serious(person)
                width = page.evaluate("() => document.documentElement.scrollWidth")
                assert width <= viewport["width"]
                person.keep_picture(f"gallery-{name}")
                if viewport is PHONE:
                    page.get_by_role("button", name="Delete").first.press("Enter")
                    expect(page.get_by_role("article")).to_have_count(1)


def test_a_key_is_shown_once_and_revoked(served, browser):
    with client(served, "bob") as bob, visiting(browser, served, bob, PHONE) as person:
        page = person.page
        page.goto(f"{person.url}/keys")
        page.get_by_label("Name of the key").fill("laptop <b>")
        page.keyboard.press("Enter")
        key = page.locator("code").inner_text()
        asked = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{person.url}/v1/models", headers=asked, timeout=PATIENCE).status_code == 200
        assert not serious(person)
        person.keep_picture("keys-phone")
        page.goto(f"{person.url}/keys")
        assert key not in page.content()
        page.get_by_role("button", name="Revoke laptop <b>").press("Enter")
        expect(page.get_by_text("There is no key yet.")).to_be_visible()
        assert httpx.get(f"{person.url}/v1/models", headers=asked, timeout=PATIENCE).status_code == 401


def test_an_administrator_changes_accounts_invites_and_unloads_models(served, browser):
    signed_in(served, "dora")
    with client(served, "root") as root, visiting(browser, served, root, DESKTOP) as person:
        page = person.page
        page.goto(f"{person.url}/administration")
        page.get_by_label("Limits of dora").fill("pictures=5")
        page.get_by_label("Role of dora").select_option("annotator")
        page.get_by_role("button", name="Save dora").press("Enter")
        expect(page.get_by_label("Limits of dora")).to_have_value("pictures=5")
        page.get_by_label("Limits of dora").fill("flying=5")
        page.get_by_role("button", name="Save dora").click()
        expect(page.get_by_role("alert")).to_contain_text("limits")
        page.get_by_label("Delete dora").press("Enter")
        page.get_by_role("button", name="Delete dora").press("Enter")
        expect(page.get_by_label("Limits of dora")).to_have_count(0)
        page.get_by_role("button", name="Invite somebody").click()
        assert re.fullmatch(r"[\w-]{20,}", page.locator("code").inner_text())
        page.get_by_role("button", name=f"Unload {MODEL}").click()
        page.get_by_role("button", name=f"Load {MODEL}").click()
        expect(page.get_by_role("button", name=f"Unload {MODEL}")).to_be_visible()
        assert not serious(person)
        person.keep_picture("administration-desktop")
        page.set_viewport_size(PHONE)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
        person.keep_picture("administration-phone")


def test_the_account_changes_its_password_and_goes(served, browser):
    with client(served, "eve") as eve, visiting(browser, served, eve, DESKTOP, locale="zh-CN") as person:
        page = person.page
        page.goto(f"{person.url}/account")
        expect(page.get_by_role("heading", name="账户", exact=True)).to_be_visible()
        page.get_by_label("当前密码").first.fill("wrong")
        page.get_by_label("新密码").fill("another horse battery")
        page.get_by_role("button", name="修改密码").click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("当前密码").first.fill(PASSWORD)
        page.get_by_label("新密码").fill("another horse battery")
        page.get_by_role("button", name="修改密码").click()
        expect(page.get_by_role("status")).to_be_visible()
        assert not serious(person)
        person.keep_picture("account-desktop")
        page.get_by_label("当前密码").last.fill("another horse battery")
        page.get_by_role("button", name="删除账户").click()
        expect(page.get_by_label("密码")).to_be_visible()
    assert "account/eve" not in str(served.facade.run(served.facade.app.state.accounts.people.all()))


def test_a_result_is_run_again_and_all_are_taken_home(served):
    with client(served, "fay") as fay:
        fay.get("/gallery")
        files = {"image": BEFORE, "mask": encoded(photograph(320, 240))}
        answer = fay.post("/v1/harmonize", files=files, data={"keep": "true"})
        found = {"result": answer.headers["X-Concord-Kept"]}
        assert fay.post("/gallery/again", data=found).headers["location"] == "/gallery"
        assert fay.get("/gallery").text.count("<article") == 2
        assert fay.get("/gallery/archive").content.startswith(b"PK")
        assert fay.post("/gallery/remove", data=found).status_code == 303
        gone = fay.post("/gallery/again", data=found)
        assert gone.status_code == 404 and 'role="alert"' in gone.text and gone.text.count("<article") == 1


def test_pages_are_for_who_has_signed_in_and_administration_for_administrators(served):
    paths = ("/gallery", "/account", "/keys", "/administration")
    for path in paths:
        answer = httpx.get(served.facade.url + path, timeout=PATIENCE)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    with client(served, "gus") as gus:
        for path in paths[:3]:
            answer = gus.get(path)
            assert answer.status_code == 200 and "/administration" not in answer.text
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
        assert gus.get("/administration").status_code == 403
        for form in ("change", "remove", "invite", "models"):
            assert gus.post(f"/administration/{form}", data={"name": "root", "role": "user"}).status_code == 403
        foreign = gus.post("/account/sign-out-everywhere", headers={"Origin": "https://elsewhere.example"})
        assert foreign.status_code == 403 and gus.get("/account").status_code == 200
        assert 'href=\\"/gallery\\"' in gus.get("/config").text
        assert gus.post("/account/sign-out-everywhere").status_code == 303
        assert gus.get("/account").status_code == 303


def test_the_switch_on_the_main_page_keeps_a_result(served):
    with client(served, "ida") as ida:
        visitor, white = Visitor(ida), np.full((240, 320, 4), 255, np.uint8)
        shown = visitor.upload(BEFORE)
        assert visitor.join("drop", "upload", shown).status_code == 200 and "process_completed" in visitor.told()
        editor = {"background": None, "layers": [visitor.upload(encoded(white))], "composite": None}
        for keep in (False, True):
            asked = visitor.join("press", "click", None, editor, "harmonize", "", MODEL, 1, keep, {})
            assert asked.status_code == 200 and "process_completed" in visitor.told()
            assert ida.get("/gallery").text.count("<article") == int(keep)
