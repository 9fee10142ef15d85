"""A repeatable measurement: the server, the pipeline, the request and the loads."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError

from benchmarks.load.generator import Destination, Generator, Replies, closed_loop, open_loop
from benchmarks.load.inputs import SIZE
from benchmarks.load.result import LAST_WINDOWS, TOLERANCE_PERCENT
from concord.errors import InvalidSetting

TOOL = "concord load test"
POSITIVE = ("width", "height", "clients", "rates", "seconds", "window", "tolerance", "timeout")


@dataclass(frozen=True)
class Closed:
    """A number of clients, each with one request at a time."""

    clients: int
    closed = True

    @property
    def name(self) -> str:
        return f"{self.clients} client{'s' if self.clients > 1 else ''}"

    def run(self, asking: Generator, destination: Destination, seconds: float) -> Replies:
        """The replies of its requests."""
        return asking.run(closed_loop, destination, self.clients, seconds)


@dataclass(frozen=True)
class Poisson:
    """An open loop: requests at a mean rate per second, whose arrivals are a Poisson process."""

    rate: float
    seed: int = 0
    closed = False

    @property
    def name(self) -> str:
        return f"{self.rate:g} requests/s"

    def run(self, asking: Generator, destination: Destination, seconds: float) -> Replies:
        """The replies of its requests."""
        return asking.run(open_loop, destination, self.rate, seconds, self.seed)


Load: TypeAlias = Closed | Poisson


@dataclass(frozen=True)
class Recipe:
    """A measurement.

    Attributes:
        pipeline: a model or pipeline of the server; empty for its default of harmonizing what a text names.
        url: of the server; empty if one is started.
        protocol: of requests to a server that is started.
        profile: Triton's ``--model-config-name`` of a server that is started.
        repositories: its folders of models; by default the project's.
        width: of the photograph, in pixels, as is the height.
        request: KServe's JSON of a request that is sent instead.
        clients: of each closed loop.
        rates: requests per second of each open loop.
        seed: of their arrivals.
        warm_up: seconds of each load that do not count.
        seconds: of each load that count.
        window: seconds of a window, over which a load is judged by itself; None for a fifth.
        tolerance: percent by which the last windows may differ.
        timeout: seconds after which a request counts as lost.

    Raises:
        InvalidSetting: a number is out of its range.
    """

    pipeline: str = ""
    url: str = ""
    protocol: Literal["grpc", "http"] = "grpc"
    profile: str = ""
    repositories: tuple[str, ...] = ()
    width: int = SIZE[0]
    height: int = SIZE[1]
    request: dict[str, Any] = field(default_factory=dict)
    clients: tuple[int, ...] = (1,)
    rates: tuple[float, ...] = ()
    seed: int = 0
    warm_up: float = 3.0
    seconds: float = 15.0
    window: float | None = None
    tolerance: float = TOLERANCE_PERCENT
    timeout: float = 600.0

    def __post_init__(self) -> None:
        for name in POSITIVE:
            value = getattr(self, name)
            for each in value if isinstance(value, tuple) else (value,):
                if each is not None and not each > 0:
                    raise InvalidSetting(name, f"is {each:g}", "more than 0")
        if not self.warm_up >= 0:
            raise InvalidSetting("warm_up", f"is {self.warm_up:g}", "0 or more seconds")
        if self.window and self.window * LAST_WINDOWS > self.seconds:
            raise InvalidSetting("window", f"is {self.window:g}", f"at most 1/{LAST_WINDOWS} of {self.seconds:g} s")
        if self.url and (self.profile or self.repositories):
            raise InvalidSetting("url", "a server that runs has a profile and models of its own", "either, not both")
        if not self.loads:
            raise InvalidSetting("clients", "there is no load", "a number of clients, or a rate")

    @property
    def loads(self) -> list[Load]:
        """The closed loops, then the open ones."""
        return [*map(Closed, self.clients), *(Poisson(rate, self.seed) for rate in self.rates)]

    @property
    def server(self) -> object:
        """A description of the server and the protocol."""
        return self.url or (self.protocol, self.profile, self.repositories)

    def changed(self, **settings: Any) -> "Recipe":
        """The recipe with other settings. Settings of a started server replace a URL, and a URL replaces them.

        Raises:
            InvalidSetting: they contradict each other, or a number is out of its range.
        """
        if settings.get("url"):
            settings = {"profile": "", "repositories": ()} | settings
        elif {"profile", "repositories", "protocol"} & settings.keys():
            settings = {"url": ""} | settings
        return replace(self, **settings)

    def as_json(self) -> dict[str, Any]:
        """The same as a dictionary of plain numbers and words."""
        return asdict(self)


def read_recipe(path: Path) -> Recipe:
    """The recipe of a result that this tool wrote.

    Raises:
        InvalidSetting: the file cannot be read, or has other content.
    """
    allowed = "the JSON of an earlier load test"
    try:
        result = json.loads(path.read_text())
    except OSError as error:
        raise InvalidSetting("compare", f"{path} cannot be read ({error.strerror})", allowed) from None
    except ValueError as error:
        raise InvalidSetting("compare", f"{path} is no JSON ({error})", allowed) from None
    if not isinstance(result, Mapping) or result.get("tool") != TOOL:
        raise InvalidSetting("compare", f"{path} is no result of a load test", allowed)
    try:
        return TypeAdapter(Recipe).validate_python(result.get("recipe"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the recipe"
        raise InvalidSetting("compare", f"{path}: {place}: {first['msg']}", allowed) from None
