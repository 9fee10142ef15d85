"""With accounts on, people register and sign in; what is revoked, blocked, deleted or stolen lets nobody in."""

import argparse
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import httpx
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import delete, func, select, update

from facade.access.cookie import COOKIE
from facade.access.keys import hash_of
from facade.accounts import command
from facade.accounts.tables import Account, Key, Session, Usage
from facade.accounts.throttle import OF_ADDRESS
from facade.settings import Settings
from facade.store.address import file_url
from facade.store.tables import now
from tests.commands import run
from tests.facade.gated import gated
from tests.facade.running import PATIENCE, Facade, running
from tests.serving.pictures import encoded, middle, photograph

PASSWORD = "correct horse battery"
ADMINISTRATOR = "root-of-all"
_ADDRESSES = count(1)


def address() -> dict[str, str]:
    """The header of a request from somewhere that nobody else asks from."""
    number = next(_ADDRESSES)
    return {"X-Forwarded-For": f"10.1.{number // 256}.{number % 256}"}


@contextmanager
def person(facade: Facade, **headers: str) -> Iterator[httpx.Client]:
    """A browser at an address of its own."""
    with httpx.Client(base_url=facade.url, timeout=PATIENCE, headers={**address(), **headers}) as client:
        yield client


def entered(client: httpx.Client, name: str, way: str = "register", **further: str) -> httpx.Response:
    return client.post(f"/v1/account/{way}", json={"name": name, "password": PASSWORD, **further})


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def concord(store: str, *words: str, monkeypatch: pytest.MonkeyPatch, stdin: str = f"{PASSWORD}\n"):
    def main(arguments) -> int:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return command.run(parser.parse_args(arguments))

    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    return run(main, "--store", store, *words)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    return file_url(tmp_path_factory.mktemp("store") / "store.db")


@pytest.fixture(scope="module")
def facade(store) -> Iterator[Facade]:
    """A facade without a Triton, where everybody may register and has an administrator."""
    given = {"accounts": "open", "store": store, "proxies": "127.0.0.1", "rate_limit": "1000/minute"}
    with running(Settings(triton_url="127.0.0.1:9", page=False, **given)) as facade:
        people = facade.app.state.accounts.people
        facade.run(people.add(ADMINISTRATOR, PASSWORD, "administrator"))
        yield facade


@pytest.fixture
def names() -> Iterator[str]:
    return (f"p{number}x" for number in _NUMBERS)


_NUMBERS = count()


def test_who_registers_is_signed_in_and_asks_with_the_cookie(facade, names):
    name = next(names)
    with person(facade) as client:
        assert client.get("/v1/models").status_code == 401
        answer = entered(client, name.upper())
        cookie = answer.headers["set-cookie"]
        assert answer.status_code == 201 and answer.json()["name"] == name and answer.json()["role"] == "user"
        assert cookie.startswith(f"{COOKIE}=") and "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert client.get("/v1/account").json()["limits"]["rate"] == "1000/minute"
        assert client.get("/v1/nothing").status_code == 404


def test_a_name_that_is_taken_or_looks_like_one_is_refused_also_when_two_register_at_once(facade, names):
    name = next(names) + "olo"
    with ThreadPoolExecutor(2) as threads:

        def register(_: int) -> int:
            with person(facade) as client:
                return entered(client, name).status_code

        assert sorted(threads.map(register, range(2))) == [201, 409]
    with person(facade) as client:
        assert code(entered(client, name.replace("o", "0"))) == (409, "name_taken")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"name": "x\x07y", "password": PASSWORD}, (400, "invalid_name")),
        ({"name": "xавтор", "password": PASSWORD}, (400, "invalid_name")),
        ({"name": "xerxes", "password": "12345678"}, (400, "weak_password")),
        ({"name": "xerxes", "password": "x" * 1000}, (400, "weak_password")),
        ({"name": "xerxes"}, (400, "missing_field")),
        ({"name": "xerxes", "password": 7}, (400, "invalid_setting")),
        ({"name": "xerxes", "password": PASSWORD, "role": "administrator"}, (400, "unexpected_field")),
    ],
    ids=str,
)
def test_what_cannot_be_registered_is_told_by_its_field(facade, sent, expected):
    with person(facade) as client:
        answer = client.post("/v1/account/register", json=sent)
    assert code(answer) == expected and answer.json()["field"] in (*sent, "password")


