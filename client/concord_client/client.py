"""The blocking client."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from concord_client.cancellation import Cancellation
from concord_client.diffusion import (
    Diffusion,
    Harmonizer,
    OnStep,
    Steps,
    diffuse_question,
    is_diffusion,
    with_deadline,
)
from concord_client.errors import DeadlineExceeded, Unavailable
from concord_client.pipelines import (
    Answer,
    Encoded,
    Harmonized,
    Question,
    Segmented,
    harmonize_question,
    read_encoded,
    read_harmonized,
    read_segmented,
    segment_question,
)
from concord_client.repository import Model
from concord_client.retry import Retry
from concord_client.transport import Address, ProtocolName, Transport

T = TypeVar("T")
DEFAULT_TIMEOUT = 60.0
DIFFUSION_TIMEOUT = 600.0
"""Published sizes take a minute or two on two cores, more with many steps or when others are asking too."""
READY_PROBE_TIMEOUT = 5.0
READY_INTERVAL = 0.2


class Client:
    """Talks to a Concord server; safe to share between threads.

    Every call raises one of `concord_client.errors`: `InvalidInput`, `ModelNotFound`, `Unavailable` (and its special
    case `Unreachable`), `DeadlineExceeded`, `Cancelled` or `ServerError`. `Unavailable` is retried within the call's
    deadline, as long as no step of a diffusion was reported; nothing else is. Ctrl-C, or the `Cancellation` a call was
    given, ends the call and tells the server.

    Args:
        url: ``host:port``; by default localhost with the protocol's usual port, 8001 for gRPC and 8000 for HTTP.
        protocol: ``grpc``, or ``http``.
        timeout: seconds a call may take, retries included, where the call does not say otherwise; None for 60, and
            600 for diffusion.
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
        self.address = Address.of(url, protocol)
        self._timeout = timeout
        self._retry = retry
        self._transport = _open_transport(self.address)

    def harmonize(
        self,
        image: Encoded,
        *,
        text: str | None = None,
        mask: Encoded | None = None,
        model: Harmonizer = "dht",
        diffusion: Diffusion | None = None,
        on_step: OnStep | None = None,
        return_mask: bool = True,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Harmonized:
        """Harmonizes one part of a photograph; every pixel outside that part stays as it was.

        Over gRPC the server stops a diffusion within one step when the call is cancelled. Over HTTP it cannot see
        that; there it works on until the timeout, and no steps are reported.

        Args:
            image: the composite, encoded.
            text: a referring expression that names the part, such as "the teddy bear".
            mask: or the part itself: an encoded image of the same size, white (128 and above) where it is.
            model: ``dht``, a transformer that answers in one pass, or ``diffharmony``, a diffusion model.
            diffusion: how the diffusion model is to work; None leaves all of it to the server.
            on_step: is told of every step of the diffusion model, in the thread of the call.
            return_mask: whether the mask predicted for a text is wanted too.
            timeout: seconds, retries included; None for the client's own. A diffusion stops by itself after it.
            headers: sent along, as gRPC metadata or HTTP headers; W3C trace context, for example.
            cancellation: lets another thread end the call.

        Raises:
            ValueError: neither or both of text and mask; or diffusion or on_step with a model that has no steps.
            OSError: a file cannot be read.
        """
        diffuses = is_diffusion(model, diffusion, on_step)
        encoded_image = read_encoded(image)
        encoded_mask = None if mask is None else read_encoded(mask)
        if not diffuses:
            question = harmonize_question(encoded_image, text, encoded_mask, return_mask)
            return read_harmonized(self._infer(replace(question, headers=headers or {}), timeout, cancellation))
        question = diffuse_question(encoded_image, text, encoded_mask, return_mask, diffusion or Diffusion())
        question = replace(question, headers=headers or {})
        return read_harmonized(self._infer_steps(question, Steps(on_step), timeout, cancellation))

    def segment(
        self,
        image: Encoded,
        text: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Segmented:
        """Finds the part of a photograph that a text names. Arguments and errors are those of `harmonize`."""
        question = replace(segment_question(read_encoded(image), text), headers=headers or {})
        return read_segmented(self._infer(question, timeout, cancellation))

    def models(self, *, timeout: float | None = None) -> list[Model]:
        """Every model and pipeline of the server, sorted by name."""

        def describe(remaining: Callable[[], float]) -> list[Model]:
            return [
                self._transport.describe(model, remaining()) if model.ready else model
                for model in self._transport.index(remaining())
            ]

        return self._call(describe, timeout, Cancellation())

    def ready(self, *, timeout: float = READY_PROBE_TIMEOUT) -> bool:
        """Whether the server answers and all its models are ready; False where nothing answers."""
        try:
            return self._transport.ready(timeout)
        except (Unavailable, DeadlineExceeded):
            return False

    def wait_until_ready(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Returns as soon as the server is `ready`.

        Raises:
            Unavailable: it was not within the time; `Unreachable` where nothing answered.
        """
        deadline = time.monotonic() + timeout
        while True:
            problem = Unavailable(f"the server at {self.address.url} was not ready within {timeout:g} s")
            try:
                if self._transport.ready(min(READY_PROBE_TIMEOUT, timeout)):
                    return
            except Unavailable as error:
                problem = error
            except DeadlineExceeded:
                pass
            if time.monotonic() + READY_INTERVAL >= deadline:
                raise problem
            time.sleep(READY_INTERVAL)

    def close(self) -> None:
        """Ends the connection; the client cannot be used after it."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _infer(self, question: Question, timeout: float | None, cancellation: Cancellation | None) -> Answer:
        cancellation = cancellation or Cancellation()
        return self._call(
            lambda remaining: self._transport.infer(question, remaining(), cancellation), timeout, cancellation
        )

    def _infer_steps(
        self, question: Question, steps: Steps, timeout: float | None, cancellation: Cancellation | None
    ) -> Answer:
        cancellation = cancellation or Cancellation()

        def ask(remaining: Callable[[], float]) -> Answer:
            timed = with_deadline(question, remaining())
            self._transport.infer_steps(timed, remaining(), cancellation, steps.receive)
            return steps.harmonized

        return self._call(ask, timeout, cancellation, DIFFUSION_TIMEOUT, lambda: not steps.begun)

    def _call(
        self,
        ask: Callable[[Callable[[], float]], T],
        timeout: float | None,
        cancellation: Cancellation,
        default_timeout: float = DEFAULT_TIMEOUT,
        may_retry: Callable[[], bool] = lambda: True,
    ) -> T:
        timeout = next(seconds for seconds in (timeout, self._timeout, default_timeout) if seconds is not None)
        deadline = time.monotonic() + timeout
        failures = 0
        delay = 0.0
        while True:
            cancellation.wait(delay)
            try:
                return ask(lambda: max(deadline - time.monotonic(), 0.0))
            except DeadlineExceeded:
                raise DeadlineExceeded(timeout) from None
            except Unavailable:
                failures += 1
                next_delay = self._retry.delay(failures, deadline - time.monotonic())
                if next_delay is None or not may_retry():
                    raise
                delay = next_delay


def _open_transport(address: Address) -> Transport:
    if address.protocol == "grpc":
        from concord_client.grpc_transport import GrpcTransport

        return GrpcTransport(address)
    from concord_client.http_transport import HttpTransport

    return HttpTransport(address)
