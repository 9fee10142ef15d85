"""What was acknowledged is there after the server was killed in the middle of it."""

import subprocess
import sys
import threading
from pathlib import Path

import httpx

from annotation.record import Annotation, Record, read_records
from tests.annotation.running import PATIENCE, annotating
from tests.annotation.scenes import write_scenes
from tests.annotation.site import action

ANNOTATORS = 3
BEFORE_THE_KILL = 12


class Worker(threading.Thread):
    """Somebody who answers sample after sample, and notes what was acknowledged, until the server is gone."""

    def __init__(self, url: str, name: str, acknowledged: list[tuple[str, str]], enough: threading.Event) -> None:
        super().__init__()
        self._url, self._name, self._acknowledged, self._enough = url, name, acknowledged, enough

    def run(self) -> None:
        try:
            with httpx.Client(base_url=self._url, timeout=PATIENCE) as http:
                enter(http, self._name)
                for number in range(1000):
                    place = action(http.get("/sample").text)
                    words = f"{self._name} {number}"
                    assert http.post(place, data={"own": words, "action": "keep"}).status_code == 303
                    self._acknowledged.append((place.removeprefix("/samples/"), words))
                    if len(self._acknowledged) >= BEFORE_THE_KILL:
                        self._enough.set()
        except httpx.TransportError:
            self._enough.set()


def enter(http: httpx.Client, name: str) -> None:
    """Signs in, and reads the guide."""
    http.post("/enter", data={"name": name})
    http.post("/guide", data={"read": "1"})


def exported(folder: Path) -> list[Record]:
    """The answers, as the command writes them."""
    written = folder / "answers.jsonl"
    command = (sys.executable, "-m", "annotation.command", "--dataset", folder, "--export", written)
    subprocess.run(command, check=True, capture_output=True)
    return read_records(written)


def test_no_acknowledged_answer_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    write_scenes(tmp_path, 1, 60)
    acknowledged: list[tuple[str, str]] = []
    enough = threading.Event()
    with annotating(tmp_path) as server:
        workers = [Worker(server.url, f"annotator {each}", acknowledged, enough) for each in range(ANNOTATORS)]
        for worker in workers:
            worker.start()
        assert enough.wait(PATIENCE)
        server.kill()
        for worker in workers:
            worker.join(PATIENCE)
    assert len(acknowledged) >= BEFORE_THE_KILL
    kept = [(each.composite, each.expression) for each in exported(tmp_path) if isinstance(each, Annotation)]
    assert set(acknowledged) <= set(kept) and len(set(kept)) == len(kept)
    assert len({composite for composite, _ in kept}) == len(kept), "a sample was answered twice"


def test_a_visit_and_a_draft_outlive_the_server(tmp_path: Path) -> None:
    write_scenes(tmp_path, 1)
    with annotating(tmp_path) as server, httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
        enter(http, "ada")
        place = action(http.get("/sample").text)
        draft = place.replace("/samples/", "/drafts/")
        assert http.put(draft, data={"own": "half a sente"}).status_code == 204
        server.kill()
        port = httpx.URL(server.url).port
        assert port is not None
        with annotating(tmp_path, port=port):
            page = http.get("/sample").text
            assert action(page) == place and 'value="half a sente"' in page
