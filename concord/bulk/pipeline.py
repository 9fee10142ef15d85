"""Rows through Ray Data to the nodes of a cluster: one Triton and one worker on each."""

import os
import pickle
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
from ray.data.exceptions import SystemException
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from tqdm import tqdm  # type: ignore[import-untyped]

from concord.bulk.folder import Folder
from concord.bulk.node import THREADS, node_on
from concord.bulk.order import Order
from concord.bulk.table import SCHEMA, Table
from concord.bulk.todo import Todo
from concord.bulk.worker import Task, Worker
from concord_client.commands import one_line
from concord_client.errors import ServerError
from concord_client.settings import SettingValue

_BLOCK = 2048
"""Rows of metadata that are handed over at a time."""
_MOST_ROWS = 8
"""Of a batch: what a lost node has under way is small, and so is what others wait for at the end."""
_CALLS = 4
"""Batches that a worker has at a time, so that its window stays full between them."""
_SHARES = 8
"""Batches that there are for each of a worker's, where there are enough rows."""
_PLACE_BYTES = 2**20
"""Of Ray's account of memory: what is set aside on a node for its worker, which takes all of it."""
STOP_SECONDS = 30.0


def work(order: Order, rows: Folder | Table, todo: Todo) -> int:
    """Does it; returns how many requests a node had under way at last.

    Raises:
        UsageError: the model does not have what is asked for.
        ConcordClientError: the server cannot answer.
        OSError: the output cannot be written any more.
    """
    run_name, threads = f"concord-bulk-{secrets.token_hex(8)}", os.environ.get(THREADS)
    alive = [each for each in ray.nodes() if each["Alive"] and each["Resources"].get("CPU")]
    nodes = [node_on(each["NodeID"], order, threads, run_name, each["Resources"].get("GPU", 0)) for each in alive]
    window, settings = 0, dict[str, SettingValue]()
    try:
        for checked in ray.get([node.check.remote(frozenset(rows.given)) for node in nodes]):
            if isinstance(checked, Exception):
                raise checked
            settings = checked
        masks = rows.masks if isinstance(rows, Folder) else rows.place
        places = {"image": rows.place, "mask": masks}
        task = Task(order, settings, places, isinstance(rows, Folder), threads, run_name)
        with tqdm(total=todo.count, unit="row", disable=None) as progress:
            for batch in _answered(task, rows, todo, len(nodes)):
                for told in batch.to_pylist():
                    if told["fatal"] is not None:
                        raise pickle.loads(told["fatal"])  # noqa: S301 - of our own worker
                    window = told["window"]
                    progress.update()
    except (ray.exceptions.RayError, SystemException) as error:
        raise _cause(error) from None
    finally:
        ray.wait([node.stop.remote() for node in nodes], num_returns=len(nodes), timeout=STOP_SECONDS)
    return window


def _answered(task: Task, rows: Folder | Table, todo: Todo, nodes: int) -> Iterator[pa.Table]:
    """What workers answer, as it comes."""
    size = max(1, min(_MOST_ROWS, todo.count // (nodes * _CALLS * _SHARES)))
    if isinstance(rows, Table):
        parts = [{"part": part, "left_out": left_out} for part, left_out in todo.parts]
        read = ray.data.from_items(parts, override_num_blocks=len(parts)).map_batches(
            _Read(rows), batch_size=1, zero_copy_batch=True
        )
    else:
        blocks = [todo.rows[start : start + _BLOCK] for start in range(0, len(todo.rows), _BLOCK)]
        read = ray.data.from_arrow([pa.Table.from_pylist(each, SCHEMA) for each in blocks])
    # One worker a node; what a lost one had goes to another node.
    places = placement_group([{"memory": _PLACE_BYTES}] * nodes, strategy="SPREAD")
    try:
        answered = read.repartition(target_num_rows_per_block=size).map_batches(
            Worker,
            fn_constructor_args=(task,),
            batch_size=size,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                size=nodes,
                max_concurrent_calls_per_actor=_CALLS,
                max_tasks_in_flight_per_actor=_CALLS,
                enable_true_multi_threading=True,
            ),
            num_cpus=0,
            memory=_PLACE_BYTES,
            scheduling_strategy=PlacementGroupSchedulingStrategy(places),
        )
        yield from answered.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    finally:
        remove_placement_group(places)


@dataclass(frozen=True)
class _Read:
    """Reads parts of a table."""

    table: Table

    def __call__(self, batch: dict[str, Any]) -> Iterator[pa.Table]:
        for part, left_out in zip(batch["part"], batch["left_out"], strict=True):
            yield from self.table.rows(part, frozenset(left_out))


def _cause(error: Any) -> Exception:
    """What went wrong in a worker."""
    cause: BaseException = error
    while isinstance(cause, ray.exceptions.RayError) or type(cause).__module__.startswith("ray."):
        inner = getattr(cause, "cause", None) or cause.__cause__
        if inner is None:
            return ServerError(one_line(error)[-400:])
        cause = inner
    return cause if isinstance(cause, Exception) else ServerError(one_line(error)[-400:])
