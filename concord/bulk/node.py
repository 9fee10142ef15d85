"""The Triton of a node: an actor that stays there, and that the node's workers ask for its address."""

import os
import threading
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from concord.bulk.order import Order
from concord.errors import ServerFailure
from concord.server.choice import AUTO
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.server.watchdog import Watchdog
from concord_client.client import Client
from concord_client.commands import UsageError
from concord_client.commands.batch import REACH_TIMEOUT
from concord_client.commands.flags import read_given
from concord_client.errors import ConcordClientError, ModelNotFound, ServerError
from concord_client.settings import SettingValue

START_SECONDS = 900.0
THREADS = "OMP_NUM_THREADS"
"""Ray sets it for its actors, and a Triton would inherit it."""


class Node:
    """Starts the node's Triton, or knows that of ``order.url``; it is looked after until the actor ends.

    Args:
        threads: the run's own `THREADS`, None where it has none.
    """

    def __init__(self, order: Order, threads: str | None) -> None:
        self._order = order
        self._server: EmbeddedServer | None = None
        self._failure: Exception | None = None
        self._stopped = threading.Event()
        if order.url:
            return
        os.environ.pop(THREADS, None)
        if threads is not None:
            os.environ[THREADS] = threads
        load = None if order.model is None else {order.model}
        server = EmbeddedServer(
            order.repositories or MODEL_REPOSITORIES,
            ports=Ports(None, 0, 0),
            model_config_name=AUTO,
            load=load,
            start_seconds=START_SECONDS,
        )
        try:
            server.start()
        except ServerFailure as failure:
            unknown = failure.field == "load" and order.model is not None
            known = tuple(failure.allowed.split(", ")) if failure.allowed else ()
            self._failure = ModelNotFound(order.model or "", known) if unknown else ServerError(str(failure))
            return
        self._server = server
        watchdog = Watchdog(server, notify=lambda _: None)
        threading.Thread(target=watchdog.watch, args=(self._stopped,), daemon=True).start()

    def address(self) -> str | None:
        """``host:port``, which this node reaches."""
        return self._server.grpc_url if self._server else self._order.url

    def check(self, given: frozenset[str]) -> dict[str, SettingValue] | Exception:
        """The values of the run's settings; or why the server cannot do what is asked, with these fields given."""
        if self._failure is not None:
            return self._failure
        try:
            return self._checked(given)
        except (ConcordClientError, UsageError) as error:
            return error

    def stop(self) -> None:
        """Ends the Triton when its requests are answered."""
        self._stopped.set()
        if self._server is not None:
            self._server.stop()

    def _checked(self, given: frozenset[str]) -> dict[str, SettingValue]:
        order = self._order
        with Client(self.address(), timeout=order.timeout) as client:
            client.wait_until_ready(REACH_TIMEOUT)
            catalogue = client.catalogue()
            tensors = {each.tensor for each in order.request.fields() if each.name in given}
            pipeline = catalogue.choose(order.task, order.model, tensors, streams=True)
            return read_given(catalogue, pipeline, order.settings)


def node_here(order: Order, threads: str | None, run: str) -> Any:
    """The handle of the node that this process is on; it is started where nobody has."""
    return node_on(ray.get_runtime_context().get_node_id(), order, threads, run)


def node_on(identity: str, order: Order, threads: str | None, run: str, gpus: float = 0) -> Any:
    """The handle of a node.

    Args:
        run: that it belongs to.
        gpus: how many of them Triton is to see.
    """
    actor = ray.remote(Node).options(
        name=f"{run} {identity}",
        namespace=run,
        get_if_exists=True,
        num_cpus=0,
        num_gpus=gpus,
        max_concurrency=4,
        scheduling_strategy=NodeAffinitySchedulingStrategy(identity, soft=False),
    )
    return actor.remote(order, threads)
