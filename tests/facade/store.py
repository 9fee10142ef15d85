"""A real Redis, as Debian's package has it, on a free port of loopback."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.facade.running import PATIENCE

PASSWORD = "very-secret"

needs_redis = pytest.mark.skipif(
    not shutil.which("redis-server"), reason="redis-server is not here: install Debian's package redis-server"
)


class Store:
    """It keeps nothing on disk; what is started again is empty, at the same port.

    Attributes:
        url: its address, with its password.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            self._port = bound.getsockname()[1]
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self._port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = {"port": self._port, "bind": "127.0.0.1", "save": "", "dir": self._folder, "requirepass": PASSWORD}
        flags = [str(word) for name, value in words.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(["redis-server", *flags], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
                return
            except ConnectionRefusedError:
                assert self._process.poll() is None and time.monotonic() < deadline, "redis-server has not started"
                time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None
