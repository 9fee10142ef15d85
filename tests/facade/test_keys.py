"""With keys on, nobody asks without one; keys are kept as hashes and never shown."""

import hmac
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from facade.access.keys import Keys, hash_of
from facade.settings import Settings, SettingsError
from tests.facade.running import PATIENCE, Facade, running
from tests.serving.pictures import encoded, photograph

ANN, BOB = "concord-key-of-ann", "concord-key-of-bob"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def locked(server, tmp_path_factory) -> Iterator[Facade]:
    """A facade with a key in the variable and one in the file."""
    hashes = tmp_path_factory.mktemp("keys") / "hashes"
    hashes.write_text(f"# who may ask\n\nbob {hash_of(BOB)}\n")
    with running(Settings(triton_url=server.grpc_url, page=False, api_keys=ANN, api_keys_file=hashes)) as facade:
        yield facade


@pytest.fixture(scope="module")
def limited(server, tmp_path_factory) -> Iterator[Facade]:
    """A facade where Bob may do less than Ann."""
    hashes = tmp_path_factory.mktemp("keys") / "hashes"
    limits = "max_text_bytes=5 max_pixels=100 models=cris rate=2/hour"
    hashes.write_text(f"ann {hash_of(ANN)}\nbob {hash_of(BOB)} {limits}\n")
    with running(Settings(triton_url=server.grpc_url, page=False, api_keys_file=hashes)) as facade:
        yield facade


def segmented(facade: Facade, key: str, text: str, image: bytes) -> tuple[int, str]:
    """Status, and what is allowed where it is refused."""
    url = f"{facade.url}/v1/segment"
    answer = httpx.post(url, headers=bearer(key), files={"image": image}, data={"text": text}, timeout=PATIENCE)
    return answer.status_code, "" if answer.status_code == 200 else answer.json()["allowed"]


def test_a_key_may_have_limits_of_its_own(limited, image):
    small = encoded(photograph(8, 8))
    assert segmented(limited, ANN, "the red square", image)[0] == 200
    assert segmented(limited, BOB, "the red square", small) == (400, "at most 5 bytes of UTF-8")
    assert segmented(limited, BOB, "a dot", image) == (413, "at most 100 pixels")
    status, allowed = segmented(limited, BOB, "a dot", small)
    assert (status, allowed) == (429, "2/hour with one key")
    assert segmented(limited, ANN, "the red square", image)[0] == 200


def test_a_model_that_a_key_may_not_ask_is_not_there_for_it(server, tmp_path, image, mask):
    hashes = tmp_path / "hashes"
    hashes.write_text(f"ann {hash_of(ANN)}\nbob {hash_of(BOB)} max_text_bytes=5 models=cris\n")
    settings = Settings(triton_url=server.grpc_url, page=False, api_keys_file=hashes)
    with running(settings) as facade, httpx.Client(base_url=facade.url, timeout=PATIENCE) as client:
        ann, bob = bearer(ANN), bearer(BOB)
        told = {key: client.get("/v1/models", headers=bearer(key)).json()["data"] for key in (ANN, BOB)}
        files = {"image": image, "mask": mask}
        statuses = [client.post("/v1/harmonize", headers=who, files=files).status_code for who in (ann, bob)]
    assert {"ht", "cris"} <= {model["name"] for model in told[ANN]} and statuses == [200, 404]
    assert [(model["name"], model["limits"]["max_text_bytes"]) for model in told[BOB]] == [("cris", 5)]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("another"),
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {ANN}"},
        {"Authorization": ANN},
        {"X-Api-Key": ANN},
    ],
    ids=["none", "wrong", "empty", "another scheme", "no scheme", "another header"],
)
def test_who_has_no_key_is_refused(locked, headers):
    answer = httpx.get(f"{locked.url}/v1/models", headers=headers, timeout=PATIENCE)
    problem = answer.json()
    assert answer.status_code == 401 and answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert problem["type"] == "urn:concord:problem:unauthorized" and problem["field"] == "Authorization"
    assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("key", [ANN, BOB], ids=["variable", "file"])
