import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from concord.errors import ServerFailure
from concord.server.embedded import HOST, EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from tests.serving.asking import PROTOCOLS, ask
from tests.serving.pictures import encoded, middle, photograph
from tests.serving.stack import left_of, name_of, wait_until

GOOD = {"IMAGE": encoded(photograph(64, 48)), "MASK": encoded(middle(64, 48))}
ANY = Ports(0, 0, 0)
# Starts a server, says so, and waits to be killed.
OWNER = """
import sys, pathlib
from concord.server.embedded import EmbeddedServer, Ports
server = EmbeddedServer([pathlib.Path(sys.argv[1])], ports=Ports(0, 0, 0))
server.start()
print(*(process.pid for process in server.processes()), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A model repository with ``ht`` alone, free to be spoiled."""
    shutil.copytree(MODEL_REPOSITORIES[0] / "ht", tmp_path / "models" / "ht")
    return tmp_path / "models"


def ports_are_free(ports: Ports) -> bool:
    return ports.chosen() == ports


def test_nothing_is_left_of_a_server_that_was_stopped(repository):
    with EmbeddedServer([repository], ports=ANY) as server:
        processes = server.processes()
        assert {"tritonserver", "triton_python_backend_stub"} <= {process.name() for process in processes}
        name = name_of(processes)
        assert left_of(name)
    assert not any(process.is_running() for process in processes)
    assert ports_are_free(server.ports)
    assert not left_of(name)
    assert not server.is_alive() and not server.processes()


@pytest.mark.server
def test_nothing_is_left_of_a_server_whose_owner_was_killed(repository):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, repository], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    processes = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
    name = name_of(processes)
    assert left_of(name)
    owner.kill()
    owner.communicate()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive
    assert not left_of(name)


def test_nothing_is_left_of_a_server_whose_keeper_was_killed(repository):
    server = EmbeddedServer([repository], ports=ANY)
    server.start()
    keeper, *others = server.processes()
    name = name_of(others)
    keeper.kill()
    _, alive = psutil.wait_procs(others, timeout=60)
    assert not alive
    server.stop()
    assert ports_are_free(server.ports)
    assert not left_of(name)


def test_what_it_writes_is_for_its_user_alone(repository, tmp_path):
    log = tmp_path / "triton.log"
    with EmbeddedServer([repository], ports=ANY, log_path=log) as server:
        written = [log, *left_of(name_of(server.processes()))]
        assert len(written) > 3
        assert {oct(path.stat().st_mode & 0o077) for path in written} == {"0o0"}


def test_it_knows_nothing_of_its_owners_environment_but_what_it_needs(repository, monkeypatch):
    # The first would end Triton at its start; the second is a secret.
    monkeypatch.setenv("AIP_MODE", "PREDICTION")
    monkeypatch.setenv("CONCORD_API_KEYS", "secret")
    monkeypatch.setenv("CONCORD_MAX_PIXELS", "1000000")
    with EmbeddedServer([repository], ports=ANY) as server:
        for process in server.processes():
            variables = process.environ()
            assert not variables.keys() & {"AIP_MODE", "CONCORD_API_KEYS"}
            assert variables["CONCORD_MAX_PIXELS"] == "1000000"
            assert variables["OPENBLAS_NUM_THREADS"] == "1"


def test_a_long_log_is_begun_anew(repository, tmp_path):
    log, older = tmp_path / "triton.log", tmp_path / "triton.log.1"
    with log.open("wb") as file:
        file.truncate(32 * 2**20)
    with EmbeddedServer([repository], ports=ANY, log_path=log, options=["--log-verbose=1"]) as server:
        wait_until(lambda: older.is_file() and log.stat().st_size < 2**20)
        before = log.stat().st_size
        with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
            client.get_model_config("ht")
        wait_until(lambda: log.stat().st_size > before)
    assert older.stat().st_size > 32 * 2**20
    assert log.read_bytes().strip(b"\0") == log.read_bytes()


def test_a_server_can_be_started_again_on_its_ports(repository):
    with EmbeddedServer([repository], ports=ANY) as server:
        before = server.ports
        server.restart()
        assert server.ports == before and server.is_ready()


