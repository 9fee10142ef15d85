"""Work on one picture in a process of its own, which is killed when it takes too much time or memory."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from concord.errors import ConcordError, InvalidImage, TooComplex, typed_error

_REFUSED, _OUT_OF_MEMORY = 3, 4
"""What the process ends with, when it answers with the words of a typed error, or with nothing."""

_running: set["subprocess.Popen[bytes]"] = set()
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Bounds:
    """Of one process: seconds of a processor, seconds on a busy machine, and bytes of memory."""

    seconds: int
    patience: float
    memory: int


class Apart:
    """One process: ``python -m MODULE SECONDS MEMORY ARGUMENT...``, which calls `work_apart`.

    Args:
        verb: what it does to a picture, in errors.
    """

    def __init__(self, module: str, verb: str, bounds: Bounds) -> None:
        self._module, self._verb, self._bounds = module, verb, bounds
        self._process: subprocess.Popen[bytes] | None = None
        self._is_wanted = True

    def __call__(self, content: bytes, field: str, *arguments: object) -> bytes:
        """What it makes of the content; blocks until that is there. The field is the input's name in errors.

        Raises:
            TooComplex: it takes more time or memory than it may use.
            InvalidImage: it ended in another way.
            ConcordError: its own.
        """
        verb, bounds = self._verb, self._bounds
        command = [_python(), "-P", "-m", self._module, *map(str, (bounds.seconds, bounds.memory, *arguments))]
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        folders = filter(None, (str(Path(__file__).parents[1]), kept.get("PYTHONPATH")))
        # One thread: others would reserve memory of their own.
        environment = kept | {"PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"}
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=nowhere) as process:  # noqa: S603
            _running.add(process)
            self._process = process
            try:
                if self._is_wanted:
                    answer, _ = process.communicate(content, timeout=bounds.patience)
            except subprocess.TimeoutExpired:
                allowed = f"at most {bounds.patience:g} seconds"
                raise TooComplex(field, f"it takes long to {verb}", allowed) from None
            finally:
                process.kill()
                _running.discard(process)
        match process.returncode:
            case 0:
                return answer
            case code if code == _REFUSED and (error := typed_error(answer.decode())):
                raise error
            case code if code == _OUT_OF_MEMORY:
                raise TooComplex(field, f"it takes much memory to {verb}", f"at most {bounds.memory >> 20} MiB")
            case code if code in (-signal.SIGXCPU, -signal.SIGKILL):
                allowed = f"at most {bounds.seconds} seconds of a processor"
                raise TooComplex(field, f"it takes long to {verb}", allowed)
        raise InvalidImage(field, f"it cannot be {verb}d", "a complete image file")

    def kill(self) -> None:
        """Ends it, from another thread; it may not have begun."""
        self._is_wanted = False
        if self._process is not None:
            self._process.kill()


def kill_all() -> None:
    """Ends all that run now."""
    for process in tuple(_running):
        process.kill()


def work_apart(seconds: int, memory: int, work: Callable[[bytes], bytes]) -> int:
    """In that process: works on what comes on stdin, and writes the result to stdout; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    try:
        answer, status = work(sys.stdin.buffer.read()), 0
    except MemoryError:
        answer, status = b"", _OUT_OF_MEMORY
    except ConcordError as error:
        answer, status = str(error).encode(), _REFUSED
    sys.stdout.buffer.write(answer)
    return status


def _python() -> str:
    # Inside Triton's stubs, the program is the stub.
    if Path(sys.executable or "").name.startswith("python"):
        return sys.executable
    return shutil.which("python3") or "python3"