def test_a_wrong_password_and_a_name_that_is_not_there_get_the_same_answer(facade, names):
    name = next(names)
    with person(facade) as client:
        entered(client, name)
    answers = []
    with person(facade) as client:
        for each, password in ((name, "another password"), (next(names), PASSWORD), ("n\x00", PASSWORD)):
            answer = client.post("/v1/account/sign-in", json={"name": each, "password": password})
            answers.append((*code(answer), answer.json()["detail"], COOKIE in client.cookies))
    assert set(answers) == {(401, "unauthorized", "the name or the password is wrong", False)}


def test_a_name_that_is_not_there_costs_a_hash_as_one_that_is(facade, names, monkeypatch):
    name, hashed = next(names), []
    with person(facade) as client:
        entered(client, name)
    verify = PasswordHash.verify_and_update
    monkeypatch.setattr(PasswordHash, "verify_and_update", lambda *given: hashed.append(given) or verify(*given))
    with person(facade) as client:
        for each in (name, "nobody-at-all"):
            client.post("/v1/account/sign-in", json={"name": each, "password": "wrong password"})
    assert len(hashed) == 2 and len({known.split("$")[3] for _, _, known in hashed}) == 1


def test_many_wrong_tries_from_one_address_let_nobody_in_and_keep_nobody_else_out(facade, names):
    name = next(names)
    with person(facade) as client:
        entered(client, name)
    most = int(OF_ADDRESS[0].partition("/")[0])
    with person(facade) as attacker:
        tried = [
            attacker.post("/v1/account/sign-in", json={"name": name, "password": f"wrong-{number}"})
            for number in range(most + 3)
        ]
        assert [each.status_code for each in tried] == [401] * most + [429] * 3
        assert 0 < int(tried[-1].headers["retry-after"]) <= 60 and tried[-1].json()["allowed"]
        # The right one is not looked at either.
        assert entered(attacker, name, "sign-in").status_code == 429
    with person(facade) as owner:
        assert entered(owner, name, "sign-in").status_code == 200


def test_signing_out_ends_a_session_and_everywhere_all(facade, names):
    name = next(names)
    with person(facade) as one, person(facade) as other:
        entered(one, name)
        entered(other, name, "sign-in")
        stolen = {"Cookie": f"{COOKIE}={other.cookies[COOKIE]}"}
        assert other.post("/v1/account/sign-out").status_code == 204 and COOKIE not in other.cookies
        assert one.get("/v1/account").status_code == 200
        assert httpx.get(f"{facade.url}/v1/account", headers=stolen).status_code == 401
        entered(other, name, "sign-in")
        assert one.post("/v1/account/sign-out?everywhere=true").status_code == 204
        assert other.get("/v1/account").status_code == 401


def test_an_expired_and_an_invented_cookie_let_nobody_in(facade, names):
    name = next(names)
    with person(facade) as client:
        entered(client, name)

        async def expire() -> None:
            async with facade.app.state.accounts.store.begin() as session:
                mine = Session.hash == hash_of(client.cookies[COOKIE])
                await session.execute(update(Session).where(mine).values(expires=now()))

        facade.run(expire())
        assert code(client.get("/v1/account")) == (401, "unauthorized")
        for invented in ("", "x", "' OR 1=1 --", "ä" * 10):
            headers = {"Cookie": f"{COOKIE}={invented}".encode()}
            assert httpx.get(f"{facade.url}/v1/account", headers=headers).status_code == 401


