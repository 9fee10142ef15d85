"""Command lines, which every user of a machine can read."""

from contextlib import suppress
from pathlib import Path


def hide(pid: int, secret: str) -> None:
    """Writes stars over a secret in the command line of a process of ours, which has read its arguments already.

    Where the system does not let us, or the process has ended, nothing happens.
    """
    with suppress(OSError, ValueError):
        # What follows the name, which may hold spaces; man 5 proc numbers it from 3.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[48 - 3]), int(fields[49 - 3])
        with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            words = memory.read(end - start)
            if secret.encode() in words:
                memory.seek(start)
                memory.write(words.replace(secret.encode(), b"*" * len(secret)))
