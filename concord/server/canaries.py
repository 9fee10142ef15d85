"""Canaries: requests marked as such that ask every model of a server whether its process lives."""

import queue
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as triton  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException, triton_to_np_dtype  # type: ignore[import-untyped]

from concord import canary
from concord.repository.profiles import PATIENCE

_DEAD_STUB = "Stub process"


@dataclass(frozen=True)
class AskedModel:
    """A model that canaries are sent to, and the client that carries them.

    Attributes:
        inputs: zeros in the smallest shapes that its configuration allows; optional inputs are left out.
        patience: seconds it may take to answer.
        decoupled: whether it can be asked over a stream only.
    """

    inputs: list[Any]
    patience: float
    client: Any
    decoupled: bool


class Canaries:
    """The canaries of one server, one at a time for each model that is no ensemble.

    Args:
        url: the server's gRPC endpoint.
        patience: seconds a model may take to answer a canary or anybody else, where its configuration's parameter
            ``canary_patience_seconds`` does not give it longer.

    Raises:
        InferenceServerException: the server does not answer.
    """

    def __init__(self, url: str, patience: float) -> None:
        self._patience = patience
        self._answers: queue.Queue[tuple[str, float, str]] = queue.Queue()
        self._asked: dict[str, float] = {}
        self._successes: dict[str, int] = {}
        self._unary = triton.InferenceServerClient(url)
        self._models: dict[str, AskedModel] = {}
        for name in self._counted():
            config = self._unary.get_model_config(name, client_timeout=patience).config
            if not config.HasField("ensemble_scheduling"):
                self._models[name] = self._model(url, config, patience)

    def close(self) -> None:
        """Gives up every canary that is not answered."""
        for model in self._models.values():
            if model.decoupled:
                _abandon_stream(model.client)
                model.client.close()
        self._unary.close()

    def poll(self) -> Iterator[tuple[str, str]]:
        """Gives the answers that have come, then asks every model that is not being asked already.

        Yields:
            A model and what its answer says is wrong with it, in words; empty if nothing is. A model that has answered
            nothing within its patience, to a canary or to anybody, is given in every poll.

        Raises:
            InferenceServerException: the server does not answer.
        """
        with suppress(queue.Empty):
            while True:
                name, asked, error = self._answers.get_nowait()
                # A stream that is abandoned says so, after the canary it carried was answered.
                if self._asked.get(name) == asked:
                    del self._asked[name]
                    yield name, self._silence(name) if _is_late(error) else _explained(name, error)
        for name, asked in list(self._asked.items()):
            if time.monotonic() >= asked + self._models[name].patience:
                yield name, self._silence(name)
        unasked = self._models.keys() - self._asked.keys()
        if unasked:
            counted = self._counted()
            self._successes |= {name: counted[name] for name in unasked}
        for name in unasked:
            self._ask(name)

    def _silence(self, name: str) -> str:
        """What is wrong with a model that has not answered a canary in time: nothing, if it has answered others.

        Triton's queue has no bound, and a canary waits in it like any request; a model that works is asked anew.
        """
        successes = self._counted()[name]
        if successes > self._successes[name]:
            self._asked.pop(name, None)
            return ""
        return f"model '{name}' does not answer"

    def _counted(self) -> Counter[str]:
        """How many requests each model has answered well so far."""
        statistics = self._unary.get_inference_statistics(client_timeout=self._patience)
        return Counter({model.name: model.inference_stats.success.count for model in statistics.model_stats})

    def _model(self, url: str, config: Any, patience: float) -> AskedModel:
        decoupled = config.model_transaction_policy.decoupled
        inputs = [_zeros(tensor, config.max_batch_size > 0) for tensor in config.input if not tensor.optional]
        longer = config.parameters[PATIENCE].string_value if PATIENCE in config.parameters else "0"
        client = triton.InferenceServerClient(url) if decoupled else self._unary
        return AskedModel(inputs, max(patience, float(longer)), client, decoupled)

    def _ask(self, name: str) -> None:
        model = self._models[name]
        parameters = {canary.PARAMETER: True}
        asked = self._asked[name] = time.monotonic()

        def note(result: Any, error: Any) -> None:
            self._answers.put((name, asked, "" if error is None else str(error)))

        try:
            if model.decoupled:
                # A stream of its own each time: one that has failed once takes no further request.
                _abandon_stream(model.client)
                model.client.start_stream(note)
                further = {"parameters": parameters, "enable_empty_final_response": True}
                model.client.async_stream_infer(name, model.inputs, **further)
            else:
                model.client.async_infer(name, model.inputs, note, client_timeout=model.patience, parameters=parameters)
        except InferenceServerException as error:
            note(None, error)


def _abandon_stream(client: Any) -> None:
    with suppress(InferenceServerException):
        client.stop_stream(cancel_requests=True)


def _zeros(tensor: Any, batched: bool) -> Any:
    shape = [max(1, size) for size in tensor.dims]
    if batched:
        shape.insert(0, 1)
    datatype = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    datatype = "BYTES" if datatype == "STRING" else datatype
    zeros = triton.InferInput(tensor.name, shape, datatype)
    zeros.set_data_from_numpy(np.zeros(shape, triton_to_np_dtype(datatype)))
    return zeros


def _is_late(error: str) -> bool:
    return "DEADLINE_EXCEEDED" in error or "Deadline Exceeded" in error


def _explained(model: str, error: str) -> str:
    """The problem that an answer to a canary shows; any answer of the model or of its full queue shows none."""
    return f"the process of model '{model}' is dead" if _DEAD_STUB in error else ""
