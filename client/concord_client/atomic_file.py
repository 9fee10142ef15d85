"""Files that are either there in full or not at all."""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file, replacing what was there only when the new content is on disk.

    The content goes to a hidden file in the same folder first, which is gone afterwards whatever happens. Where the
    path is a symbolic link, the file it points to is replaced. A file that is replaced keeps its mode and its access
    list, and its owner where the system lets us give it away. An `OSError` leaves the old file untouched.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".concord-{secrets.token_hex(8)}.part")
    try:
        with partial.open("xb") as file:
            with suppress(FileNotFoundError):
                old = target.stat()
                with suppress(OSError, AttributeError):
                    os.chown(partial, old.st_uid, old.st_gid)
                shutil.copystat(target, partial)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
