"""Notices that the server or one of its stubs is dead or hangs, and starts the server again.

A dead stub leaves every health URL of Triton at 200, so health is asked of the models themselves: a canary, a
request of zeros marked as such, goes to every model now and then. Concord's models answer it without computing
anything.
"""

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tritonclient.grpc as triton  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException, triton_to_np_dtype  # type: ignore[import-untyped]

from concord import canary
from concord.errors import ServerFailure
from concord.server import EmbeddedServer

_DEAD_STUB = "Stub process"
_ATTEMPTS = 5


class Watchdog:
    """Watches a server that has been started.

    Args:
        server: what to watch.
        interval: seconds between two looks.
        patience: seconds that a model may take to answer a canary; longer than any queue of real requests lasts.
        notify: is told in words what happened.
    """

    def __init__(
        self,
        server: EmbeddedServer,
        *,
        interval: float = 2.0,
        patience: float = 120.0,
        notify: Callable[[str], None] = print,
    ) -> None:
        self._server = server
        self._interval = interval
        self._patience = patience
        self._notify = notify
        self._canaries: dict[str, list[triton.InferInput]] = {}

    def watch(self, stop: threading.Event) -> None:
        """Looks after the server until `stop` is set.

        Raises:
            ServerFailure: the server could not be started again.
        """
        while not stop.wait(self._interval):
            # Asked twice, because Triton calls a stub dead that a busy machine kept waiting for a second.
            problem = self.problem() and self.problem()
            if problem:
                self._notify(f"{problem}; starting the server again")
                self._restart(stop)

    def problem(self) -> str:
        """What is wrong with the server now, in words; empty if every model answers its canary."""
        if not self._server.is_alive():
            return "the server's process has ended"
        try:
            with triton.InferenceServerClient(self._server.grpc_url) as client:
                self._canaries = self._canaries or _canaries(client, self._patience)
                answers: queue.Queue[tuple[str, str]] = queue.Queue()
                for model, inputs in self._canaries.items():
                    client.async_infer(
                        model,
                        inputs,
                        partial(_note, answers, model),
                        client_timeout=self._patience,
                        parameters={canary.PARAMETER: True},
                    )
                problems = (_explained(*answers.get()) for _ in self._canaries)
                return next(filter(None, problems), "")
        except InferenceServerException as error:
            return f"the server does not answer ({error.message()})"

    def _restart(self, stop: threading.Event) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                self._server.restart()
            except ServerFailure as failure:
                if attempt == _ATTEMPTS - 1:
                    raise
                self._notify(str(failure))
                if stop.wait(2**attempt):
                    return
            else:
                self._notify("the server is ready again")
                return


def _canaries(client: triton.InferenceServerClient, patience: float) -> dict[str, list[triton.InferInput]]:
    """A request of zeros for every model that is no ensemble, in the smallest shapes its configuration allows."""
    canaries = {}
    for model in client.get_model_repository_index(client_timeout=patience).models:
        config = client.get_model_config(model.name, client_timeout=patience).config
        if not config.HasField("ensemble_scheduling"):
            canaries[model.name] = [_zeros(tensor, batched=config.max_batch_size > 0) for tensor in config.input]
    return canaries


def _zeros(tensor: Any, *, batched: bool) -> triton.InferInput:
    shape = [1] * batched + [max(1, size) for size in tensor.dims]
    datatype = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    datatype = "BYTES" if datatype == "STRING" else datatype
    zeros = triton.InferInput(tensor.name, shape, datatype)
    zeros.set_data_from_numpy(np.zeros(shape, triton_to_np_dtype(datatype)))
    return zeros


def _note(answers: "queue.Queue[tuple[str, str]]", model: str, result: Any, error: Any) -> None:
    answers.put((model, "" if error is None else str(error)))


def _explained(model: str, error: str) -> str:
    """The problem that an answer to a canary shows; any answer of the model or of its full queue shows none."""
    if _DEAD_STUB in error:
        return f"the process of model '{model}' is dead"
    if "DEADLINE_EXCEEDED" in error or "Deadline Exceeded" in error:
        return f"model '{model}' does not answer"
    if "failed to connect" in error or "Socket closed" in error:
        return "the server does not answer"
    return ""
