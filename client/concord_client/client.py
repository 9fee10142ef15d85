"""The blocking client."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any, Self, TypeVar, cast

from concord_client.aio import READY_PROBE_TIMEOUT, AsyncClient
from concord_client.cancellation import Cancellation
from concord_client.catalogue import DEFAULT_DEADLINE, Catalogue
from concord_client.inference import OnLost, Wish, untold
from concord_client.repository import Model
from concord_client.retry import Retry
from concord_client.settings import Diffusion, SettingValue
from concord_client.steps import OnStep
from concord_client.tasks.fields import Encoded, Numbers, read_encoded
from concord_client.tasks.harmonize import Harmonize, Harmonized
from concord_client.tasks.request import A, Request
from concord_client.tasks.segment import Segment, Segmented
from concord_client.tasks.select import Select, Selected
from concord_client.transport import ProtocolName

S = TypeVar("S")
T = TypeVar("T")


class Client:
    """Talks to a Concord server; safe to share between threads.

    Every call raises one of `concord_client.errors`: `InvalidInput`, `ModelNotFound`, `Unavailable` (and its special
    cases `Unreachable` and `Lost`), `DeadlineExceeded`, `Cancelled` or `ServerError`. `Unavailable` is retried within
    the call's deadline, as long as no step was reported; nothing else is. What a server has lost that was there before,
    it is asked again from the beginning until the deadline. Ctrl-C, or the `Cancellation` a call was given, ends the
    call and tells the server.

    Args:
        url: ``host:port``; by default localhost with the protocol's usual port, 8001 for gRPC and 8000 for HTTP.
        protocol: ``grpc``, or ``http``.
        timeout: seconds a call may take, retries included, where the call does not say otherwise; None for what the
            model declares, and 60 for calls that ask none.
        retry: when and how often a call that found the server unavailable is tried again.

    Raises:
        ValueError: an address or protocol that cannot be.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        protocol: ProtocolName = "grpc",
        timeout: float | None = None,
        retry: Retry = Retry(),  # noqa: B008 - frozen
    ) -> None:
        self._calls = _BlockingCalls(url, protocol=protocol, timeout=timeout, retry=retry)
        self.address = self._calls.address

    def run(
        self,
        request: Request[A],
        *,
        model: str | None = None,
        settings: Mapping[str, SettingValue] | None = None,
        on_step: OnStep | None = None,
        on_lost: OnLost | None = None,
        without: Collection[str] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        cancellation: Cancellation | None = None,
    ) -> A:
        """Answers a request of any task.

        Over gRPC the server stops a model that works in steps within one step when the call is cancelled. Over HTTP it
        cannot see that; there it works on until the timeout, and no steps are reported.

        Args:
            request: what is wanted, such as ``Harmonize(image, text="the teddy bear")``.
            model: which of the task's models answers; None for the first that takes what is given. `catalogue` lists
                them.
            settings: how the model is to work, by the settings' names, such as ``{"steps": 5}``. What is not given the
                server chooses.
            on_step: is told of every step, in the thread of the call.
            on_lost: is told why the request is made again from the beginning, with steps from 0: a process of the
                server has ended.
            without: fields of the answer that are not wanted; they are not computed where that saves work, nor sent.
            timeout: seconds, retries included; None for the client's own. A model that works in steps stops after it.
            headers: sent along, as gRPC metadata or HTTP headers; W3C trace context, for example.
            cancellation: lets another thread end the call.

        Raises:
            InvalidInput: the model has no such setting, or does not take what is given; or the server refused it.
            ValueError: on_step for a model without steps; or without names what every answer has.
            OSError: a file cannot be read.
            TypeError: an image that is neither bytes nor a path.
        """
        return _ended(
            self._calls._run(
                Wish(request, model, settings, on_step, on_lost or untold, without, timeout, headers, cancellation)
            )
        )

    def harmonize(
        self,
        image: Encoded,
        *,
        text: str | None = None,
        mask: Encoded | None = None,
        model: str | None = None,
        settings: Mapping[str, SettingValue] | None = None,
        diffusion: Diffusion | None = None,
        on_step: OnStep | None = None,
        return_mask: bool = True,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Harmonized:
        """Harmonizes one part of a photograph; every pixel outside that part stays as it was.

        Args:
            image: the composite, encoded.
            text: a referring expression that names the part, such as "the teddy bear".
            mask: or the part itself: an encoded image of the same size, white (128 and above) where it is.
            diffusion: settings of a diffusion model, by name.
            return_mask: whether the mask predicted for a text is wanted too.

        Other arguments and errors are those of `run`.

        Raises:
            ValueError: neither or both of text and mask.
        """
        return self.run(
            Harmonize(image, text=text, mask=mask),
            model=model,
            settings={**(settings or {}), **(diffusion.given() if diffusion else {})},
            on_step=on_step,
            without=() if return_mask else ("mask",),
            timeout=timeout,
            headers=headers,
            cancellation=cancellation,
        )

    def segment(
        self,
        image: Encoded,
        text: str,
        *,
        model: str | None = None,
        settings: Mapping[str, SettingValue] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Segmented:
        """Finds the part of a photograph that a text names. Arguments and errors are those of `run`."""
        return self.run(
            Segment(image, text),
            model=model,
            settings=settings,
            timeout=timeout,
            headers=headers,
            cancellation=cancellation,
        )

    def select(
        self,
        image: Encoded,
        *,
        points: Numbers | None = None,
        box: Numbers | None = None,
        model: str | None = None,
        settings: Mapping[str, SettingValue] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Selected:
        """Finds the part of a photograph that points and a box show; other arguments and errors are those of `run`.

        Args:
            points: such as ``[(120, 80, 1), (40, 30, 0)]``: x and y in pixels of the upright photograph, and 1 where
                the part is or 0 where it is not.
            box: left, top, right and bottom of a box around the part.
        """
        return self.run(
            Select(image, points=points, box=box),
            model=model,
            settings=settings,
            timeout=timeout,
            headers=headers,
            cancellation=cancellation,
        )

    def catalogue(self, *, max_age: float | None = None, timeout: float | None = None) -> Catalogue:
        """The server's public models and what they take; asked once and remembered.

        Args:
            max_age: asks again if what is remembered was asked at least so many seconds ago; None never does.
            timeout: seconds, where the server is asked.

        Raises:
            InvalidDeclaration: a model's configuration cannot be read.
        """
        return _ended(self._calls.catalogue(max_age=max_age, timeout=timeout))

    def models(self, *, timeout: float | None = None) -> list[Model]:
        """Every model and pipeline of the server, sorted by name."""
        return _ended(self._calls.models(timeout=timeout))

    def ready(self, *, timeout: float = READY_PROBE_TIMEOUT) -> bool:
        """Whether the server answers and all its models are ready; False where nothing answers."""
        return _ended(self._calls.ready(timeout=timeout))

    def wait_until_ready(self, timeout: float = DEFAULT_DEADLINE) -> None:
        """Returns as soon as the server is `ready`.

        Raises:
            Unavailable: it was not within the time; `Unreachable` where nothing answered.
        """
        _ended(self._calls.wait_until_ready(timeout))

    def close(self) -> None:
        """Ends the connection; the client cannot be used after it."""
        _ended(self._calls.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _BlockingCalls(AsyncClient):
    """The same coroutines, in the caller's thread: nothing of them waits for an event loop."""

    _blocking = True

    async def _read(self, source: Encoded) -> bytes:
        return read_encoded(source)

    async def _sleep(self, seconds: float, cancellation: Cancellation) -> None:
        cancellation.wait(seconds)

    async def _each(self, items: Iterable[S], ask: Callable[[S], Awaitable[T]]) -> list[T]:
        return [await ask(item) for item in items]


def _ended(call: Coroutine[Any, Any, T]) -> T:
    """What a call answers that blocks instead of waiting for an event loop."""
    try:
        call.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise AssertionError("the call waits for an event loop")
