"""An account finds what it asked to keep: listed, picture by picture, asked again, removed, and all as one file."""

import io
import json
import zipfile
from collections.abc import Iterator

import httpx
import pytest

from facade.app import create_app
from facade.settings import Settings, SettingsError
from facade.store.address import file_url
from facade.wire.replies import KEPT
from tests.facade.gated import MODEL, Gated, gated
from tests.facade.running import PATIENCE
from tests.serving.pictures import decoded, encoded, middle, photograph

IMAGE, MASK = encoded(photograph(40, 30)), encoded(middle(40, 30))
FILES = {"image": IMAGE, "mask": MASK}
KEYED = {"Authorization": "Bearer of-the-settings"}


@pytest.fixture(scope="module")
def keeping(tmp_path_factory) -> Iterator[Gated]:
    """A facade whose accounts may keep results."""
    folder = tmp_path_factory.mktemp("keeping")
    settings = {
        "accounts": "open",
        "store": file_url(folder / "store.db"),
        "api_keys": "of-the-settings",
        "history_days": 7,
        "history_bytes": 2**20,
        "rate_limit": "1000/minute",
    }
    with gated(folder, **settings) as running:
        yield running


@pytest.fixture
def ann(keeping, request) -> Iterator[httpx.Client]:
    """Somebody with an account of their own."""
    with httpx.Client(base_url=keeping.facade.url, timeout=PATIENCE) as client:
        people = keeping.facade.app.state.accounts
        name = f"ann{abs(hash(request.node.name)) % 10**9}"
        _, token = keeping.facade.run(people.register(name, "correct horse battery", "", name))
        client.cookies.set("concord-session", token)
        yield client


def kept(client: httpx.Client, **fields: str) -> str:
    answer = client.post("/v1/harmonize", files=FILES, data={"keep": "true", **fields})
    assert answer.status_code == 200, answer.text
    return answer.headers[KEPT]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def test_a_result_is_kept_where_that_is_asked_for(ann):
    assert KEPT not in ann.post("/v1/harmonize", files=FILES).headers
    assert KEPT not in ann.post("/v1/harmonize", files=FILES, data={"keep": "false"}).headers
    assert ann.get("/v1/history").json()["data"] == []
    result = kept(ann)
    page = ann.get("/v1/history").json()
    [found] = page["data"]
    assert found == ann.get(f"/v1/history/{result}").json() and found["id"] == result
    assert (found["task"], found["model"], found["words"], found["seed"]) == ("harmonize", MODEL, "", None)
    assert found["pictures"] == ["before", "mask", "after"] and found["expires"] - found["created"] == 7 * 86_400
    assert page["bytes"] == found["bytes"] and (page["max_bytes"], page["days"]) == (2**20, 7)
    for part, content in {"before": IMAGE, "mask": MASK}.items():
        answer = ann.get(f"/v1/history/{result}/{part}")
        assert answer.content == content and answer.headers["content-type"] == "image/png"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert (decoded(ann.get(f"/v1/history/{result}/after").content) == photograph(40, 30)).all()


def test_a_stream_tells_what_is_kept_before_the_result(ann):
    events = ann.post("/v1/harmonize", files=FILES, data={"keep": "true", "stream": "true"}).text
    names = [line.removeprefix("event: ") for line in events.splitlines() if line.startswith("event: ")]
    assert names[-2:] == ["kept", "result"]
    [told] = [json.loads(line[6:]) for line in events.splitlines() if line.startswith('data: {"id"')]
    assert ann.get(f"/v1/history/{told['id']}").status_code == 200


def test_pages_go_back_to_the_oldest(ann):
    results = [kept(ann) for _ in range(3)]
    first = ann.get("/v1/history", params={"limit": 2}).json()
    assert [each["id"] for each in first["data"]] == results[:0:-1]
    second = ann.get("/v1/history", params={"limit": 2, "before": first["next"]}).json()
    assert [each["id"] for each in second["data"]] == results[:1] and second["next"] is None


def test_a_result_is_asked_again_and_may_be_kept_again(ann):
    result = kept(ann)
    again = ann.post(f"/v1/history/{result}/again")
    assert again.status_code == 200 and again.content == ann.get(f"/v1/history/{result}/after").content
    another = ann.post(f"/v1/history/{result}/again", params={"keep": "true"}).headers[KEPT]
    assert ann.get(f"/v1/history/{another}/before").content == IMAGE
    refused = ann.post(f"/v1/history/{result}/again", params={"model": "no_such"})
    assert code(refused) == (404, "unknown_model")
    assert code(ann.post(f"/v1/history/{result}/again", params={"seed": "1"})) == (400, "unexpected_field")
    assert code(ann.post(f"/v1/history/{result}/again", params={"word": "1"})) == (400, "unexpected_field")


