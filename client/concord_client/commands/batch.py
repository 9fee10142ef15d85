"""Does the jobs of a plan, a few at a time."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from concord_client.aio import AsyncClient
from concord_client.atomic_file import write_atomically
from concord_client.commands import ExitCode, UsageError, exit_code, one_line
from concord_client.commands.flags import Connection, read_given
from concord_client.commands.plan import PHOTOGRAPH, Job, Plan, numbered
from concord_client.composition import LAYER, OUTPUT
from concord_client.errors import ConcordClientError, InvalidInput, Unavailable, Unreachable
from concord_client.psd import SUFFIX as LAYERED
from concord_client.retry import Retry
from concord_client.settings import SettingValue
from concord_client.steps import OnStep, Progress
from concord_client.tasks.fields import read_encoded
from concord_client.tasks.request import Answer, Request

PATIENT_RETRY = Retry(attempts=100, first_delay=0.2, longest_delay=5.0)
"""Lets a long run survive a full queue or a restarting server for as long as the timeout of one call."""
REACH_TIMEOUT = 2.0
REPORT = "report.json"
INVALID_SETTING = "invalid_setting"
"""The server's code for a setting that it refuses, whatever the photograph."""
LOW_SCORE = 0.5
"""Below it a predicted mask is mostly pixels the network was unsure of; the lowest possible score is its threshold."""


@dataclass(frozen=True)
class Method:
    """How the jobs of a run are done: the task, the model (None for the server's default) and settings as written."""

    request: type[Request[Any]]
    model: str | None
    settings: Mapping[str, str | None]


@dataclass(frozen=True)
class Run:
    """How a plan is done: where its report goes, if anywhere, and whether what is there already is done again."""

    folder: Path | None
    again: bool = False

    def todo(self, plan: Plan) -> list[Job]:
        """The jobs of which an answer is not there yet."""
        return [job for job in plan.jobs if self.again or not all(path.exists() for path in job.outputs.values())]


@dataclass
class Report:
    """What became of a plan so far."""

    plan: Plan
    jobs: int
    done: int = 0
    failures: list[tuple[Job, ConcordClientError | OSError]] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """OK; the code that all failures share; or FAILED."""
        codes = {exit_code(error) for _, error in self.failures}
        if self.plan.failed:
            codes.add(ExitCode.FAILED)
        return ExitCode.OK if not codes else codes.pop() if len(codes) == 1 else ExitCode.FAILED

    def print(self) -> None:
        """Says on stderr how many jobs were done and, one a line, which failed and why, and what was for none."""
        skipped = f", {self.skipped} were there already" if self.skipped else ""
        print(f"concord: {self.done} of {self.jobs} images done{skipped}", file=sys.stderr)
        for name, reason in {**self.failed, **self.plan.unused}.items():
            print(f"concord: {name}: {reason}", file=sys.stderr)

    @property
    def skipped(self) -> int:
        """How many jobs were left out, since their answers are there."""
        return len(self.plan.jobs) - self.jobs

    @property
    def failed(self) -> dict[str, str]:
        """Why an image has no answer, or a line is of no use."""
        return {**self.plan.failed, **{job.name: one_line(error) for job, error in self.failures}}

    def tell(self, run: Run) -> None:
        """Says and writes it."""
        self.print()
        if run.folder is not None:
            self.write(run.folder)

    def write(self, folder: Path) -> None:
        """Writes the same as JSON, `REPORT` in a folder."""
        told = {"done": self.done, "skipped": self.skipped, "failed": self.failed, "unmatched": {**self.plan.unused}}
        folder.mkdir(parents=True, exist_ok=True)
        # A file's name that is not UTF-8 is written in its escaped form.
        write_atomically(folder / REPORT, json.dumps(told, indent=1).encode())


