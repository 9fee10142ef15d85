"""A bucket that speaks S3, with keys from the environment; the server is moto's."""

import math
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from concord.bulk.folder import Folder
from concord.bulk.journal import Journal, Records
from concord.bulk.order import Order
from concord.bulk.place import Place, s3
from concord.bulk.run import run
from concord.server.installation import ROOT
from concord_client.errors import InvalidInput

START_SECONDS = 60.0
PROGRAM = ROOT / ".venv-s3" / "bin" / "moto_server"
REGION = "us-east-1"


@pytest.fixture(scope="module")
def s3_url(tmp_path_factory) -> Iterator[str]:
    if not PROGRAM.exists():
        pytest.skip("moto is not installed: make .venv-s3/installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as written:
        process = subprocess.Popen([PROGRAM, "-H", "127.0.0.1", "-p", str(port)], stdout=written, stderr=written)
        try:
            end = time.monotonic() + START_SECONDS
            while True:
                try:
                    urllib.request.urlopen(f"{url}/moto-api/").close()
                    break
                except OSError:
                    assert time.monotonic() < end, log.read_text()
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a bucket with two images."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": s3_url,
        "AWS_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    s3(allow_bucket_creation=True).create_dir("pictures")
    for name in ("one.jpg", "more/two.png"):
        Place.of("s3://pictures/in").write(name, b"a picture")
    yield "s3://pictures"
    s3().delete_dir_contents("pictures")
    urllib.request.urlopen(urllib.request.Request(f"{s3_url}/moto-api/reset", method="POST")).close()


def ask_who_it_is(s3_url: str, after: float) -> None:
    """Has the server look at keys from so many requests on; it knows nobody's."""
    headers = {"Content-Type": "text/plain"}
    body = str(after).encode()
    urllib.request.urlopen(urllib.request.Request(f"{s3_url}/moto-api/reset-auth", body, headers)).close()


def test_a_bucket_has_rows_and_takes_pictures_lines_and_the_table(bucket: str) -> None:
    order = Order(f"{bucket}/in", f"{bucket}/out", "segment", text="a ball")
    source, target = Place.of(order.source), Place.of(order.target)
    assert source.names() == ["more/two.png", "one.jpg"]
    row = Folder(order, source, source.names()).row("more/two.png")
    assert source.system.cat_file(row["image_path"]) == b"a picture"
    target.require_writable()
    assert Records(target, order).lines() == {}
    journal, line = Journal(target), {"id": "one.jpg", "status": "done", "output": "images/one.png", "score": 0.5}
    journal.write([line])
    journal.write([line | {"id": "two", "output": "images/two.png"}])
    assert not target.has("images/one.png")
    target.write("images/one.png", b"harmonized")
    assert target.has("images/one.png")
    assert Records(target, order).compact().keys() == {"one.jpg"}
    assert target.names() == ["images/one.png", "results.parquet"]


def test_a_bucket_without_access_is_named_and_nothing_is_written(
    bucket: str, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_who_it_is(s3_url, after=0)
    try:
        with pytest.raises(InvalidInput, match=r"\[no_access\] INPUT: 's3://pictures/in' cannot be reached"):
            run(Order(f"{bucket}/in", str(tmp_path / "out"), "segment", text="a ball"))
        assert not (tmp_path / "out").exists()
        (tmp_path / "one.jpg").write_bytes(b"a picture")
        with pytest.raises(InvalidInput, match=r"\[no_access\] OUTPUT: 's3://pictures/out' cannot be reached"):
            run(Order(str(tmp_path), f"{bucket}/out", "segment", text="a ball"))
    finally:
        ask_who_it_is(s3_url, after=math.inf)


def test_a_bucket_that_is_not_there_is_named(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"\[not_found\] INPUT: there is nothing at 's3://nobodys/in'"):
        run(Order("s3://nobodys/in", str(tmp_path / "out"), "segment", text="a ball"))
