"""What a facade with accounts has answered lasts, when it is killed in the middle of writes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from concord.server.embedded import Ports
from facade.store.address import file_url
from tests.facade.running import PATIENCE

ENOUGH = 15


@contextmanager
def serving(store: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`concord serve` in a process of its own, without a Triton."""
    port = Ports(grpc=0, metrics=0).chosen().grpc
    words = ["--triton-url", "127.0.0.1:9", "--no-page", "--accounts", "open", "--store", store, "--port", str(port)]
    command = [sys.executable, "-m", "facade.serve", *words, "--rate-limit", "100000/minute"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + PATIENCE
        while not is_alive(url):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        yield process, url
    finally:
        process.kill()
        process.wait(PATIENCE)


def is_alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_keys_that_were_shown_are_accepted_and_those_that_were_revoked_are_not(tmp_path):
    store = file_url(tmp_path / "store.db")
    shown: list[str] = []
    revoked: list[str] = []

    def write(url: str, cookies: httpx.Cookies) -> None:
        """Makes keys, and revokes every other one, until nobody answers."""
        with httpx.Client(base_url=url, cookies=cookies, timeout=PATIENCE) as client:
            number = 0
            while True:
                try:
                    made = client.post("/v1/account/keys", json={"name": f"key {number}"})
                    if made.status_code != 201:
                        return
                    shown.append(made.json()["key"])
                    if client.delete(f"/v1/account/keys/{made.json()['id']}").status_code == 204:
                        revoked.append(shown.pop())
                    number += 1
                except httpx.TransportError:
                    return

    with serving(store, tmp_path) as (process, url):
        entry = {"name": "ann", "password": "correct horse battery"}
        cookies = httpx.post(f"{url}/v1/account/register", json=entry, timeout=PATIENCE).cookies
        kept = httpx.post(f"{url}/v1/account/keys", json={"name": "kept"}, cookies=cookies).json()["key"]
        writer = threading.Thread(target=write, args=(url, cookies))
        writer.start()
        deadline = time.monotonic() + PATIENCE
        while len(revoked) < ENOUGH and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        writer.join(PATIENCE)
    assert len(revoked) >= ENOUGH
    with serving(store, tmp_path) as (_, url), httpx.Client(base_url=url, timeout=PATIENCE) as client:

        def status(key: str) -> int:
            return client.get("/v1/account", headers={"Authorization": f"Bearer {key}"}).status_code

        assert status(kept) == 200
        assert {status(key) for key in revoked} == {401}
        client.cookies = cookies
        assert client.get("/v1/account").status_code == 200
        # One that was shown when the facade was killed may have been revoked without a word.
        assert len(shown) <= 1
