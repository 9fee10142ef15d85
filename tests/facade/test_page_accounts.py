"""With accounts on, the page asks for a name and a password, and lets people register, in their language."""

from collections.abc import Iterator

import httpx
import pytest

from facade.access.cookie import COOKIE
from facade.settings import Settings
from facade.store.address import file_url
from tests.facade.running import PATIENCE, Facade, running

ENTRY = {"name": "ann", "password": "correct horse battery"}


@pytest.fixture(scope="module")
def paged(tmp_path_factory) -> Iterator[Facade]:
    """A facade with the page, without a Triton."""
    store = file_url(tmp_path_factory.mktemp("store") / "store.db")
    with running(Settings(triton_url="127.0.0.1:9", accounts="open", store=store)) as facade:
        yield facade


@pytest.fixture
def browser(paged) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=paged.url, timeout=PATIENCE) as client:
        yield client


def test_who_registers_on_the_page_is_shown_it_and_is_known_to_the_api_too(browser):
    form = browser.get("/")
    assert form.status_code == 401 and 'action="/sign-in"' in form.text and 'href="/register"' in form.text
    registering = browser.get("/register")
    assert 'name="name"' in registering.text and 'autocomplete="new-password"' in registering.text
    taken = browser.post("/register", data=ENTRY | {"name": "x\x07"})
    assert taken.status_code == 400 and 'role="alert"' in taken.text and COOKIE not in browser.cookies
    answer = browser.post("/register", data=ENTRY)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    assert browser.get("/config").status_code == 200
    assert browser.get("/v1/account").json()["name"] == "ann"
    assert browser.get("/sign-out").status_code == 303
    assert browser.get("/config").status_code == 401
    wrong = browser.post("/sign-in", data=ENTRY | {"password": "wrong <b>password</b>"})
    assert wrong.status_code == 401 and "The name or the password is wrong." in wrong.text and "<b>" not in wrong.text
    assert 'value="ann"' in wrong.text
    assert browser.post("/sign-in", data=ENTRY).status_code == 303 and COOKIE in browser.cookies


def test_the_forms_are_in_chinese_where_the_browser_asks_for_it(browser):
    headers = {"Accept-Language": "zh-CN"}
    assert "用户名" in browser.get("/", headers=headers).text
    assert "注册" in browser.get("/register", headers=headers).text
    wrong = browser.post("/sign-in", data={"name": "nobody", "password": "x"}, headers=headers)
    assert "用户名或密码错误。" in wrong.text and 'lang="zh-CN"' in wrong.text


def test_another_sites_page_cannot_sign_anybody_in(browser):
    answer = browser.post("/sign-in", data=ENTRY, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403 and COOKIE not in browser.cookies