def test_all_results_come_as_one_file(ann):
    results = [kept(ann) for _ in range(2)]
    archive = zipfile.ZipFile(io.BytesIO(ann.get("/v1/history/archive").content))
    listed = json.loads(archive.read("results.json"))
    assert [each["id"] for each in listed] == results[::-1] and archive.testzip() is None
    assert {name for each in listed for name in each["files"]} | {"results.json"} == set(archive.namelist())
    assert archive.read(next(name for name in listed[0]["files"] if name.endswith("/before.png"))) == IMAGE


def test_what_is_removed_is_gone(ann):
    first, second = kept(ann), kept(ann)
    assert ann.delete(f"/v1/history/{first}").status_code == 204
    for path in (f"/v1/history/{first}", f"/v1/history/{first}/after"):
        assert code(ann.get(path)) == (404, "not_found")
    assert code(ann.delete(f"/v1/history/{first}")) == (404, "not_found")
    assert ann.delete("/v1/history").json() == {"removed": 1}
    assert code(ann.get(f"/v1/history/{second}/before")) == (404, "not_found")


def test_results_are_their_owners_alone(ann, keeping):
    result = kept(ann)
    accounts = keeping.facade.app.state.accounts
    _, token = keeping.facade.run(accounts.register("bob-the-other", "correct horse battery", "", "bob"))
    paths = ("", "/before", "/again")
    with httpx.Client(base_url=keeping.facade.url, timeout=PATIENCE) as other:
        for path in paths:
            ask = other.post if path == "/again" else other.get
            assert code(ask(f"/v1/history/{result}{path}")) == (401, "unauthorized")
            assert code(ask(f"/v1/history/{result}{path}", headers=KEYED)) == (403, "forbidden")
        answer = other.post("/v1/harmonize", files=FILES, data={"keep": "true"}, headers=KEYED)
        assert code(answer) == (403, "forbidden") and "only accounts" in answer.json()["detail"]
        other.cookies.set("concord-session", token)
        for path in paths:
            ask = other.post if path == "/again" else other.get
            assert code(ask(f"/v1/history/{result}{path}")) == (404, "not_found")
        assert code(other.delete(f"/v1/history/{result}")) == (404, "not_found")


def test_a_key_of_an_account_reaches_its_results(ann, keeping):
    result = kept(ann)
    made = ann.post("/v1/account/keys", json={"name": "laptop"}).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    answer = httpx.get(f"{keeping.facade.url}/v1/history/{result}", headers=headers, timeout=PATIENCE)
    assert answer.json()["id"] == result


def test_a_wrong_page_is_refused_as_a_problem(ann):
    for limit in ("0", "101", "x"):
        answer = ann.get("/v1/history", params={"limit": limit})
        assert code(answer) == (400, "invalid_setting") and answer.json()["field"] == "limit"
    assert code(ann.get("/v1/history", params={"before": "no-such"})) == (404, "not_found")


def test_the_account_takes_its_results_with_it(ann, keeping):
    kept(ann)
    folder = keeping.facade.service.settings.results_folder
    before = len(list(folder.iterdir()))
    assert ann.post("/v1/account/delete", json={"password": "correct horse battery"}).status_code == 204
    keeping.facade.run(keeping.facade.app.state.histories.history.sweep())
    assert len(list(folder.iterdir())) == before - len(("before", "mask", "after", "before-small", "after-small"))


def test_without_the_setting_nothing_is_kept_and_nothing_is_there(tmp_path):
    off = create_app(Settings(page=False, accounts="open", store=file_url(tmp_path / "store.db")))
    form = off.openapi()["paths"]["/v1/harmonize"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert "keep" not in form["properties"]
    assert not [path for path in off.openapi()["paths"] if path.startswith("/v1/history")]


@pytest.mark.parametrize(
    "given", [{"accounts": "off"}, {"accounts": "open", "store": "postgresql://127.0.0.1/concord"}]
)
def test_settings_that_keep_nothing_are_refused(given):
    with pytest.raises(SettingsError, match=r"--(history-days|history-folder)"):
        create_app(Settings(page=False, history_days=7, **given))
