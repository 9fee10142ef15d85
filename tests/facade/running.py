"""A real facade: uvicorn on a free port of loopback, in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import FastAPI

from facade.app import create_app
from facade.settings import Settings
from facade.wire.server import HttpServer, listener
from facade.work.service import Service

T = TypeVar("T")
PATIENCE = 60.0


@dataclass(frozen=True)
class Facade:
    """A running facade: its address, and what it is made of.

    What is in it belongs to its event loop; `call` and `run` reach it from the test's thread.
    """

    host: str
    port: int
    app: FastAPI
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def service(self) -> Service:
        return self.app.state.service

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits something in the facade's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def call(self, function: Callable[[], T]) -> T:
        """Calls something in the facade's event loop."""

        async def called() -> T:
            return function()

        return self.run(called())

    def wait_until(self, condition: Callable[[], bool], promise: str = "what was waited for became true") -> None:
        """Returns when something in the event loop has become true; looks whenever the loop gets to it.

        Raises:
            AssertionError: it never did; says that the promise was not kept.
        """

        async def wait() -> bool:
            deadline = time.monotonic() + PATIENCE
            while not condition():
                if time.monotonic() > deadline:
                    return False
                await asyncio.sleep(0.002)
            return True

        # Twice the patience: the loop of a busy machine gets to it late.
        assert asyncio.run_coroutine_threadsafe(wait(), self.loop).result(2 * PATIENCE), f"it is not so that {promise}"


@contextmanager
def running(settings: Settings, service: Service | None = None) -> Iterator[Facade]:
    """Serves with these settings for as long as the block runs; `settings.port` does not matter."""
    listening = listener("127.0.0.1", 0)
    app = create_app(settings, service)
    server = HttpServer(app, settings)
    started = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        serving = asyncio.create_task(server.serve([listening]))
        while not (server.started or serving.done()):
            await asyncio.sleep(0.005)
        started.set()
        await serving

    def live() -> None:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(serve())

    thread = threading.Thread(target=live)
    thread.start()
    try:
        assert started.wait(PATIENCE) and server.started
        host, port = listening.getsockname()
        yield Facade(host, port, app, loops[0])
    finally:
        server.stop(at_once=True)
        thread.join(PATIENCE)
        assert not thread.is_alive()
