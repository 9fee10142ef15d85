"""A result that a whole Concord said it kept is there after the facade was killed."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from facade.store.address import file_url
from facade.wire.replies import KEPT
from tests.facade.running import PATIENCE
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.stack import Stack, harmonizing_models, serving, wait_until

FILES = {"image": encoded(photograph(40, 30)), "mask": encoded(middle(40, 30))}
WRITERS, ENOUGH = 3, 12


@contextmanager
def keeping(tmp_path: Path, *arguments: object) -> Iterator[Stack]:
    """`concord serve` that is ready."""
    with serving(tmp_path, *arguments) as stack:
        wait_until(lambda: httpx.get(f"{stack.url}/readyz", timeout=PATIENCE).is_success)
        yield stack


def test_what_was_kept_when_the_facade_is_killed_can_be_fetched_from_the_next_one(tmp_path: Path) -> None:
    store = ["--store", file_url(tmp_path / "store.db"), "--accounts", "open"]
    limits = ["--history-days", 7, "--history-bytes", 2**26, "--rate-limit", "100000/minute"]
    command = ["--model-repository", harmonizing_models(tmp_path), *store, *limits]
    acknowledged: dict[str, bytes] = {}

    def keep(url: str, cookies: httpx.Cookies) -> None:
        """Asks to keep results until nobody answers."""
        with httpx.Client(base_url=url, cookies=cookies, timeout=PATIENCE) as client:
            while True:
                try:
                    answer = client.post("/v1/harmonize", files=FILES, data={"keep": "true"})
                except httpx.TransportError:
                    return
                if answer.status_code != 200:
                    return
                acknowledged[answer.headers[KEPT]] = answer.content

    with keeping(tmp_path, *command) as stack:
        entry = {"name": "ann", "password": "correct horse battery"}
        cookies = httpx.post(f"{stack.url}/v1/account/register", json=entry, timeout=PATIENCE).cookies
        writers = [threading.Thread(target=keep, args=(stack.url, cookies)) for _ in range(WRITERS)]
        for each in writers:
            each.start()
        wait_until(lambda: len(acknowledged) >= ENOUGH)
        os.kill(stack.process.pid, signal.SIGKILL)
        for each in writers:
            each.join(PATIENCE)
    with (
        keeping(tmp_path, *command) as stack,
        httpx.Client(base_url=stack.url, cookies=cookies, timeout=PATIENCE) as client,
    ):
        for token, harmonized in acknowledged.items():
            found = client.get(f"/v1/history/{token}/after")
            assert found.status_code == 200, found.text
            assert (decoded(found.content) == decoded(harmonized)).all()
