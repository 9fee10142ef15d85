"""A host of its own on this machine, as far as its network goes: a namespace, and a link to it that can be cut."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

_FIRST, _LAST = 18, 19
"""198.18.0.0/15 is for measurements of networks (RFC 2544): nobody else has an address in it."""
_EVERY = 2**14


@dataclass(frozen=True)
class Host:
    """The namespace's name, and its address as this machine reaches it."""

    name: str
    address: str

    @property
    def within(self) -> Sequence[str]:
        """What a command is put behind to run there."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Cuts the link: nobody is told, nothing is closed."""
        _run(*self.within, "ip", "link", "set", "there", "down")

    def mend(self) -> None:
        _run(*self.within, "ip", "link", "set", "there", "up")


@contextmanager
def host(number: int) -> Iterator[Host]:
    """A host for as long as the block runs; numbers from 0 to 3 are for hosts of one process.

    Raises:
        OSError: there are none on this machine, see `are_possible`.
    """
    network = (os.getpid() * 4 + number) % (_EVERY * 2)
    octets = (_FIRST + network // _EVERY, network % _EVERY // 64, network % 64 * 4)
    prefix = f"198.{octets[0]}.{octets[1]}"
    here, there, name = f"{prefix}.{octets[2] + 1}/30", f"{prefix}.{octets[2] + 2}", f"concord{os.getpid()}-{number}"
    near = f"c{os.getpid()}-{number}"
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", near, "type", "veth", "peer", "name", "there", "netns", name)
        inside = ("ip", "netns", "exec", name, "ip")
        for command in (
            ("ip", "addr", "add", here, "dev", near),
            ("ip", "link", "set", near, "up"),
            (*inside, "addr", "add", f"{there}/30", "dev", "there"),
            (*inside, "link", "set", "lo", "up"),
            (*inside, "link", "set", "there", "up"),
        ):
            _run(*command)
        yield Host(name, there)
    finally:
        # Its link goes with it.
        _run("ip", "netns", "del", name)


@cache
def are_possible() -> bool:
    """Whether this machine lets this program have hosts; it needs the rights of root, and Debian's `iproute2`."""
    try:
        with host(3):
            return True
    except OSError:
        return False


def _run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - words of our own
    if ran.returncode:
        raise OSError(f"{' '.join(command)}: {ran.stderr.strip()}")
