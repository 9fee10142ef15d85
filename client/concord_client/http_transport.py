"""HTTP, as tritonclient writes and reads it and aiohttp carries it: for asyncio, and blocking."""

import asyncio
import io
import json
import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import numpy as np
import tritonclient.http as triton  # type: ignore[import-untyped]

from concord_client.cancellation import Deadline
from concord_client.errors import Cancelled, DeadlineExceeded, InvalidInput, Unavailable, Unreachable, error_from_answer
from concord_client.inference import Inference, datatype_of, shape_of
from concord_client.repository import Model, read_metadata, read_statistics
from concord_client.retry import seconds_of
from concord_client.settings import Value
from concord_client.tasks.fields import Tensors
from concord_client.transport import Address

HEADER_LENGTH = "Inference-Header-Content-Length"
LONGEST_WORDS = 500


class AsyncHttpTransport:
    """`Transport` over HTTP; made and used in one event loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        # A deadline is for one call, so the session has none of its own.
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))

    async def infer(self, inference: Inference, deadline: Deadline) -> Tensors:
        body, header_length = triton.InferenceServerClient.generate_request_body(
            [_input(name, value) for name, value in inference.inputs.items()],
            outputs=[triton.InferRequestedOutput(name) for name in inference.outputs],
        )
        headers, content = await self._ask(
            "POST",
            f"models/{quote(inference.model, safe='')}/infer",
            deadline,
            model=inference.model,
            data=io.BytesIO(body),
            headers={**inference.headers, HEADER_LENGTH: str(header_length)},
        )
        answered = triton.InferenceServerClient.parse_response_body(
            content, header_length=int(headers.get(HEADER_LENGTH, len(content)))
        )
        return inference.read(answered)

    async def ready(self, deadline: Deadline) -> bool:
        try:
            await self._ask("GET", "health/ready", deadline)
        except InvalidInput:  # the status is 400 while models load
            return False
        return True

    async def models(self, deadline: Deadline) -> list[Model]:
        _, content = await self._ask("GET", "models/stats", deadline)
        return read_statistics(json.loads(content))

    async def describe(self, model: Model, deadline: Deadline) -> Model:
        path = f"models/{quote(model.name, safe='')}/versions/{model.version}"
        _, content = await self._ask("GET", path, deadline, model=model.name)
        return read_metadata(model, json.loads(content))

    async def config(self, model: str, deadline: Deadline) -> Mapping[str, Any]:
        _, content = await self._ask("GET", f"models/{quote(model, safe='')}/config", deadline, model=model)
        config: Mapping[str, Any] = json.loads(content)
        return config

    async def close(self) -> None:
        await self._session.close()

    async def _ask(
        self, method: str, path: str, deadline: Deadline, *, model: str = "", **request: Any
    ) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of a good answer; any other status is raised as its typed error."""
        try:
            async with (
                asyncio.timeout(deadline.left),
                self._session.request(method, f"http://{self._address.url}/v2/{path}", **request) as response,
            ):
                content = await response.read()
        except TimeoutError:
            raise DeadlineExceeded(deadline.seconds) from None
        except (OSError, aiohttp.ClientError) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(self._address.url, self._address.protocol, reason) from None
        if response.status != HTTPStatus.OK:
            refusal = error_from_answer(str(response.status), _words(content), model=model, timeout=deadline.seconds)
            if isinstance(refusal, Unavailable):
                said = response.headers
                refusal.retry_after = seconds_of(said.get("Retry-After", ""), said.get("Date", ""))
            raise refusal
        return response.headers, content


class HttpTransport(AsyncHttpTransport):
    """The same, blocking: its requests are made in an event loop of its own, in a thread of its own.

    tritonclient's blocking client runs gevent's loop in the caller's thread: it can be used from one thread only, is
    not to be cancelled from another, has no deadline for a whole call and prints a traceback on Ctrl-C. Its asyncio
    client hands bodies to aiohttp in a form that blocks the loop where they are large.
    """

    def __init__(self, address: Address) -> None:
        opened: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._live(address, opened),), daemon=True)
        self._thread.start()
        self._loop = opened.result()

    async def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closed.set)
            self._thread.join()

    async def _live(self, address: Address, opened: "Future[asyncio.AbstractEventLoop]") -> None:
        super().__init__(address)
        self._closed = asyncio.Event()
        opened.set_result(asyncio.get_running_loop())
        await self._closed.wait()
        await super().close()

    async def _ask(
        self, method: str, path: str, deadline: Deadline, *, model: str = "", **request: Any
    ) -> tuple[Mapping[str, str], bytes]:
        call = super()._ask(method, path, deadline, model=model, **request)
        outcome = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            with deadline.cancellation.stopping(outcome.cancel):
                return outcome.result()
        except CancelledError:
            raise Cancelled from None
        except BaseException:
            outcome.cancel()
            raise


def _input(name: str, value: Value) -> Any:
    array = np.array(value, dtype=np.object_ if isinstance(value, bytes) else value.dtype).reshape(shape_of(value))
    return triton.InferInput(name, shape_of(value), datatype_of(value)).set_data_from_numpy(array)


def _words(content: bytes) -> str:
    """What a refusal says: Triton puts it in JSON, what stands before it may not."""
    try:
        return str(json.loads(content)["error"])
    except (ValueError, TypeError, KeyError):
        return content.decode(errors="replace")[:LONGEST_WORDS] or "the server gave no reason"