def test_another_sites_page_cannot_use_a_cookie(facade, names):
    with person(facade) as client:
        entered(client, next(names))
        answer = client.post("/v1/account/keys", json={"name": "k"}, headers={"Origin": "https://evil.example"})
        assert code(answer) == (403, "foreign_origin") and client.get("/v1/account/keys").json()["data"] == []


def test_a_changed_password_ends_all_other_sessions(facade, names):
    name, new = next(names), "another long phrase"
    with person(facade) as one, person(facade) as other:
        entered(one, name)
        entered(other, name, "sign-in")
        wrong = one.put("/v1/account/password", json={"password": "wrong one", "new": new})
        weak = one.put("/v1/account/password", json={"password": PASSWORD, "new": "password1"})
        assert code(wrong) == (401, "unauthorized") and code(weak) == (400, "weak_password")
        assert one.put("/v1/account/password", json={"password": PASSWORD, "new": new}).status_code == 204
        assert [each.get("/v1/account").status_code for each in (one, other)] == [200, 401]
        assert entered(other, name, "sign-in").status_code == 401


def test_a_hash_of_weaker_parameters_is_made_anew_when_its_owner_signs_in(facade, names):
    name = next(names)
    weak = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8 * 4),)).hash(PASSWORD)

    async def hash_kept(replaced: str | None = None) -> str:
        async with facade.app.state.accounts.store.begin() as session:
            if replaced:
                await session.execute(update(Account).where(Account.name == name).values(password=replaced))
            return (await session.scalars(select(Account.password).where(Account.name == name))).one()

    with person(facade) as client:
        entered(client, name)
        assert facade.run(hash_kept(weak)) == weak
        assert entered(client, name, "sign-in").status_code == 200
    strong = facade.run(hash_kept())
    assert strong != weak and strong.startswith("$argon2id$") and PASSWORD not in strong


def test_a_key_of_an_account_asks_as_its_owner_until_it_is_revoked(facade, names):
    name = next(names)
    with person(facade) as client:
        entered(client, name)
        made = client.post("/v1/account/keys", json={"name": "laptop"}).json()
        bearer = {"Authorization": f"Bearer {made['key']}"}
        assert code(client.post("/v1/account/keys", json={"name": "laptop"})) == (409, "name_taken")
        assert client.post("/v1/account/keys", json={"name": "a\nb"}).status_code == 400
        assert httpx.get(f"{facade.url}/v1/account", headers=bearer).json()["name"] == name
        assert [each["name"] for each in client.get("/v1/account/keys").json()["data"]] == ["laptop"]
        assert made["key"] not in client.get("/v1/account/keys").text
        with person(facade) as other:
            entered(other, next(names))
            assert code(other.delete(f"/v1/account/keys/{made['id']}")) == (404, "not_found")
        assert client.delete(f"/v1/account/keys/{made['id']}").status_code == 204
        assert httpx.get(f"{facade.url}/v1/account", headers=bearer).status_code == 401


