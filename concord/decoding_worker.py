"""The process that decodes one file: it comes on stdin, and the same picture goes to stdout as PNG.

Run as ``python -m concord.decoding_worker FIELD MAX_PIXELS MAX_BYTES SECONDS MEMORY``; see `concord.decoding`.
"""

import os
import resource
import signal
import sys

from concord.decoding import OUT_OF_MEMORY, REFUSED
from concord.errors import ConcordError
from concord.images import plain_png
from concord.limits import Limits


def main(field: str, max_pixels: int, max_bytes: int, seconds: int, memory: int) -> int:
    """Does it within so many seconds of a processor and bytes of memory; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    try:
        answer, status = plain_png(sys.stdin.buffer.read(), Limits(max_pixels, max_bytes), field), 0
    except MemoryError:
        answer, status = b"", OUT_OF_MEMORY
    except ConcordError as error:
        answer, status = str(error).encode(), REFUSED
    sys.stdout.buffer.write(answer)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
