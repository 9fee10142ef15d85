"""What the clients need of a protocol, and the address it is spoken at."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, get_args

from concord_client.cancellation import Deadline
from concord_client.inference import Inference
from concord_client.repository import Model
from concord_client.tasks.fields import Tensors

ProtocolName: TypeAlias = Literal["grpc", "http"]
DEFAULT_ADDRESSES: dict[ProtocolName, str] = {"grpc": "localhost:8001", "http": "localhost:8000"}


@dataclass(frozen=True)
class Address:
    """Where the server is: ``host:port``, and the protocol it speaks there."""

    url: str
    protocol: ProtocolName

    @classmethod
    def of(cls, url: str | None, protocol: ProtocolName) -> "Address":
        """Checks the two; None stands for the protocol's usual port on this machine.

        Raises:
            ValueError: an unknown protocol, or a URL with a scheme or without a port.
        """
        if protocol not in get_args(ProtocolName):
            raise ValueError(f"protocol is {protocol!r}; allowed: grpc, http")
        url = DEFAULT_ADDRESSES[protocol] if url is None else url
        host, _, port = url.rpartition(":")
        if not host or not port.isdecimal() or "/" in url:
            raise ValueError(f"the server's address is {url!r}; allowed: host:port, such as localhost:8001")
        return cls(url, protocol)

    @property
    def streams(self) -> bool:
        """Whether the protocol carries several answers to one request."""
        return self.protocol == "grpc"

    @property
    def host(self) -> str:
        """The part before the port, without the brackets of an IPv6 address."""
        return self.url.rpartition(":")[0].strip("[]")

    def attributes(self) -> dict[str, str | int]:
        """What OpenTelemetry's conventions call these in a span."""
        port = int(self.url.rpartition(":")[2])
        return {"server.address": self.host, "server.port": port, "network.protocol.name": self.protocol}


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, which no other machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Transport(Protocol):
    """A protocol; every method ends with the deadline or its cancellation, and raises `ConcordClientError`.

    There are two of each protocol. That of the blocking client never waits in its coroutines for an event loop: it
    blocks the thread, and one step runs them to their end.
    """

    async def infer(self, inference: Inference, deadline: Deadline) -> Tensors:
        """Asks once."""

    async def ready(self, deadline: Deadline) -> bool:
        """Whether the server and its models are ready."""

    async def models(self, deadline: Deadline) -> list[Model]:
        """The models that are ready, without their tensors."""

    async def describe(self, model: Model, deadline: Deadline) -> Model:
        """The model with its tensors."""

    async def config(self, model: str, deadline: Deadline) -> Mapping[str, Any]:
        """The model's configuration in Triton's JSON form."""

    async def close(self) -> None:
        """Ends the connection."""


class StreamingTransport(Transport, Protocol):
    """A protocol that carries several answers to one request."""

    async def infer_steps(self, inference: Inference, deadline: Deadline, receive: Callable[[Tensors], None]) -> None:
        """Asks once; ``receive`` gets every answer, in the thread of the call."""
