"""The process that decodes one file: it comes on stdin, and the same picture goes to stdout as PNG.

Run as ``python -m concord.decoding_worker SECONDS MEMORY FIELD MAX_PIXELS MAX_BYTES``; see `concord.decoding`.
"""

import sys

from concord.apart import work_apart
from concord.images import plain_png
from concord.limits import Limits


def main(seconds: str, memory: str, field: str, max_pixels: str, max_bytes: str) -> int:
    """Does it within so many seconds of a processor and bytes of memory; returns the exit status."""
    limits = Limits(int(max_pixels), int(max_bytes))
    return work_apart(int(seconds), int(memory), lambda content: plain_png(content, limits, field))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
