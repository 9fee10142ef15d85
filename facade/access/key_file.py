"""The file of ``--api-keys-file``: a line ``NAME HASH`` for each key, and its limits."""

import re
from collections.abc import Container, Mapping
from pathlib import Path

import structlog

from facade.access.caller import Allowance
from facade.settings import SettingsError

_LINE = re.compile(r"([A-Za-z0-9._@-]{1,64})\s+([0-9a-f]{64})((?:\s+\S+)*)")


class KeyFile:
    """Is read again whenever somebody asks for its keys, so that a key is accepted only as long as its line is there.

    What cannot be read later on lets nobody in: a line that is wrong, and a file that is gone or empty, go to the log.

    Attributes:
        allowances: what the holders of keys may do, also of those who have been removed: they may be waiting.
    """

    def __init__(self, path: Path, everyone: Allowance, taken: Container[str] = ()) -> None:
        """Names are none of those that are `taken`.

        Raises:
            SettingsError: it cannot be read, a line of it is no key, a name is there twice, or it holds no key.
        """
        self.allowances: dict[str, Allowance] = {}
        self._path, self._everyone, self._taken = path, everyone, taken
        try:
            self._content = path.read_bytes()
        except OSError as error:
            raise SettingsError(f"--api-keys-file (CONCORD_API_KEYS_FILE): {path} cannot be read: {error}") from error
        # A pipe can be read only once.
        self._lasts = path.is_file()
        self._hashes, wrong = self._keys()
        for number, problem in wrong.items():
            raise SettingsError(f"{path}, line {number}: {problem}")
        if not self._hashes:
            problem = f"{path} has no key in it; leave the setting out to ask for none"
            raise SettingsError(f"--api-keys-file (CONCORD_API_KEYS_FILE): {problem}")

    def hashes(self) -> Mapping[str, str]:
        """The hashes of the keys that are in the file now, by the names of their holders."""
        content, trouble = self._content, None
        if self._lasts:
            try:
                content = self._path.read_bytes()
            except OSError as error:
                content, trouble = b"", error.strerror
        # Compared as a whole: two changes in a row may leave the file's time and size as they were.
        if content != self._content:
            self._content = content
            self._hashes, wrong = self._keys()
            structlog.get_logger("facade.keys").warning(
                "the file of keys has changed", keys=len(self._hashes), wrong_lines=list(wrong), trouble=trouble
            )
        return self._hashes

    def _keys(self) -> tuple[dict[str, str], dict[int, str]]:
        """Hashes by name, and what is wrong with other lines by number."""
        hashes: dict[str, str] = {}
        wrong = {}
        for number, line in enumerate(self._content.decode(errors="replace").splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            match = _LINE.fullmatch(line)
            try:
                if match is None:
                    raise SettingsError("not a NAME and a SHA-256, as `concord keys` prints them")
                if match[1] in hashes or match[1] in self._taken:
                    raise SettingsError(f"the name {match[1]} is there twice")
                self.allowances[match[1]] = self._everyone.limited(match[3].split())
                hashes[match[1]] = match[2]
            except SettingsError as error:
                wrong[number] = str(error)
        return hashes, wrong
