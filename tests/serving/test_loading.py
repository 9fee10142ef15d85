"""Models come and go at run time; nobody who asks for another notices."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from concord.instruments.started_server import served_config
from concord.server.processes import of_model
from concord_client import Client
from concord_client.command import main
from facade.access.keys import hash_of
from tests.commands import run
from tests.serving.managed import (
    PATIENCE,
    Gates,
    at_work,
    change,
    harmonize,
    managed,
    names,
    repository,
    write_gated,
)
from tests.serving.stack import Stack, ended, stub_of, wait_until


@pytest.fixture(scope="module")
def _served(tmp_path_factory) -> Iterator[tuple[Stack, Gates, Path]]:
    folder = tmp_path_factory.mktemp("managed")
    models, gates = repository(folder)
    with managed(folder, models, "--load", "ht,gated", "--manage") as stack:
        yield stack, gates, models


@pytest.fixture
def served(_served) -> Iterator[tuple[Stack, Gates, Path]]:
    """One that every test leaves with both of its models, open and in their defaults."""
    stack, gates, _ = _served
    yield _served
    for what in ("loads", "answers"):
        gates.open("gated", what)
    for model in {"ht", "gated"} - names(stack):
        assert change(stack, model, "load").status_code == 200


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert "/tmp" not in answer.text and "Traceback" not in answer.text
    return answer.status_code, answer.json()["type"].removeprefix("urn:concord:problem:")


@contextmanager
def asked_again_and_again(stack: Stack, model: str) -> Iterator[list[int]]:
    """Asks for as long as the block runs, and once more; gives the statuses."""
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(harmonize(stack, model).status_code)
        statuses.append(harmonize(stack, model).status_code)

    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(ask)
        try:
            yield statuses
        finally:
            stop.set()
            asking.result()


def test_a_model_goes_and_comes_without_a_restart(served):
    stack, _, _ = served
    assert names(stack) == {"ht", "gated"}
    gone = change(stack, "gated", "unload")
    assert gone.json() == {"model": "gated", "loaded": [], "unloaded": ["harmonize_gated"], "note": ""}
    assert names(stack) == {"ht"} and problem(harmonize(stack, "gated")) == (404, "unknown_model")
    with Client(stack.server.grpc_url) as client:
        assert client.catalogue().models("harmonize") == ("ht",)
    wait_until(lambda: not of_model("harmonize_gated", stack.descendants()))
    come = change(stack, "gated", "load")
    assert come.json() == {"model": "gated", "loaded": ["harmonize_gated"], "unloaded": [], "note": ""}
    assert names(stack) == {"ht", "gated"} and harmonize(stack, "gated").status_code == 200
    with Client(stack.server.grpc_url) as client:
        assert client.catalogue().models("harmonize") == ("ht", "gated")


def test_a_model_that_is_asked_for_while_it_loads_says_when_to_come_back(served):
    stack, gates, _ = served
    change(stack, "gated", "unload")
    gates.close("gated", "loads")
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(change, stack, "gated", "load")
        wait_until(lambda: problem(harmonize(stack, "gated")) == (503, "loading"))
        refused = harmonize(stack, "gated")
        assert problem(refused) == (503, "loading") and int(refused.headers["retry-after"]) >= 1
        assert names(stack) == {"ht"} and harmonize(stack, "ht").status_code == 200
        kserve = httpx.get(f"{stack.url}/v2/models/harmonize_gated", timeout=PATIENCE)
        assert kserve.status_code == 503 and int(kserve.headers["retry-after"]) >= 1
        gates.open("gated", "loads")
        assert loading.result().status_code == 200
    assert harmonize(stack, "gated").status_code == 200


def test_what_runs_is_answered_and_what_waits_is_refused_when_a_model_goes(served):
    stack, gates, _ = served
    gates.close("gated", "answers")
    with ThreadPoolExecutor(4) as threads:
        running = threads.submit(harmonize, stack, "gated")
        wait_until(lambda: at_work(stack, "gated") == (1, 0))
        waiting = [threads.submit(harmonize, stack, "gated") for _ in range(2)]
        wait_until(lambda: at_work(stack, "gated") == (1, 2))
        going = threads.submit(change, stack, "gated", "unload")
        assert [problem(each.result()) for each in waiting] == [(404, "unknown_model")] * 2
        assert problem(harmonize(stack, "gated")) == (404, "unknown_model")
        assert not running.done() and not going.done()
        gates.open("gated", "answers")
        assert running.result().status_code == 200 and going.result().status_code == 200


def test_others_are_answered_and_the_facade_stays_ready_while_a_model_goes_and_comes(served):
    stack, _, _ = served
    with asked_again_and_again(stack, "ht") as statuses:
        for verb in ("reload", "unload", "load") * 3:
            assert change(stack, "gated", verb).status_code == 200
            assert httpx.get(f"{stack.url}/readyz", timeout=PATIENCE).status_code == 200
    assert set(statuses) == {200}


def test_a_model_answers_while_it_is_replaced_by_its_new_file(served):
    stack, gates, models = served
    source = models / "harmonize_gated" / "1" / "model.py"
    text = source.read_text()
    gates.close("gated", "answers")
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(harmonize, stack, "gated")
        wait_until(lambda: at_work(stack, "gated") == (1, 0))
        try:
            source.write_text(text.replace("        wait_for(", "        len("))
            assert change(stack, "gated", "reload").status_code == 200
            assert not running.done()
            gates.open("gated", "answers")
            assert running.result().status_code == 200
            gates.close("gated", "answers")
            assert harmonize(stack, "gated").status_code == 200
        finally:
            gates.open("gated", "answers")
            source.write_text(text)
    assert change(stack, "gated", "reload").status_code == 200


def test_a_network_is_served_in_another_profile_at_run_time(served):
    stack, _, _ = served
    with asked_again_and_again(stack, "ht") as statuses:
        assert change(stack, "ht", "load", profile="openvino").json()["loaded"] == ["ht"]
        assert served_config(stack.server.grpc_url, "ht")["backend"] == "openvino"
        assert change(stack, "ht", "load", profile="openvino").json()["loaded"] == []
        listed = run(main, "models", "--url", stack.server.grpc_url)
        assert "serves ht in openvino" in listed.stdout
        assert change(stack, "ht", "load", profile="default").json()["loaded"] == ["ht"]
    assert served_config(stack.server.grpc_url, "ht")["backend"] == "onnxruntime"
    assert set(statuses) == {200}


@pytest.mark.parametrize(
    ("parameters", "field", "allowed"),
    [
        ({"profile": "int7"}, "profile", "auto, bf16, cuda, default, openvino"),
        ({"device": "gpu:7"}, "device", "cpu"),
        ({"device": "tpu"}, "device", "cpu"),
        ({"profil": "bf16"}, "query", "profile, device"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(served, parameters, field, allowed):
    stack, _, _ = served
    refused = change(stack, "ht", "load", **parameters)
    assert refused.status_code == 400 and refused.json()["field"] == field
    assert refused.json()["allowed"] == allowed
    assert harmonize(stack, "ht").status_code == 200


@pytest.mark.parametrize("verb", ["load", "unload", "reload"])
def test_an_unknown_model_is_named_with_those_there_are(served, verb):
    stack, _, _ = served
    refused = change(stack, "nothing", verb)
    assert problem(refused) == (404, "unknown_model")
    assert "gated" in refused.json()["allowed"] and "nothing" in refused.json()["detail"]


def test_memory_that_is_missing_is_said_before_a_model_is_loaded(served):
    stack, _, _ = served
    refused = change(stack, "huge", "load")
    assert problem(refused) == (507, "no_room") and refused.json()["field"] == "memory"
    assert "MiB are free" in refused.json()["detail"]
    assert int(refused.json()["allowed"].split()[2]) > 2**20
    assert names(stack) == {"ht", "gated"}


def test_a_model_that_cannot_be_loaded_leaves_everything_as_it_was(served):
    stack, _, _ = served
    assert problem(change(stack, "damaged", "load")) == (503, "server_failure")
    assert names(stack) == {"ht", "gated"} and problem(harmonize(stack, "damaged")) == (404, "unknown_model")
    assert {harmonize(stack, model).status_code for model in ("ht", "gated")} == {200}
    with Client(stack.server.grpc_url) as client:
        assert not [each.name for each in client.models() if "damaged" in each.name]


def test_what_another_model_runs_comes_with_it_and_stays_as_long_as_it_is_there(served):
    stack, _, _ = served
    assert change(stack, "gated", "unload").status_code == 200
    assert change(stack, "upper", "load").json()["loaded"] == ["harmonize_gated", "harmonize_upper"]
    assert names(stack) == {"ht", "gated", "upper"}
    refused = change(stack, "gated", "unload")
    assert problem(refused) == (409, "in_use") and refused.json()["allowed"] == "to unload upper first"
    assert harmonize(stack, "gated").status_code == 200
    assert change(stack, "gated", "load").json()["loaded"] == []
    assert change(stack, "upper", "unload").json()["unloaded"] == ["harmonize_upper"]
    assert names(stack) == {"ht", "gated"}
    assert problem(change(stack, "upper", "unload")) == (404, "unknown_model")


def test_what_was_exported_since_the_start_can_be_loaded(served):
    stack, gates, models = served
    write_gated(models, gates, "later")
    assert change(stack, "later", "load").status_code == 200
    assert harmonize(stack, "later").status_code == 200
    assert change(stack, "later", "unload").status_code == 200


def test_what_was_unloaded_stays_away_whatever_dies(served):
    stack, _, _ = served
    change(stack, "ht", "load", profile="openvino")
    change(stack, "gated", "unload")
    for victim in ("compose", "ht"):
        stack.stub(victim).kill()
        stack.wait_for(f"model '{victim}' is ready again")
    assert names(stack) == {"ht"}
    stack.triton().kill()
    stack.wait_for("the server is ready again")
    assert harmonize(stack, "ht").status_code == 200
    assert names(stack) == {"ht"}
    assert served_config(stack.server.grpc_url, "ht")["backend"] == "openvino"
    assert change(stack, "ht", "load", profile="default").status_code == 200


def test_a_model_that_was_loaded_is_loaded_again_when_it_dies(served):
    stack, _, _ = served
    for verb in ("unload", "load"):
        assert change(stack, "gated", verb).status_code == 200
    before = stub_of("harmonize_gated", stack.descendants())
    assert change(stack, "gated", "reload").status_code == 200
    wait_until(lambda: ended(before))
    stub_of("harmonize_gated", stack.descendants()).kill()
    stack.wait_for("model 'harmonize_gated' is ready again")
    assert harmonize(stack, "gated").status_code == 200


def test_without_keys_and_leave_nobody_may(tmp_path):
    models, _ = repository(tmp_path)
    with managed(tmp_path, models, "--load", "gated") as stack:
        for verb in ("load", "unload", "reload"):
            refused = change(stack, "gated", verb)
            assert problem(refused) == (403, "forbidden") and "--manage" in refused.json()["allowed"]
        assert names(stack) == {"gated"}


def test_only_keys_with_the_right_may_and_the_command_uses_one(tmp_path, monkeypatch):
    models, _ = repository(tmp_path)
    keys = tmp_path / "keys"
    lines = {"ann": "manage", "bob": "", "eve": "manage models=ht"}
    keys.write_text("".join(f"{name} {hash_of(name)} {limits}\n" for name, limits in lines.items()))
    with managed(tmp_path, models, "--load", "gated", "--manage", "--api-keys-file", keys) as stack:
        assert problem(change(stack, "gated", "unload")) == (401, "unauthorized")
        assert problem(change(stack, "gated", "unload", key="bob")) == (403, "forbidden")
        assert problem(change(stack, "gated", "unload", key="eve")) == (404, "unknown_model")
        monkeypatch.setenv("CONCORD_FACADE_URL", stack.url)
        monkeypatch.setenv("CONCORD_API_KEY", "ann")
        assert run(main, "unload", "gated").stdout == "unloaded harmonize_gated\n"
        loaded = run(main, "load", "ht", "--profile", "openvino")
        assert loaded.returncode == 0 and loaded.stdout.startswith("loaded ")
        assert loaded.stdout.endswith("harmonize_ht; profile openvino\n")
        assert harmonize(stack, "ht", key="eve").status_code == 200
        assert run(main, "reload", "ht").returncode == 0
        refused = run(main, "load", "ht", "--device", "gpu:9")
        assert refused.returncode == 1
        assert refused.stderr == "concord: [invalid_setting] device: this machine has no 'gpu:9'; allowed: cpu\n"
        assert run(main, "load", "huge").returncode == 3
        assert run(main, "unload", "gated").returncode == 4
        monkeypatch.setenv("CONCORD_API_KEY", "bob")
        assert "this key may not manage models" in run(main, "unload", "ht").stderr
