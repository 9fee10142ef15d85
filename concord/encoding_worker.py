"""The process that writes one PNG in another format: it comes on stdin, and the file goes to stdout.

Run as ``python -m concord.encoding_worker SECONDS MEMORY FORMAT QUALITY``; see `concord.encoding`.
"""

import sys

from concord.apart import work_apart
from concord.encoding import reencoded


def main(seconds: str, memory: str, picture_format: str, quality: str) -> int:
    """Does it within so many seconds of a processor and bytes of memory; returns the exit status."""
    return work_apart(int(seconds), int(memory), lambda png: reencoded(png, picture_format, int(quality)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