def test_with_an_account_go_its_sessions_keys_and_counts(facade, names):
    name = next(names)
    with person(facade) as client:
        entered(client, name)
        key = client.post("/v1/account/keys", json={"name": "laptop"}).json()["key"]
        assert client.post("/v1/account/delete", json={"password": "wrong one"}).status_code == 401
        number = facade.app.state.accounts.entrance.holders[f"account/{name}"].id
        assert client.post("/v1/account/delete", json={"password": PASSWORD}).status_code == 204
        assert client.get("/v1/account").status_code == 401
        assert httpx.get(f"{facade.url}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 401
        assert entered(client, name, "sign-in").status_code == 401

    async def left() -> int:
        async with facade.app.state.accounts.store.reading() as session:
            kinds = [
                select(func.count()).select_from(kind).where(kind.account_id == number)
                for kind in (Session, Key, Usage)
            ]
            return sum([(await session.scalars(each)).one() for each in kinds])

    assert facade.run(left()) == 0


@pytest.fixture
def administrator(facade) -> Iterator[httpx.Client]:
    with person(facade) as client:
        assert entered(client, ADMINISTRATOR, "sign-in").status_code == 200
        yield client


def test_an_administrator_sees_accounts_limits_and_blocks_them(facade, administrator, names):
    name = next(names)
    with person(facade) as client:
        entered(client, name)
        assert code(client.get("/v1/accounts")) == (403, "forbidden")
        assert code(client.patch(f"/v1/accounts/{name}", json={"role": "administrator"})) == (403, "forbidden")
        assert name in [each["name"] for each in administrator.get("/v1/accounts").json()["data"]]
        changed = administrator.patch(
            f"/v1/accounts/{name}", json={"limits": "rate=3/hour models=ht", "role": "annotator"}
        )
        assert changed.json()["role"] == "annotator"
        assert client.get("/v1/account").json()["limits"]["models"] == ["ht"]
        wrong = administrator.patch(f"/v1/accounts/{name}", json={"limits": "rate=often"})
        assert code(wrong) == (400, "invalid_setting") and "rate=COUNT" in wrong.json()["detail"]
        assert code(administrator.patch("/v1/accounts/nobody", json={})) == (404, "unknown_account")
        assert administrator.patch(f"/v1/accounts/{name}", json={"blocked": True}).json()["blocked"]
        assert client.get("/v1/account").status_code == 401
        assert code(entered(client, name, "sign-in")) == (403, "forbidden")
        assert administrator.delete(f"/v1/accounts/{name}").status_code == 204
        assert entered(client, name, "sign-in").status_code == 401


def test_the_last_administrator_stays(administrator):
    for change in ({"role": "user"}, {"blocked": True}):
        assert code(administrator.patch(f"/v1/accounts/{ADMINISTRATOR}", json=change)) == (403, "forbidden")
    assert code(administrator.delete(f"/v1/accounts/{ADMINISTRATOR}")) == (403, "forbidden")
    assert code(administrator.post("/v1/account/delete", json={"password": PASSWORD})) == (403, "forbidden")


def test_an_account_manages_models_only_as_administrator(facade, administrator, names):
    with person(facade) as client:
        entered(client, next(names))
        assert code(client.post("/v1/models/ht/load")) == (403, "forbidden")
    # This facade has no Triton of its own.
    assert code(administrator.post("/v1/models/ht/load")) == (404, "not_found")


@pytest.mark.parametrize("registration", ["invitation", "closed"])
def test_registration_is_by_invitation_or_closed(facade, administrator, names, registration, monkeypatch):
    monkeypatch.setattr(facade.app.state.accounts, "registration", registration)
    name, invitation = next(names), administrator.post("/v1/invitations", json={"role": "annotator"}).json()["code"]
    with person(facade) as client:
        assert code(entered(client, name)) == (403, "forbidden")
        assert code(entered(client, name, invitation="invented")) == (403, "forbidden")
        answer = entered(client, name, invitation=invitation)
        if registration == "closed":
            assert code(answer) == (403, "forbidden")
        else:
            assert answer.status_code == 201 and answer.json()["role"] == "annotator"
            assert code(entered(client, next(names), invitation=invitation)) == (403, "forbidden")


def test_the_first_administrator_is_made_by_the_command(tmp_path, monkeypatch):
    url = file_url(tmp_path / "store.db")
    made = concord(url, "add", "Ann", "--role", "administrator", monkeypatch=monkeypatch)
    assert (made.returncode, made.stdout) == (0, "ann is administrator\n")
    again = concord(url, "add", "ann", monkeypatch=monkeypatch)
    assert again.returncode == 1 and "there is an account of this name" in again.stderr
    assert concord(url, "add", "bob", monkeypatch=monkeypatch, stdin="password1\n").returncode == 1
    assert concord(url, "remove", "ann", monkeypatch=monkeypatch).returncode == 1
    assert concord(url, "change", "ann", "--limits", "rate=5/minute", monkeypatch=monkeypatch).returncode == 0
    assert concord(url, "list", monkeypatch=monkeypatch).stdout == "ann\tadministrator\t0\trate=5/minute\n"


def test_pictures_of_a_day_are_counted_where_they_are_admitted_and_last(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    url = file_url(folder / "store.db")
    files = {"image": encoded(photograph(8, 8)), "mask": encoded(middle(8, 8))}

    def asked(client: httpx.Client) -> int:
        return client.post("/v1/harmonize", files=files, headers=bearer).status_code

    given = {"accounts": "open", "store": url, "pictures": 3}
    with gated(folder, **given) as gate, person(gate.facade) as client:
        entered(client, "ann")
        bearer = {"Authorization": f"Bearer {client.post('/v1/account/keys', json={'name': 'k'}).json()['key']}"}
        assert client.post("/v1/harmonize", files={**files, "image": b"no image"}, headers=bearer).status_code == 400
        assert [asked(client) for _ in range(2)] == [200, 200]
        assert client.get("/v1/account").json()["pictures_today"] == 2
        triton = gate.server.grpc_url
        # Another replica, or the same after it was killed: what was answered was written.
        with running(Settings(triton_url=triton, page=False, **given)) as facade, person(facade) as other:
            statuses = [asked(other) for _ in range(2)]
            refused = other.post("/v1/harmonize", files=files, headers=bearer)
    assert statuses == [200, 429] and code(refused) == (429, "rate_limited")
    assert refused.json()["allowed"] == "3 a day" and int(refused.headers["retry-after"]) <= 86_400


def test_a_store_that_goes_away_is_503_and_comes_back(tmp_path):
    path = tmp_path / "folder" / "store.db"
    given = {"accounts": "open", "store": file_url(path), "proxies": "127.0.0.1"}
    with running(Settings(triton_url="127.0.0.1:9", page=False, **given)) as facade, person(facade) as client:
        entered(client, "ann")
        assert client.get("/v1/account").status_code == 200
        looks = facade.app.state.accounts.store._looks
        looks._engine.dispose()
        path.parent.rename(tmp_path / "elsewhere")
        answer = client.get("/v1/account")
        assert code(answer) == (503, "unavailable") and int(answer.headers["retry-after"]) > 0
        assert str(tmp_path) not in answer.text
        (tmp_path / "elsewhere").rename(path.parent)
        assert client.get("/v1/account").status_code == 200


def test_nothing_is_imported_for_accounts_where_there_are_none():
    words = (
        "import sys; from facade.app import create_app; from facade.settings import Settings; "
        "create_app(Settings(page=False)); "
        "print([each for each in ('sqlalchemy', 'alembic', 'pwdlib') if each in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert told.stdout == "[]\n"


def test_no_password_and_no_cookie_is_logged(facade, names, capsys):
    with person(facade) as client:
        entered(client, next(names))
        token = client.cookies[COOKIE]
        client.get(f"/v1/account?password={PASSWORD}")
    told = capsys.readouterr()
    assert PASSWORD not in told.out + told.err and token not in told.out + told.err and json.dumps(told.out)


def test_the_description_has_the_routes_of_accounts_only_where_they_are(facade):
    described = httpx.get(f"{facade.url}/openapi.json", timeout=PATIENCE).json()["paths"]
    assert "security" not in described["/v1/account/sign-in"]["post"]
    assert described["/v1/account/keys"]["post"]["security"] and "/v1/accounts" in described
    with running(Settings(triton_url="127.0.0.1:9", page=False)) as other:
        assert not [path for path in httpx.get(f"{other.url}/openapi.json").json()["paths"] if "account" in path]


def test_many_who_are_deleted_and_registered_at_once_leave_no_session_of_nobody(facade, names):
    async def remove(name: str) -> None:
        async with facade.app.state.accounts.store.begin() as session:
            await session.execute(delete(Account).where(Account.name == name))

    name = next(names)
    with person(facade) as client:
        entered(client, name)
        with ThreadPoolExecutor(2) as threads:
            signing = threads.submit(entered, client, name, "sign-in")
            facade.run(remove(name))
            assert signing.result().status_code in (200, 401)
        assert client.get("/v1/account").status_code == 401
