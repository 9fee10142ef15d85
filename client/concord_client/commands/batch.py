"""Harmonizes the photographs of a plan, a few at a time."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm  # type: ignore[import-untyped]

from concord_client.aio import AsyncClient
from concord_client.atomic_file import write_atomically
from concord_client.commands import ExitCode, exit_code, one_line
from concord_client.commands.connection import Connection
from concord_client.commands.plan import Job
from concord_client.commands.progress import StepBar
from concord_client.commands.remarks import remarks
from concord_client.diffusion import Diffusion, Harmonizer
from concord_client.errors import ConcordClientError, InvalidInput, Unavailable, Unreachable
from concord_client.retry import Retry

PATIENT_RETRY = Retry(attempts=100, first_delay=0.2, longest_delay=5.0)
"""Lets a long run survive a full queue or a restarting server for as long as the timeout of one call."""
REACH_TIMEOUT = 2.0
INVALID_SETTING = "invalid_setting"
"""The server's code for a setting that it refuses, whatever the photograph."""


@dataclass(frozen=True)
class Method:
    """What harmonizes the photographs of a run.

    Args:
        model: its name.
        diffusion: its settings; None for a model that does not work in steps.
    """

    model: Harmonizer
    diffusion: Diffusion | None


@dataclass
class Report:
    """What became of the jobs so far."""

    written: int = 0
    failures: list[tuple[Job, ConcordClientError | OSError]] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """OK; the code that all failures share; or FAILED."""
        codes = {exit_code(error) for _, error in self.failures}
        return ExitCode.OK if not codes else codes.pop() if len(codes) == 1 else ExitCode.FAILED


async def harmonize_one(job: Job, method: Method, connection: Connection) -> None:
    """Harmonizes one photograph, with a progress bar of a diffusion's steps; prints the seed of a diffusion.

    Raises:
        ConcordClientError: the request failed.
        OSError: a file could not be read or written.
    """
    async with AsyncClient(**connection) as client:
        with StepBar() as steps:
            done = await _harmonize(client, job, method, steps)
        for remark in done.remarks:
            print(f"concord: {remark}", file=sys.stderr)
        if done.seed is not None:
            print(f"seed {done.seed}")


async def harmonize_all(
    jobs: Sequence[Job], method: Method, connection: Connection, concurrency: int, report: Report
) -> None:
    """Harmonizes photographs with a progress bar; one that fails does not stop the others.

    Args:
        jobs: what to do.
        method: what harmonizes them.
        connection: the server.
        concurrency: requests in flight.
        report: filled as the run goes on, so that it is there when the run is interrupted.

    Raises:
        Unreachable: no server answers, at the start or for as long as the timeout of one call; the run is over.
        InvalidInput: the server refuses a setting of the run, and would with every photograph.
    """
    async with AsyncClient(**connection, retry=PATIENT_RETRY) as client:
        await _reach(client)
        with tqdm(total=len(jobs), unit="image", disable=None) as progress, StepBar() as steps:
            queue = iter(jobs)
            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(min(concurrency, len(jobs))):
                        workers.create_task(_work(client, queue, method, report, progress, steps))
            except ExceptionGroup as group:
                raise group.exceptions[0] from None


async def _reach(client: AsyncClient) -> None:
    """Raises `Unreachable` when nothing answers; a server that is there but busy is for the retries."""
    try:
        await client.wait_until_ready(REACH_TIMEOUT)
    except Unreachable:
        raise
    except Unavailable:
        pass


async def _work(
    client: AsyncClient, queue: Iterator[Job], method: Method, report: Report, progress: tqdm, steps: StepBar
) -> None:
    for job in queue:
        try:
            done = await _harmonize(client, job, method, steps)
            for remark in done.remarks:
                tqdm.write(f"concord: {job.image}: {remark}", file=sys.stderr)
            if done.seed is not None:
                tqdm.write(f"{job.image}: seed {done.seed}")
            report.written += 1
        except Unreachable:
            raise
        except (ConcordClientError, OSError) as error:
            if isinstance(error, InvalidInput) and error.code == INVALID_SETTING:
                raise
            report.failures.append((job, error))
            progress.set_postfix(failed=len(report.failures))
        progress.update()


@dataclass(frozen=True)
class _Done:
    remarks: list[str]
    seed: int | None


async def _harmonize(client: AsyncClient, job: Job, method: Method, steps: StepBar) -> _Done:
    with steps.following() as on_step:
        answer = await client.harmonize(
            job.image,
            text=job.text,
            mask=job.mask,
            model=method.model,
            diffusion=method.diffusion,
            on_step=None if method.diffusion is None else on_step,
            return_mask=job.mask_output is not None,
        )
    for path, content in ((job.mask_output, answer.mask), (job.output, answer.image)):
        if path is not None and content is not None:
            await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
            await asyncio.to_thread(write_atomically, path, content)
    return _Done(remarks(job.text, answer.score, answer.truncated), answer.seed)


def print_report(report: Report, jobs: int) -> None:
    """Says on stderr how many answers were written and, one a line, which photographs failed and why."""
    print(f"concord: {report.written} of {jobs} images harmonized", file=sys.stderr)
    for job, error in report.failures:
        print(f"concord: {job.image}: {one_line(error)}", file=sys.stderr)
