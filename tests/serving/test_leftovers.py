"""What a killed server left is removed, and what a living one has is not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from concord.server import leftovers
from concord.server.embedded import EmbeddedServer
from concord.server.leftovers import SHARED_MEMORY, claim, sweep
from tests.serving.asking import ask
from tests.serving.pictures import encoded, middle, photograph
from tests.serving.stack import ANY, harmonizing_models, left_of, name_of

GOOD = {"IMAGE": encoded(photograph(64, 48)), "MASK": encoded(middle(64, 48))}
# Ends with a server's folder, lock and region as they are after SIGKILL.
KILLED = """
import os, signal
from concord.server.leftovers import SHARED_MEMORY, claim
folder, locks = claim()
(folder / "backends").mkdir()
(SHARED_MEMORY / f"{folder.name}-region").write_bytes(b"pixels")
print(folder.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_server_left_is_removed():
    name = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True).stdout.strip()
    assert len(left_of(name)) == 3
    sweep()
    assert not left_of(name)


def test_what_has_lost_its_folder_is_removed():
    region = SHARED_MEMORY / "concord-triton-00000000-region"
    region.touch()
    sweep()
    assert not left_of("concord-triton-00000000")


def test_nobody_takes_what_is_locked():
    folder, locks = claim()
    sweep()
    assert folder.is_dir()
    for lock in locks:
        os.close(lock)
    sweep()
    assert not left_of(folder.name)


def test_nobody_takes_what_is_locked_in_another_shared_memory(tmp_path, monkeypatch):
    folder, locks = claim()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(leftovers, "SHARED_MEMORY", tmp_path)
        sweep()
    assert folder.is_dir() and not list(tmp_path.iterdir())
    for lock in locks:
        os.close(lock)
    sweep()


def test_a_model_s_process_that_outlived_its_server_is_ended():
    folder, locks = claim()
    command = [folder / "backends" / "python" / "triton_python_backend_stub", "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, executable=sys.executable) as orphan:
        for lock in locks:
            os.close(lock)
        sweep()
        assert orphan.wait(timeout=30) == -signal.SIGKILL


def test_a_start_leaves_a_living_server_what_it_has(tmp_path):
    with EmbeddedServer([harmonizing_models(tmp_path)], ports=ANY) as server:
        before = left_of(name_of(server.processes()))
        # A start does this first.
        sweep()
        assert left_of(name_of(server.processes())) == before
        ask(server, "harmonize_ht", GOOD)


def test_folders_that_triton_makes_and_forgets_are_removed(tmp_path):
    left, used = Path("/tmp/python_env_tests0"), Path("/tmp/python_env_tests1")
    (used / "0").mkdir(parents=True)
    left.mkdir()
    for folder in (left, used):
        # Older than any Triton that runs here.
        os.utime(folder, (0, 0))
    try:
        sweep()
        assert not left.exists() and (used / "0").is_dir()
    finally:
        (used / "0").rmdir()
        used.rmdir()
