"""A repeatable measurement: the server, the pipeline, the request and the loads."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from benchmarks.load.generator import Destination, Generator, Replies, closed_loop, open_loop
from benchmarks.load.inputs import SIZE
from benchmarks.load.result import LAST_WINDOWS, TOLERANCE_PERCENT
from concord.errors import InvalidSetting

TOOL = "concord load test"
POSITIVE = ("width", "height", "clients", "rates", "seconds", "window", "tolerance", "timeout")


@dataclass(frozen=True)
class Load:
    """A closed loop of clients, each with one request at a time; or requests at a mean rate, a Poisson process.

    `size` is the number of clients, or of requests a second; `seed` is of the arrivals.
    """

    name: str
    closed: bool
    size: float
    seed: int = 0

    def run(self, asking: Generator, destination: Destination, seconds: float) -> Replies:
        if self.closed:
            return asking.run(closed_loop, destination, self.size, seconds)
        return asking.run(open_loop, destination, self.size, seconds, self.seed)


@dataclass(frozen=True)
class Recipe:
    """A measurement; raises `InvalidSetting` if a number is out of its range.

    Attributes:
        pipeline: empty for the server's default of harmonizing what a text names.
        url: empty if a server is started, with the `profile` of these `repositories`, by default the project's.
        request: KServe's JSON of a request that is sent instead of a photograph of `width` x `height` pixels.
        clients, rates: of each closed loop, and requests per second of each open loop.
        warm_up, seconds: of each load, that do not count and that count.
        window: seconds over which a load is judged by itself; None for a fifth.
        tolerance: percent by which the last windows may differ.
        timeout: seconds after which a request counts as lost.
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
        closed = [Load(f"{each} client{'s' if each > 1 else ''}", True, each) for each in self.clients]
        return closed + [Load(f"{rate:g} requests/s", False, rate, self.seed) for rate in self.rates]

    @property
    def server(self) -> object:
        return self.url or (self.protocol, self.profile, self.repositories)

    def changed(self, **settings: Any) -> "Recipe":
        """The recipe with other settings. Settings of a started server replace a URL, and a URL replaces them."""
        if settings.get("url"):
            settings = {"profile": "", "repositories": ()} | settings
        elif {"profile", "repositories", "protocol"} & settings.keys():
            settings = {"url": ""} | settings
        return replace(self, **settings)


def read_json(path: Path, setting: str, allowed: str) -> dict[str, Any]:
    """The object in a file that a setting names; raises `InvalidSetting` if the file holds something else."""
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise InvalidSetting(setting, f"{path} cannot be read ({error.strerror})", allowed) from None
    except ValueError as error:
        raise InvalidSetting(setting, f"{path} is no JSON ({error})", allowed) from None
    if not isinstance(found, dict):
        raise InvalidSetting(setting, f"{path} is no JSON object", allowed)
    return found


def read_recipe(path: Path) -> Recipe:
    """The recipe of a result that this tool wrote; raises `InvalidSetting` if the file holds something else."""
    allowed = "the JSON of an earlier load test"
    result = read_json(path, "compare", allowed)
    if result.get("tool") != TOOL:
        raise InvalidSetting("compare", f"{path} is no result of a load test", allowed)
    try:
        return TypeAdapter(Recipe).validate_python(result.get("recipe"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the recipe"
        raise InvalidSetting("compare", f"{path}: {place}: {first['msg']}", allowed) from None
