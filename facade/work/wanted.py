"""What a pool of replicas wants of each: a health check says it in the query of ``/readyz``, one word for each fact."""

from collections.abc import Iterable
from importlib.metadata import version

from facade.problems import Problem
from facade.settings import Settings

SETTINGS = ("max_bytes", "max_pixels", "max_batch_images", "max_batch_bytes", "model_config_name", "rate_limit")
"""Settings that callers would see change from one replica to the next, and that are no secret."""
HEADER = "X-Concord-Problem"
"""Says in a line what is not as it is wanted."""
_VERSION, _KEYS, _MODEL = "version", "keys", "model"
_ALLOWED = ", ".join((_VERSION, _KEYS, *SETTINGS, _MODEL))


def check_kind(wanted: Iterable[tuple[str, str]], settings: Settings, *, keyed: bool) -> None:
    """Compares what is wanted with what does not change while a facade runs.

    Args:
        wanted: names and values, as they are written in environment variables; `_MODEL` is not looked at.
        keyed: whether keys are asked for.

    Raises:
        Problem: something is not as it is wanted, or has no such name.
    """
    shown = settings.shown()
    facts = {_VERSION: version("concord"), _KEYS: keyed} | {name: shown[name] for name in SETTINGS}
    for name, value in wanted:
        if name not in (*facts, _MODEL):
            raise Problem("unexpected_field", f"{name[:40]!r} cannot be wanted", field="query", allowed=_ALLOWED)
        if name in facts and (found := _written(facts[name])) != value:
            raise _otherwise(name, found, value)


def check_models(wanted: Iterable[tuple[str, str]], served: Iterable[str]) -> None:
    """Raises a `Problem` where a model that is wanted is not served."""
    names = sorted(set(served))
    for name, value in wanted:
        if name == _MODEL and value not in names:
            raise _otherwise(name, ", ".join(names) or "none", value)


def _otherwise(field: str, found: str, value: str) -> Problem:
    value = "".join(filter(str.isprintable, value.encode("ascii", "replace").decode()))[:80]
    words = f"{field} is {found}, not {value}"
    # In a header, too: of an answer to a check, balancers read no more for certain.
    return Problem("wrong_replica", words, field=field, allowed=value, headers={HEADER: words})


def _written(fact: object) -> str:
    return str(fact).lower() if isinstance(fact, bool) else str(fact)
