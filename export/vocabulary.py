"""Makes Concord's CLIP vocabulary from the one that open_clip ships: ``python -m export.vocabulary``.

CLIP uses the first 48 894 merges of a list of 262 144; those are kept, one a line, which is all a tokenizer needs.
"""

import gzip
from pathlib import Path

import open_clip

from concord.tokenizer import MERGES, VOCABULARY


def read_merges() -> list[str]:
    """CLIP's merges in order of rank, each two units with a space between, from the open_clip that is installed."""
    source = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    return gzip.decompress(source.read_bytes()).decode().split("\n")[1 : MERGES + 1]


def main() -> None:
    merges = read_merges()
    VOCABULARY.write_bytes(gzip.compress("\n".join(merges).encode(), compresslevel=9, mtime=0))
    print(f"{VOCABULARY}: {len(merges)} merges, {VOCABULARY.stat().st_size} bytes")


if __name__ == "__main__":
    main()