def test_an_idle_http_connection_does_not_hold_up_a_stop(repository):
    server = EmbeddedServer([repository], ports=ANY, drain_seconds=600)
    server.start()
    with tritonclient.http.InferenceServerClient(server.http_url) as client:
        assert client.is_server_ready()
        server.stop()
    assert not server.is_alive()


def test_it_listens_on_loopback_alone(server):
    tritonserver = next(process for process in server.processes() if process.name() == "tritonserver")
    listening = [c.laddr for c in tritonserver.net_connections() if c.status == psutil.CONN_LISTEN]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {HOST}
    assert {address.port for address in listening} == {server.ports.http, server.ports.grpc, server.ports.metrics}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("call", ["get_trace_settings", "get_log_settings", "get_system_shared_memory_status"])
def test_administration_is_not_for_everybody(server, call, protocol):
    url = server.grpc_url if protocol == "grpc" else server.http_url
    with (
        PROTOCOLS[protocol].InferenceServerClient(url) as client,
        pytest.raises(InferenceServerException, match="restricted"),
    ):
        getattr(client, call)()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("call", ["load_model", "unload_model"])
def test_nobody_loads_or_unloads_a_model(server, call, protocol):
    url = server.grpc_url if protocol == "grpc" else server.http_url
    with (
        PROTOCOLS[protocol].InferenceServerClient(url) as client,
        pytest.raises(InferenceServerException, match="restricted"),
    ):
        getattr(client, call)("ht")


def test_no_process_of_the_server_loads_torch(server):
    ask(server, "harmonize_ht", GOOD)
    for process in server.processes():
        assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.parametrize("name", ["http", "grpc", "metrics"])
def test_a_port_that_is_taken_is_named(repository, name):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerFailure, match=f"port: {port} on {HOST} is taken"):
            EmbeddedServer([repository], ports=Ports(**({"http": 0, "grpc": 0, "metrics": 0} | {name: port}))).start()


def failure(repository: Path) -> str:
    server = EmbeddedServer([repository], ports=ANY)
    with pytest.raises(ServerFailure) as caught:
        server.start()
    assert not server.is_alive() and ports_are_free(server.ports)
    return str(caught.value)


@pytest.mark.parametrize(
    ("room", "place"), [("DISK", "folder for temporary files"), ("MEMORY_OF_START", "shared memory")]
)
def test_a_start_that_lacks_room_says_how_much_there_is_and_how_much_it_needs(repository, monkeypatch, room, place):
    monkeypatch.setattr(f"concord.server.room.{room}", 2**60)
    with pytest.raises(ServerFailure, match=rf"{place}: \d+ MiB are free in \S+; allowed: at least {2**40} MiB"):
        EmbeddedServer([repository], ports=ANY).start()


def test_a_repository_without_any_network_is_refused_and_the_missing_are_named(repository):
    (repository / "ht" / "1" / "model.onnx").unlink()
    assert "model repository: no network has been exported: ht" in failure(repository)


def test_a_bad_parameter_of_a_network_is_named(repository):
    with (repository / "ht" / "config.pbtxt").open("a") as config:
        config.write('parameters { key: "intra_op_thread_count" value { string_value: "two" } }\n')
    assert "model 'ht': [invalid_parameter] intra_op_thread_count: is 'two'; allowed: a whole" in failure(repository)


def test_tensors_that_the_network_does_not_have_are_named(repository):
    config = repository / "ht" / "config.pbtxt"
    config.write_text(config.read_text().replace("SMALL_RESULT", "RESULT"))
    assert "config.pbtxt has the outputs ['RESULT'], the network has ['SMALL_RESULT']" in failure(repository)


def test_a_config_that_cannot_be_read_is_named(repository):
    with (repository / "ht" / "config.pbtxt").open("a") as config:
        config.write("no such field")
    assert "ht/config.pbtxt: not a model configuration" in failure(repository)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ServerFailure, match=f"model repository: there is no folder {tmp_path}/models"):
        EmbeddedServer([tmp_path / "models"], ports=ANY).start()
