"""Does the rows that a node is given: keeps requests under way at its Triton, and writes down what became of them."""

import asyncio
import pickle
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import ray

from concord.bulk.ids import picture_of, require_id
from concord.bulk.journal import LOCK_SECONDS, Journal, Line, holding
from concord.bulk.node import node_here
from concord.bulk.order import Order
from concord.bulk.place import Place
from concord.bulk.window import Window
from concord.heap import give_back_large_blocks
from concord_client.aio import AsyncClient
from concord_client.commands import one_line
from concord_client.commands.batch import INVALID_SETTING, PATIENT_RETRY
from concord_client.errors import ConcordClientError, InvalidInput, ModelNotFound, Unreachable
from concord_client.settings import SettingValue

TOLD = pa.schema({"id": pa.string(), "status": pa.string(), "window": pa.int64(), "fatal": pa.binary()})
"""What a batch answers with: of each row, or what ends the run, an exception as `pickle` writes it."""


@dataclass(frozen=True)
class Task:
    """What all workers of a run are told.

    Attributes:
        places: where images and masks are, by field; None where they are in the rows.
        walked: whether names are those of images in a folder.
        threads: see `concord.bulk.node`.
        run: its name.
    """

    order: Order
    settings: Mapping[str, SettingValue]
    places: Mapping[str, Place | None]
    walked: bool
    threads: str | None
    run: str


@dataclass
class _Answered:
    """A row that is to be written down."""

    line: Line
    picture: bytes | None
    written: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Worker:
    """An actor of Ray Data; batches of several threads share its window."""

    def __init__(self, task: Task) -> None:
        give_back_large_blocks()
        self._task = task
        self._target = Place.of(task.order.target)
        self._held = ExitStack()
        self._held.enter_context(holding(self._target, alone=False, patience=LOCK_SECONDS))
        self._journal = Journal(self._target)
        self._node = ray.get_runtime_context().get_node_id()
        address = ray.get(node_here(task.order, task.threads, task.run).address.remote())
        self._client = AsyncClient(address, timeout=task.order.timeout, retry=PATIENT_RETRY)
        self._window = Window()
        self._pending: list[_Answered] = []
        self._writing = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def __call__(self, rows: pa.Table) -> pa.Table:
        """What became of the rows, as `TOLD`; the output cannot be written, or no row would be answered, is fatal."""
        try:
            told = asyncio.run_coroutine_threadsafe(self._all(rows.to_pylist()), self._loop).result()
        except (OSError, ConcordClientError) as error:
            # Ray would ask for the batch again, and wrap it in errors of its own.
            told = [{"fatal": pickle.dumps(error)}]
        return pa.Table.from_pylist(told, TOLD)

    async def _all(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._row(row)) for row in rows]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() | {"window": self._window.size} for task in tasks]

    async def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        name, line = row["id"], Line(id=row["id"], status="done", node=self._node)
        picture = None
        async with self._window.place():
            began = time.monotonic()
            try:
                line["output"] = picture_of(require_id(name), self._task.walked)
                if await asyncio.to_thread(self._target.has, line["output"]):
                    # It was written by a node that was lost before it could tell.
                    return {"id": name, "status": "done"}
                answer = await self._client.run(
                    self._task.order.request(**await self._fields(row)),
                    model=self._task.order.model,
                    settings=self._task.settings,
                    without=[each.name for each in self._unwanted()],
                )
                content = getattr(answer, self._task.order.picture.name)
                picture = next(iter(content), None) if isinstance(content, tuple) else content
                line |= {each.name: getattr(answer, each.name) for each in self._task.order.said}
            except (Unreachable, ModelNotFound):
                raise
            except InvalidInput as error:
                if error.code == INVALID_SETTING:
                    raise
                line |= {"status": "refused", "code": error.code, "error": one_line(error), "output": None}
            except ValueError as error:  # the row gives none, or more than one, of what the task takes one of
                line |= {"status": "refused", "code": "invalid_row", "error": one_line(error), "output": None}
            except (ConcordClientError, OSError) as error:
                code = "unreadable" if isinstance(error, OSError) else "unanswered"
                line |= {"status": "failed", "code": code, "error": one_line(error), "output": None}
            line["seconds"] = time.monotonic() - began
        await self._write(_Answered(line, picture))
        return {"id": name, "status": line["status"]}

    def _unwanted(self) -> list[Any]:
        order = self._task.order
        return [each for each in order.request.answer_type().fields() if each.holds_images and each != order.picture]

    async def _fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row's request.

        Raises:
            InvalidInput: it has no image.
            OSError: a file of it cannot be read.
        """
        fields: dict[str, Any] = {} if row.get("text") is None else {"text": row["text"]}
        for name, place in self._task.places.items():
            if (content := row.get(f"{name}_bytes")) is None and (path := row.get(f"{name}_path")) is not None:
                assert place is not None
                content = await asyncio.to_thread(place.system.cat_file, path)
            if content is not None:
                fields[name] = content
        if "image" not in fields:
            raise InvalidInput("missing_image", "IMAGE", "the row has none", "bytes, or a path")
        return fields

    async def _write(self, answered: _Answered) -> None:
        """Returns when it is on disk, together with what others wait to have written; raises OSError."""
        self._pending.append(answered)
        async with self._writing:
            if answered.written.done():
                return
            batch, self._pending = self._pending, []
            # The line first: a picture that is there is of a row of which all is known.
            await asyncio.to_thread(self._journal.write, [each.line for each in batch])
            pictures = [(each.line["output"], each.picture) for each in batch if each.picture is not None]
            await asyncio.gather(*(asyncio.to_thread(self._target.write, *each) for each in pictures))
            for each in batch:
                each.written.set_result(None)