def test_who_has_a_key_is_answered(locked, key):
    assert httpx.get(f"{locked.url}/v1/models", headers=bearer(key), timeout=PATIENCE).status_code == 200


def test_who_has_no_key_is_refused_before_the_body_is_read(locked):
    head = f"POST /v1/harmonize HTTP/1.1\r\nHost: {locked.host}\r\nContent-Length: 50000000\r\n\r\n"
    with socket.create_connection((locked.host, locked.port), timeout=PATIENCE) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_health_needs_no_key_and_metrics_do(locked):
    assert httpx.get(f"{locked.url}/healthz").status_code == 200
    assert httpx.get(f"{locked.url}/readyz").status_code in (200, 503)
    assert httpx.get(f"{locked.url}/metrics").status_code == 401
    assert httpx.get(f"{locked.url}/metrics", headers=bearer(BOB)).status_code == 200


def test_a_key_that_is_not_ascii_is_refused_like_any_other(locked):
    headers = [(b"authorization", b"Bearer \xff\xfe\xc3")]
    assert httpx.get(f"{locked.url}/v1/models", headers=headers).status_code == 401


def test_without_keys_nobody_is_asked_for_one(http):
    assert http.get("/v1/models").status_code == 200


@pytest.fixture
def hashes(tmp_path) -> Path:
    path = tmp_path / "hashes"
    path.write_text(f"ann {hash_of(ANN)}\nbob {hash_of(BOB)}\n")
    return path


def test_a_key_is_known_by_its_holder(hashes):
    keys = Keys(Settings(api_keys_file=hashes))
    assert (keys.check(ANN), keys.check(BOB), keys.check("another"), keys.check("")) == ("ann", "bob", None, None)


def test_every_key_is_compared_whichever_it_is(hashes, monkeypatch):
    compared = []
    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: compared.append(other) or original(one, other))
    Keys(Settings(api_keys_file=hashes)).check(ANN)
    assert compared == [hash_of(ANN), hash_of(BOB)]


def test_no_key_is_kept(tmp_path):
    keys = Keys(Settings(api_keys=f" {ANN} ,{BOB},"))
    assert ANN not in json.dumps(keys.__dict__, default=vars) and keys.check(BOB) == "key-2"


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("ann not-a-hash", "line 1"),
        (f"ok {'0' * 64}\n{ANN}", "line 2"),
        (f"ann {'0' * 64} more=1", "'more=1' is no limit of a key"),
        (f"ann {'0' * 64} rate=often", "'rate=often' is no limit of a key"),
        (f"ann {'0' * 64} max_text_bytes=10001", "to everybody's at most"),
        (f"ann {'0' * 64}\nann {'1' * 64}", "ann is there twice"),
    ],
)
def test_a_wrong_file_of_hashes_is_explained(tmp_path, lines, complaint):
    hashes = tmp_path / "hashes"
    hashes.write_text(lines)
    with pytest.raises(SettingsError, match=complaint) as caught:
        Keys(Settings(api_keys_file=hashes))
    # Whoever mistook the file for one of keys does not find them in a log.
    assert ANN not in str(caught.value)


def test_a_missing_file_of_hashes_is_explained(tmp_path):
    with pytest.raises(SettingsError, match=r"--api-keys-file"):
        Keys(Settings(api_keys_file=tmp_path / "none"))


def test_the_command_makes_a_key_and_the_line_that_accepts_it(tmp_path):
    command = [Path(sys.executable).with_name("concord"), "keys", "ann"]
    hashes = tmp_path / "hashes"
    with hashes.open("w") as file:
        shown = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, check=True).stderr
    key = shown.split()[-1]
    assert Keys(Settings(api_keys_file=hashes)).check(key) == "ann"
    assert len(key) > 40 and key not in hashes.read_text()
