"""Passwords as hashes: Argon2id, in a few threads, which takes the same time whether there is an account or not."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from facade.problems import Problem
from facade.work.lane import Lane

THREADS = 2
"""Each takes a core, and 64 MiB, for as long as a hash takes."""
MOST_WAITING = 64
T = TypeVar("T")


class Hashing:
    """Makes and checks hashes outside the event loop, for one address after the other: many tries from one keep nobody
    else waiting for more than one hash.
    """

    def __init__(self, hasher: PasswordHash | None = None) -> None:
        self._hasher = hasher or PasswordHash((Argon2Hasher(),))
        self._threads = ThreadPoolExecutor(THREADS, "passwords")
        self._lane = Lane(THREADS)
        # No password has it.
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    async def made(self, password: str, whose: str = "") -> str:
        """The hash of a new password; `whose` is the address that waits for it.

        Raises:
            Problem: too many wait.
        """
        return await self._run(whose, self._hasher.hash, password)

    async def checked(self, password: str, known: str | None, whose: str = "") -> tuple[bool, str | None]:
        """Whether a password is that of a hash, and its new hash where that was made with other parameters than ours.

        Without a hash it is not, and takes as long.

        Raises:
            Problem: too many wait.
        """
        right, renewed = await self._run(whose, self._hasher.verify_and_update, password, known or self._nobody)
        return (right and known is not None, renewed)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, whose: str, function: Callable[..., T], *arguments: str) -> T:
        if self._lane.waiting >= MOST_WAITING:
            allowed = f"{MOST_WAITING} passwords at a time"
            raise Problem("too_busy", "too many passwords are being looked at", allowed=allowed, retry_after=1)
        if not self._lane.running:
            # Whoever came before is forgotten.
            self._lane = Lane(THREADS)
        async with self._lane.place(whose):
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
