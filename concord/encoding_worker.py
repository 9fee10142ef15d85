"""The process that writes one PNG in another format: it comes on stdin, and the file goes to stdout.

For PSD the photograph and the mask come with it, packed.

Run as ``python -m concord.encoding_worker SECONDS MEMORY FORMAT QUALITY``; see `concord.encoding`.
"""

import sys

from concord.apart import work_apart
from concord.encoding import PSD, reencoded
from concord.layers import layered_psd


def main(seconds: str, memory: str, picture_format: str, quality: str) -> int:
    """Does it within so many seconds of a processor and bytes of memory; returns the exit status."""

    def work(content: bytes) -> bytes:
        return layered_psd(content) if picture_format == PSD else reencoded(content, picture_format, int(quality))

    return work_apart(int(seconds), int(memory), work)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
