import os
import socket
import subprocess
import sys

import pytest
import tritonclient.grpc

from concord.errors import ServerFailure
from concord.server import doctor
from concord.server.embedded import HOST, EmbeddedServer, Ports
from concord.server.installation import Installation
from facade.settings import Settings


def problems(findings) -> list[str]:
    return [f"{finding.subject}: {finding.problem}" for finding in findings if finding.problem]


def test_this_machine_can_serve():
    assert not problems([*doctor.packages(), *doctor.installation(), doctor.shared_memory()])


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        [problem] = problems([doctor.port_finding("grpc port", port, "--grpc-port")])
    assert problem.startswith(f"grpc port: {port} on {HOST} is taken") and "--grpc-port" in problem


def test_the_facade_listens_where_the_doctor_looks():
    assert Settings.model_fields["port"].default == doctor.FACADE_PORT


def test_the_embedded_triton_is_named_with_the_bulletins_that_it_lacks(server):
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        version = client.get_server_metadata().version
    finding = doctor.security()
    assert finding.subject == f"embedded Triton {version}" and not finding.problem
    assert "5828 (CVE-2026-24207; fixed in 26.03)" in finding.note


def test_a_triton_with_all_fixes_lacks_nothing(monkeypatch):
    monkeypatch.setattr(doctor, "EMBEDDED", max(bulletin.fixed for bulletin in doctor.BULLETINS))
    assert not doctor.security().note


def test_a_network_that_was_not_exported_is_named(tmp_path):
    (tmp_path / "cris" / "1").mkdir(parents=True)
    (tmp_path / "cris" / "config.pbtxt").write_text('name: "cris"\ndefault_model_filename: "model.onnx"\n')
    [problem] = problems(doctor.models([tmp_path]))
    assert problem.startswith("model repository: no network has been exported: cris") and "python -m export" in problem


def test_a_network_that_others_do_without_is_only_noted(tmp_path):
    for name in ("cris", "ht"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text('default_model_filename: "model.onnx"\n')
    (tmp_path / "ht" / "1" / "model.onnx").touch()
    [finding] = doctor.models([tmp_path])
    assert finding.subject == "model cris" and not finding.problem and "not served" in finding.note


def test_a_form_that_was_chosen_before_the_network_came_is_noted(tmp_path):
    (tmp_path / "cris" / "1").mkdir(parents=True)
    (tmp_path / "cris" / "configs").mkdir()
    for config in ("config.pbtxt", "configs/tuned.pbtxt"):
        (tmp_path / "cris" / config).write_text('default_model_filename: "model.onnx"\n')
    (tmp_path / "cris" / "1" / "model.onnx").touch()
    os.utime(tmp_path / "cris" / "configs" / "tuned.pbtxt", (0, 0))
    [finding] = doctor.models([tmp_path])
    assert finding.subject == "model cris" and not finding.problem and "`concord tune`" in finding.note


PIPELINE = """input [ { name: "STEPS" data_type: TYPE_INT32 dims: [ 1 ] optional: true } ]
parameters { key: "task" value { string_value: "upscale" } }
parameters { key: "model" value { string_value: "big" } }
parameters { key: "setting.STEPS" value { string_value: "5; 1..50; steps" } }
"""


def pipeline(repository, name: str, config: str = PIPELINE) -> None:
    (repository / name).mkdir()
    (repository / name / "config.pbtxt").write_text(config)


def test_pipelines_that_can_be_read_are_no_problem(tmp_path):
    pipeline(tmp_path, "one")
    assert not problems(doctor.models([tmp_path]))


def test_a_setting_that_cannot_be_read_is_named_with_its_file_and_what_is_allowed(tmp_path):
    pipeline(tmp_path, "one", PIPELINE.replace("1..50", "1 to 50"))
    [problem] = problems(doctor.models([tmp_path]))
    assert problem.startswith(
        "one/config.pbtxt: setting.STEPS: is '5; 1 to 50; steps'; allowed: DEFAULT; LOWEST..HIGHE"
    )


def test_a_task_that_cannot_be_read_is_named_with_its_file_and_what_is_allowed(tmp_path):
    pipeline(tmp_path, "one", PIPELINE.replace("upscale", "up scale"))
    [problem] = problems(doctor.models([tmp_path]))
    assert problem == "one/config.pbtxt: task: is 'up scale'; allowed: a name of letters, digits and underscores"


def test_two_pipelines_that_claim_the_same_are_named(tmp_path):
    pipeline(tmp_path, "one")
    pipeline(tmp_path, "two")
    [problem] = problems(doctor.models([tmp_path]))
    assert problem.startswith("two/config.pbtxt: model: one claims upscale by big with the same inputs; allowed: ")
    with pytest.raises(ServerFailure, match="one claims upscale by big"):
        EmbeddedServer([tmp_path], ports=Ports(0, 0, 0)).start()


def test_a_missing_model_repository_is_named(tmp_path):
    assert problems(doctor.models([tmp_path / "none"])) == [
        f"model repository {tmp_path}/none: there is no such folder"
    ]


def test_too_little_shared_memory_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "MINIMUM_SHARED_MEMORY", 2**60)
    assert "MiB free, at least" in doctor.shared_memory().problem


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", {"no_such_package.part": "no-such-package"})
    assert problems(doctor.packages()) == ["package no-such-package: it is missing; pip install 'no-such-package'"]


def test_a_missing_stub_is_named_with_the_pythons_there_are(monkeypatch, tmp_path):
    (tmp_path / "python_backend_stubs" / "3.8").mkdir(parents=True)
    (tmp_path / "python_backend_stubs" / "3.13").mkdir()
    monkeypatch.setattr(Installation, "find", classmethod(lambda cls: cls(tmp_path, tmp_path)))
    [problem] = problems(doctor.installation())
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"has no stub for Python {running}" in problem and "Python 3.8, 3.13" in problem


def test_a_missing_libpython_is_named_with_its_package(monkeypatch):
    monkeypatch.setattr(Installation, "missing_libraries", lambda self: ["libpython3.11.so.1.0"])
    [problem] = problems(doctor.installation())
    assert "libpython3.11.so.1.0" in problem and "apt-get install libpython3.11" in problem


def test_ldd_names_the_libraries_that_are_missing(monkeypatch, tmp_path):
    found = Installation.find()
    assert found.missing_libraries() == []
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    copy = Installation(tmp_path, tmp_path)
    copy.stub.parent.mkdir(parents=True)
    copy.stub.write_bytes(found.stub.read_bytes())
    assert any(name.startswith("libcudart") for name in copy.missing_libraries())


def test_the_command_fails_when_something_is_wrong(server):
    free, taken = ["--grpc-port", "0", "--metrics-port", "0"], str(server.ports.http)
    command = [sys.executable, "-m", "concord.server.doctor", *free, "--http-port"]
    wrong = subprocess.run([*command, taken], capture_output=True, text=True)
    assert wrong.returncode == 1 and f"[problem] http port: {taken} on {HOST} is taken" in wrong.stdout
    right = subprocess.run([*command, "0"], capture_output=True, text=True)
    assert right.returncode == 0 and "[problem]" not in right.stdout


def test_a_numpy_that_the_stubs_crash_with_is_named(monkeypatch):
    monkeypatch.setattr("concord.server.installation.version", lambda _distribution: "2.4.6")
    with pytest.raises(ServerFailure, match="crash with the installed") as refusal:
        Installation.find().require_stub()
    assert refusal.value.allowed == "pip install 'numpy<2'"
