"""What a pool of replicas wants of each: a health check says it in the query of ``/readyz``, one word for each fact."""

from collections.abc import Iterable
from importlib.metadata import version

from facade.problems import Problem
from facade.settings import Settings

SETTINGS = ("max_bytes", "max_pixels", "max_batch_images", "max_batch_bytes", "model_config_name", "rate_limit")
"""Settings that callers would see change from one replica to the next, and that are no secret."""
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
            raise _otherwise(name, f"is {found}", value)


def check_models(wanted: Iterable[tuple[str, str]], served: Iterable[str]) -> None:
    """Raises a `Problem` where a model that is wanted is not served."""
    names = sorted(set(served))
    for name, value in wanted:
        if name == _MODEL and value not in names:
            raise _otherwise(name, f"there is only {', '.join(names) or 'none'}", value)


def _otherwise(field: str, found: str, value: str) -> Problem:
    return Problem("wrong_replica", found, field=field, allowed=value[:80])


def _written(fact: object) -> str:
    return str(fact).lower() if isinstance(fact, bool) else str(fact)
