"""What accounts cost: what they add to a request, and signing in, also beside somebody who tries passwords."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.load.application import Application
from benchmarks.load.facade import Facade, blocking, serving
from benchmarks.load.identity_model import write_instant
from concord.instruments.markdown import times
from concord.instruments.timing import in_turns, percentiles
from concord.scenes.encoded import scene_jpeg, scene_mask
from concord.server.embedded import HOST, EmbeddedServer, Ports
from facade.store.address import file_url

ALLOWED_MS = 2.0
"""That accounts may add to a request at p50."""
ALLOWED_SHARE = 0.05
"""By which a name that is not there may differ at p50 from one that is."""
TRIES = 1000
_NAME, _PASSWORD, _KEY = "ann", "correct horse battery", "a-key-of-the-settings"
_UNLIMITED = ("--rate-limit", "1000000/minute")
_THREADS = 8


@dataclass(frozen=True)
class Numbers:
    """Times in milliseconds.

    Attributes:
        requests: of a request with a key, without accounts and with them, to a model that answers at once.
        added_p50: what accounts add.
        signing_in: with a wrong password, as somebody who is there and as nobody.
        share: by which the second differs from the first at p50.
        beside: of signing in with the right password, alone, and while one address tries wrong ones.
        tries: answers to those, by status.
    """

    requests: dict[str, dict[str, float]]
    added_p50: float
    signing_in: dict[str, dict[str, float]]
    share: float
    beside: dict[str, dict[str, float]]
    tries: dict[str, int]


def measure(rounds: int = 1000, sign_ins: int = 100, beside: int = 40) -> Numbers:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        write_instant(folder / "models")
        triton = stack.enter_context(EmbeddedServer([folder / "models"], ports=Ports(0, 0, 0)))
        without = stack.enter_context(serving(triton, *_UNLIMITED, "--api-keys", _KEY))
        flags = ("--accounts", "open", "--store", file_url(folder / "store.db"), "--proxies", HOST)
        facade = stack.enter_context(serving(triton, *_UNLIMITED, *flags))
        asking = stack.enter_context(httpx.Client(base_url=f"http://{HOST}:{facade.port}", timeout=600))
        key = _registered(asking)
        requests = _requests(without, facade, key, rounds)
        found = _signing_in(asking, sign_ins)
        besides, statuses = _beside(asking, beside)
    added = requests["with accounts"]["p50"] - requests["without"]["p50"]
    known, unknown = (found[name]["p50"] for name in ("a name that is there", "a name that is not"))
    return Numbers(requests, added, found, unknown / known - 1, besides, statuses)


def _registered(asking: httpx.Client) -> str:
    """A key of a new account."""
    asking.post("/v1/account/register", json={"name": _NAME, "password": _PASSWORD}).raise_for_status()
    made = asking.post("/v1/account/keys", json={"name": "benchmark"}).raise_for_status()
    asking.cookies.clear()
    return str(made.json()["key"])


def _requests(without: Facade, facade: Facade, key: str, rounds: int) -> dict[str, dict[str, float]]:
    with _asking(without, _KEY) as plain, _asking(facade, key) as known:
        found = in_turns({"without": plain, "with accounts": known}, rounds, warm=20)
    return {name: percentiles(values) for name, values in found.items()}


@contextmanager
def _asking(facade: Application, key: str) -> Iterator[Callable[[], None]]:
    """One client with a key, on a connection that is kept."""
    request = facade.form("/v1/harmonize", {"image": scene_jpeg(512, 512), "mask": scene_mask(512, 512)}).request
    head, _, body = request.partition(b"\r\n")
    request = head + b"\r\nAuthorization: Bearer " + key.encode() + b"\r\n" + body
    with blocking(facade) as ask:

        def asked() -> None:
            if (status := ask(request)) != 200:
                raise RuntimeError(f"answered with {status}")

        yield asked


def _signing_in(asking: httpx.Client, rounds: int) -> dict[str, dict[str, float]]:
    """Each from an address of its own, so that none is refused for its many tries."""
    addresses = count()

    def tried(name: str) -> Callable[[], None]:
        return lambda: _expect(_sign_in(asking, name, "wrong password", f"10.1.0.{next(addresses) % 250}"), 401)

    calls = {"a name that is there": tried(_NAME), "a name that is not": tried("nobody")}
    return {name: percentiles(values) for name, values in in_turns(calls, rounds // 2, warm=2).items()}


def _beside(asking: httpx.Client, rounds: int) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    addresses = count()

    def right() -> None:
        _expect(_sign_in(asking, _NAME, _PASSWORD, f"10.2.0.{next(addresses)}"), 200)

    found = in_turns({"alone": right}, rounds)
    with ThreadPoolExecutor(_THREADS) as threads:
        tries = [threads.submit(_sign_in, asking, _NAME, f"wrong-{each}", "10.3.0.1") for each in range(TRIES)]
        found |= in_turns({f"beside {TRIES} wrong tries": right}, rounds, warm=0)
        statuses = Counter(str(each.result()) for each in tries)
    return {name: percentiles(values) for name, values in found.items()}, dict(sorted(statuses.items()))


def _sign_in(asking: httpx.Client, name: str, password: str, address: str) -> int:
    sent = {"name": name, "password": password}
    return asking.post("/v1/account/sign-in", json=sent, headers={"X-Forwarded-For": address}).status_code


def _expect(status: int, expected: int) -> None:
    if status != expected:
        raise RuntimeError(f"answered with {status}")


def section(numbers: Numbers) -> str:
    statuses = ", ".join(f"{number} x {status}" for status, number in numbers.tries.items())
    return "\n\n".join(
        (
            "## Accounts",
            "A 512x512 JPEG with a mask and a key, to a model that answers at once; one client, in turns. Without "
            "accounts the key is of the settings; with them it is looked up in SQLite, and the picture is counted:",
            times(numbers.requests),
            f"Accounts add {numbers.added_p50:.2f} ms at p50; at most {ALLOWED_MS:g} are allowed.",
            "Signing in with a wrong password, in turns:",
            times(numbers.signing_in),
            f"A name that is not there takes {numbers.share:+.1%} of the time of one that is at p50; "
            f"{ALLOWED_SHARE:.0%} are allowed.",
            f"Signing in with the right password, alone, and while another address tries {TRIES} wrong ones on the same"
            f" name, {_THREADS} at a time:",
            times(numbers.beside),
            f"The wrong tries were answered: {statuses}.",
        )
    )
