"""`python -m benchmarks.load`: real servers under load, over gRPC and HTTP; what cannot be measured is said."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load.__main__ import main
from benchmarks.load.identity_model import write_instant
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, Pipeline
from tests.benchmarks.plain_kserve import plain_kserve

BRIEF = ("--seconds", "0.3", "--warm-up", "0.05", "--width", "64", "--height", "64")
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models that give back what they get, `instant` at once and `sleepy` after a while."""
    folder = tmp_path_factory.mktemp("models")
    write_instant(folder)
    write_instant(folder, "sleepy", seconds=0.01)
    return folder


@pytest.fixture(scope="module")
def instant(repository: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a brief load test and gives what it wrote: ``run("--url", ..., status=0)``."""

    def run(*arguments: str | Path, status: int = 0) -> dict[str, Any]:
        output = tmp_path / "result.json"
        assert main([*BRIEF, *map(str, arguments), "--output", str(output)]) == status
        return json.loads(output.read_text())

    return run


@pytest.fixture(params=["grpc", "http"])
def url(request: pytest.FixtureRequest, instant: EmbeddedServer) -> str:
    return instant.grpc_url if request.param == "grpc" else f"http://{instant.http_url}"


def test_every_request_of_closed_and_open_loops_is_counted_and_the_warm_up_is_not(
    run: Run, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run("--url", url, "--pipeline", "instant", "--clients", 3, "--rate", 100)
    assert [load["load"] for load in result["loads"]] == ["3 clients", "100 requests/s"]
    table = capsys.readouterr().out
    for load in result["loads"]:
        assert load["asked"] == load["answered"] > 0 and not load["errors"] and load["per_second"] > 0
        assert load["milliseconds"]["p50"] <= load["milliseconds"]["p95"] <= load["milliseconds"]["p99"]
        assert load["stages"]["instant"]["requests"] == load["answered"]
        assert not load["server"] and len(load["windows"]) == 5
        assert f"| {load['load']} | {load['milliseconds']['p50']:.3g}" in table


def test_of_a_server_of_our_own_cpu_and_memory_are_told(run: Run, repository: Path) -> None:
    [load] = run("--model-repository", repository, "--pipeline", "instant", "--protocol", "http")["loads"]
    assert load["answered"] > 0 and load["server"]["peak_mib"] >= load["server"]["mib"] > 1
    assert 0 < load["server"]["cpu_seconds"] < 10 * load["server"]["seconds"]


@pytest.mark.parametrize("pipeline", ["segment", "diffharmony"])
def test_concord_s_pipelines_get_what_they_need(run: Run, server: EmbeddedServer, pipeline: str) -> None:
    [load] = run("--url", server.grpc_url, "--pipeline", pipeline)["loads"]
    assert load["asked"] == load["answered"] > 0, load["errors"]


def test_time_is_split_by_model_without_the_ensemble(run: Run, server: EmbeddedServer) -> None:
    pipeline = harmonizing(server, "TEXT")
    result = run("--url", f"http://{server.http_url}")
    assert result["recipe"]["pipeline"] == pipeline.name
    [load] = result["loads"]
    # Another test's request may still be on its way.
    assert pipeline.name not in load["stages"] and load["stages"].keys() >= set(pipeline.members)
    assert all(load["stages"][member]["requests"] >= load["answered"] > 0 for member in pipeline.members)


def test_refusals_are_errors_of_their_kind_and_no_answers(
    run: Run, server: EmbeddedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "request.json").write_text('{"inputs": [{"name": "IMAGE", "data": ["no image"]}]}')
    pipeline = harmonizing(server, "MASK").name
    [load] = run("--url", server.grpc_url, "--pipeline", pipeline, "--data", tmp_path / "request.json", status=1)[
        "loads"
    ]
    assert (load["answered"], load["milliseconds"]) == (0, {})
    assert load["errors"]["INVALID_ARGUMENT invalid_image"]["count"] == load["asked"] > 0
    assert "invalid_image: " in capsys.readouterr().out


def harmonizing(server: EmbeddedServer, given: str) -> Pipeline:
    """The default pipeline for a text or a mask."""
    with Client(server.grpc_url) as client:
        return client.catalogue().choose("harmonize", None, {"IMAGE", given}, streams=False)


def test_a_kserve_server_without_triton_s_extensions_is_measured_too(run: Run) -> None:
    with plain_kserve() as url:
        [load] = run("--url", url, "--pipeline", "sum", "--clients", 2)["loads"]
    assert load["asked"] == load["answered"] > 0 and not load["stages"]


def test_a_slower_recipe_is_told_from_its_base_and_a_faster_one(
    run: Run, instant: EmbeddedServer, tmp_path: Path
) -> None:
    base = tmp_path / "base.json"
    base.write_text(json.dumps(run("--url", instant.grpc_url, "--pipeline", "instant")))
    slower = run("--compare", base, "--pipeline", "sleepy", "--pairs", 6)
    base.write_text(json.dumps(slower))
    [compared] = slower["comparisons"]
    assert compared["p50"]["verdict"] == compared["throughput"]["verdict"] == "slower"
    assert compared["p50"]["ratio"] > 1 > compared["throughput"]["ratio"]
    assert len(compared["base"]) == len(compared["here"]) == 6
    faster = run("--compare", base, "--pipeline", "instant", "--url", f"http://{instant.http_url}", "--pairs", 6)
    [compared] = faster["comparisons"]
    assert compared["p50"]["verdict"] == compared["throughput"]["verdict"] == "faster"


def test_a_server_that_is_not_ready_is_said_by_the_command() -> None:
    command = [sys.executable, "-m", "benchmarks.load.__main__", "--url", "127.0.0.1:9"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "127.0.0.1:9 does not answer gRPC" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "http://127.0.0.1:9"], "http://127.0.0.1:9 does not answer HTTP"),
        (["--url", "ftp://127.0.0.1:9"], "url: is 'ftp://127.0.0.1:9'; allowed: HOST:PORT"),
        (["--url", "127.0.0.1:9", "--profile", "int8"], "url: a server that runs has a profile"),
        (["--url", "GRPC", "--pipeline", "nothing"], "no 'nothing'; allowed: instant, sleepy"),
        (["--url", "HTTP", "--pipeline", "nothing"], "no 'nothing'; allowed: instant, sleepy"),
        (["--url", "HTTP", "--pipeline", "instant", "--data", "OTHER"], "no input 'X'; allowed: IMAGE, MASK"),
        (["--url", "GRPC", "--pipeline", "instant", "--data", "WRONG"], "MASK cannot be read"),
        (["--profile", "int"], "profile: no model has 'int'; allowed: "),
        (["--data", "nowhere.json"], "data: nowhere.json cannot be read"),
        (["--compare", "nowhere.json"], "compare: nowhere.json cannot be read"),
        (["--compare", "README.md"], "compare: README.md is no JSON"),
        (["--compare", "OTHER"], "is no result of a load test"),
        (["--compare", "OLD"], "OLD: clients: Input should be a valid tuple"),
        (["--compare", "BASE", "--clients", "2"], "the loads differ: 2 clients; allowed: 1 client"),
        (["--clients", "0"], "clients: is 0; allowed: more than 0"),
        (["--rate", "nan"], "rates: is nan; allowed: more than 0"),
        (["--seconds", "3", "--window", "2"], "window: is 2; allowed: at most 1/3 of 3 s"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_measured_is_said_in_words(
    arguments: list[str], words: str, instant: EmbeddedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = {
        "OTHER": {"inputs": [{"name": "X"}]},
        "WRONG": {"inputs": [{"name": "MASK", "data": ["a", "b"]}]},
        "OLD": {"tool": "concord load test", "recipe": {"clients": "many"}},
        "BASE": {"tool": "concord load test", "recipe": {}},
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    places = {"GRPC": instant.grpc_url, "HTTP": f"http://{instant.http_url}"}
    places |= {name: str(tmp_path / name) for name in contents}
    assert main([places.get(argument, argument) for argument in arguments]) == 1
    assert words in capsys.readouterr().err


def test_a_stream_is_not_asked_over_http(server: EmbeddedServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", f"http://{server.http_url}", "--pipeline", "diffharmony"]) == 1
    assert "diffharmony answers with a stream, which HTTP does not carry" in capsys.readouterr().err