class StepBar:
    """A progress bar on stderr of the steps of any number of diffusions; it appears with the first of them."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    @contextmanager
    def following(self) -> Iterator[OnStep]:
        """Counts one diffusion: the block hands what it gets to the client as ``on_step``.

        Steps that were never done, because it failed, are taken back at the end.
        """
        followed = Progress(step=0, total=0)

        def follow(progress: Progress) -> None:
            nonlocal followed
            self._add(progress.step - followed.step, progress.total - followed.total)
            followed = progress

        try:
            yield follow
        finally:
            self._add(0, followed.step - followed.total)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()

    def _add(self, steps: int, total: int) -> None:
        if steps == total == 0:
            return
        if self._bar is None:
            self._bar = tqdm(total=total, unit="step", disable=None)
        elif total:
            self._bar.total += total
            self._bar.refresh()
        self._bar.update(steps)


async def run_one(job: Job, method: Method, connection: Connection) -> ExitCode:
    """Does one job, with a progress bar of its steps; prints what the answer says besides its pictures.

    Raises:
        UsageError: the model does not have a setting, or does not allow its value.
    """
    async with AsyncClient(**connection) as client:
        asking = await _Asking.of(client, method, job)
        with closing(StepBar()) as steps:
            answer = await asking.answer(job, steps)
    _tell(answer, job.fields.get("text"))
    return ExitCode.OK


async def run_all(plan: Plan, method: Method, connection: Connection, concurrency: int, run: Run) -> ExitCode:
    """Does a plan with a progress bar, ``concurrency`` at a time; one that fails does not stop the others.

    Ends with a report on stderr and in a file, also where it is interrupted.

    Raises:
        UsageError: the model does not have a setting, or does not allow its value.
        Unreachable: no server answers, at the start or for as long as the timeout of one call; the run is over.
        InvalidInput: the server refuses a setting of the run, and would with every photograph.
    """
    jobs = run.todo(plan)
    report = Report(plan, len(jobs))
    if not jobs:
        report.tell(run)
        return report.exit_code
    async with AsyncClient(**connection, retry=PATIENT_RETRY) as client:
        try:
            await client.wait_until_ready(REACH_TIMEOUT)
        except Unreachable:
            raise
        except Unavailable:
            pass  # it is there but busy, which is for the retries
        asking = await _Asking.of(client, method, jobs[0])
        try:
            with tqdm(total=len(jobs), unit="image", disable=None) as progress, closing(StepBar()) as steps:
                queue = iter(jobs)
                try:
                    async with asyncio.TaskGroup() as workers:
                        for _ in range(min(concurrency, len(jobs))):
                            workers.create_task(_work(asking, queue, report, progress, steps))
                except ExceptionGroup as group:
                    raise group.exceptions[0] from None
        finally:
            report.tell(run)
    return report.exit_code


@dataclass(frozen=True)
class _Asking:
    """Asks one model for all jobs of a run."""

    client: AsyncClient
    method: Method
    settings: Mapping[str, SettingValue]
    has_steps: bool

    @classmethod
    async def of(cls, client: AsyncClient, method: Method, job: Job) -> "_Asking":
        catalogue = await client.catalogue()
        task = method.request.TASK
        given = {field.tensor for field in method.request.fields() if field.name in job.fields}
        pipeline = catalogue.choose(task, method.model, given, streams=client.address.streams)
        settings = read_given(catalogue, pipeline, method.settings)
        if is_layered(job) and settings.get(OUTPUT.public_name) == LAYER:
            raise UsageError(f"--{OUTPUT.public_name} {LAYER} goes with a PNG; a PSD has the layer already")
        return cls(client, method, settings, catalogue.has_steps(task, pipeline.model))

    async def answer(self, job: Job, steps: StepBar) -> Answer:
        """Does a job: writes the answer's pictures."""
        fields = self.method.request.answer_type().fields()
        layers = is_layered(job) and "mask" not in job.fields
        wanted = {*job.outputs, *(["mask"] if layers else [])}
        unwanted = [each.name for each in fields if each.holds_images and each.name not in wanted]
        with steps.following() as on_step:
            answer: Answer = await self.client.run(
                self.method.request(**job.fields),
                model=self.method.model,
                settings=self.settings,
                on_step=on_step if self.has_steps else None,
                without=unwanted,
            )
        for name, path in job.outputs.items():
            content = getattr(answer, name)
            if name == PHOTOGRAPH and is_layered(job):
                content = await asyncio.to_thread(_layers, job, answer)
            pictures = content if isinstance(content, tuple) else [] if content is None else [content]
            for number, picture in enumerate(pictures if job.further else pictures[:1], 1):
                await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
                await asyncio.to_thread(write_atomically, numbered(path, number), picture)
        return answer


def is_layered(job: Job) -> bool:
    """Whether a job's photograph is written with its layers."""
    return PHOTOGRAPH in job.outputs and job.outputs[PHOTOGRAPH].suffix.lower() == LAYERED


def _layers(job: Job, answer: Answer) -> bytes:
    from concord_client.psd import layered_file

    given = {name: read_encoded(value) for name, value in job.fields.items() if isinstance(value, Path)}
    return layered_file(given["image"], getattr(answer, PHOTOGRAPH), given.get("mask") or vars(answer)["mask"])


async def _work(asking: _Asking, queue: Iterator[Job], report: Report, progress: tqdm, steps: StepBar) -> None:
    for job in queue:
        try:
            answer = await asking.answer(job, steps)
            _tell(answer, job.fields.get("text"), f"{job.name}: ")
            report.done += 1
        except Unreachable:
            raise
        except (ConcordClientError, OSError) as error:
            if isinstance(error, InvalidInput) and error.code == INVALID_SETTING:
                raise
            report.failures.append((job, error))
            progress.set_postfix(failed=len(report.failures))
        progress.update()


def _tell(answer: Answer, text: object, where: str = "") -> None:
    """Says what there is to know of an answer to a text besides its pictures, above any progress bar."""
    score: float | None = getattr(answer, "score", None)
    remarks = []
    if getattr(answer, "truncated", False):
        remarks.append("the text is longer than the network reads; only its beginning was used")
    if score == 0:
        remarks.append(f"nothing was found for {text!r}: the mask is empty, so nothing is changed")
    elif score is not None and score < LOW_SCORE:
        remarks.append(f"{text!r} was found with a low score ({score:.2f}); look at the mask")
    for remark in remarks:
        tqdm.write(f"concord: {where}{remark}", file=sys.stderr)
    for each in answer.fields():
        if each.printed and (value := getattr(answer, each.name)) is not None:
            tqdm.write(f"{where}{each.name} {_written(value)}")


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_written, value))
    return f"{value:.3f}" if isinstance(value, float) else str(value)
