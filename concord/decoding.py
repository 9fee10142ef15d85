"""Decodes one file in a process of its own, which ends with it, and is killed when it takes too much time or memory."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from concord.errors import InvalidImage, TooComplex, typed_error
from concord.limits import DECODING_BYTES, DECODING_BYTES_PER_PIXEL, DECODING_PATIENCE, DECODING_SECONDS, Limits

REFUSED, OUT_OF_MEMORY = 3, 4
"""What the process ends with, when it answers with the words of a typed error, or with nothing."""

_WORKER = "concord.decoding_worker"
_AT_A_TIME = 2
_places = threading.BoundedSemaphore(_AT_A_TIME)
_running: set["subprocess.Popen[bytes]"] = set()
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")


def decoded_apart(encoded: bytes, limits: Limits, field: str) -> bytes:
    """The same picture, upright, as a PNG; blocks, while two others are decoded, until it is its turn.

    Raises:
        TooComplex: it takes more time or memory than a process may use.
        ConcordError: as `concord.images.open_image`.
    """
    memory = DECODING_BYTES + DECODING_BYTES_PER_PIXEL * limits.max_pixels
    told = (limits.max_pixels, limits.max_bytes, DECODING_SECONDS, memory)
    command = [_python(), "-P", "-m", _WORKER, field, *map(str, told)]
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    folders = filter(None, (str(Path(__file__).parents[1]), kept.get("PYTHONPATH")))
    # One thread: others would reserve memory of their own.
    environment = kept | {"PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"}
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with _places, subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=nowhere) as process:  # noqa: S603
        _running.add(process)
        try:
            answer, _ = process.communicate(encoded, timeout=DECODING_PATIENCE)
        except subprocess.TimeoutExpired:
            raise TooComplex(field, "it takes long to decode", f"at most {DECODING_PATIENCE:g} seconds") from None
        finally:
            process.kill()
            _running.discard(process)
    match process.returncode:
        case 0:
            return answer
        case code if code == REFUSED and (error := typed_error(answer.decode())):
            raise error
        case code if code == OUT_OF_MEMORY:
            allowed = f"at most {memory >> 20} MiB"
            raise TooComplex(field, "it takes much memory to decode", allowed)
        case code if code in (-signal.SIGXCPU, -signal.SIGKILL):
            allowed = f"at most {DECODING_SECONDS} seconds of a processor"
            raise TooComplex(field, "it takes long to decode", allowed)
    raise InvalidImage(field, "it cannot be decoded", "a complete image file")


def stop_decoding() -> None:
    """Kills what is being decoded now."""
    for process in tuple(_running):
        process.kill()


def _python() -> str:
    # Inside Triton's stubs, the program is the stub.
    if Path(sys.executable or "").name.startswith("python"):
        return sys.executable
    return shutil.which("python3") or "python3"
