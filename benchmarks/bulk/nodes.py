"""A Ray cluster of several nodes on this machine, each with its own raylet, workers and store, kept by a process."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from concord.bulk.cluster import HOST, loopback_environment

STORE_BYTES = 200 * 2**20
ATTEMPTS = 3
_SLOW = "rfc3987_syntax"
"""What jsonschema takes along where it is installed compiles a grammar, for seconds, in each of Ray's processes.
Serving does not install it."""


@dataclass(frozen=True)
class Nodes:
    """A running cluster.

    Attributes:
        address: HOST:PORT, for ``--address``.
        environment: of programs that connect to it.
    """

    address: str
    environment: Mapping[str, str]
    _process: subprocess.Popen[str]

    def lose(self) -> None:
        """Kills everything of a node but the first, as a machine that loses its power."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("lose\n")
        self._process.stdin.flush()
        self._process.stdout.readline()

    def processes(self) -> list[psutil.Process]:
        """All of them, workers and Tritons too."""
        return psutil.Process(self._process.pid).children(recursive=True)


@contextmanager
def nodes(count: int = 2) -> Iterator[Nodes]:
    """Nodes of one core each, for as long as the block runs."""
    with TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        Path(folder, f"{_SLOW}.py").write_text(f"raise ImportError({_SLOW!r})\n")
        paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        own = {"PYTHONPATH": os.pathsep.join(paths), "RAY_TMPDIR": folder}
        environment = os.environ | loopback_environment() | own
        # Ray writes the address of a cluster there, and takes the folder to be there.
        Path(folder, "ray").mkdir()
        for attempt in range(ATTEMPTS):
            process = subprocess.Popen(  # noqa: S603 - words of our own
                [sys.executable, "-m", __spec__.name, str(count), f"{folder}/{attempt}"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert process.stdin is not None and process.stdout is not None
            # Ray gives itself some seconds for a start, which a busy machine may not have.
            address = process.stdout.readline().strip()
            try:
                if not address:
                    continue
                yield Nodes(address, environment, process)
                return
            finally:
                left = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
                process.stdin.close()
                process.wait()
                process.stdout.close()
                for each in left:
                    with suppress(psutil.NoSuchProcess):
                        each.kill()
        raise RuntimeError("Ray's nodes do not start")


def main(count: int, folder: str) -> None:
    """Keeps the nodes until stdin ends; a line loses one of them."""
    from ray.cluster_utils import Cluster

    common: dict[str, Any] = {
        "num_cpus": 1,
        "node_ip_address": HOST,
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
    }
    cluster = Cluster(initialize_head=True, head_node_args=common | {"temp_dir": folder})
    others = [cluster.add_node(**common) for _ in range(count - 1)]
    print(cluster.address, flush=True)
    for _ in sys.stdin:
        cluster.remove_node(others.pop(), allow_graceful=False)
        print(flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
