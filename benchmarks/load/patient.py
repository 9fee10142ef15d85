"""A destination that is asked again when and where the answer says so, as well-behaved clients do."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.load.generator import Connection, Outcome, Target


@dataclass(frozen=True)
class Patient:
    """A target whose refusals with `Retry-After` are asked again, until so many seconds have passed since the first."""

    target: Target
    seconds: float

    async def open(self) -> "PatientLine":
        return PatientLine(self, await self.target.open())


class PatientLine:
    """A connection, or the one after it."""

    usable = True

    def __init__(self, patient: Patient, connection: Connection) -> None:
        self._patient = patient
        self._connection = connection

    async def ask(self) -> Outcome:
        """The last answer. A connection that breaks without any is not asked again: whatever was sent there is lost."""
        end, again = time.perf_counter() + self._patient.seconds, 0
        while True:
            if not self._connection.usable:
                self._connection = await self._patient.target.open()
            outcome = await self._connection.ask()
            wait = outcome.retry_after
            if wait is None or time.perf_counter() + wait > end:
                return outcome._replace(again=again)
            await asyncio.sleep(wait)
            again += 1

    async def close(self) -> None:
        await self._connection.close()
