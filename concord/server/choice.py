"""Which variant of every network a server of a profile serves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from concord import judged, processor
from concord.errors import ServerFailure
from concord.server import emulation
from concord.variants import DEFAULT, TUNED, Variant, outdated, read_record, variants

AUTO = "auto"
"""The profile that takes for each network the fastest variant of which it is known that it answers well here."""


@dataclass(frozen=True)
class Choice:
    """The variants that are served instead of the defaults, by model, and what a person is told of the choice."""

    variants: Mapping[str, Variant] = field(default_factory=dict)
    words: str = ""


def choose(repositories: Sequence[Path], profile: str) -> Choice:
    """The choice of a profile; the default is served of networks that have no form for it.

    Raises:
        ServerFailure: no network has a form for the profile, or a configuration cannot be read.
    """
    networks = {
        model: {name: variant for name, variant in found.items() if name == DEFAULT or variant.made}
        for model, found in variants(repositories).items()
        if found[DEFAULT].made
    }
    if profile in ("", DEFAULT):
        return Choice()
    if profile == AUTO:
        return _fastest(networks, set(outdated(repositories)))
    chosen = {model: found[profile] for model, found in networks.items() if profile in found}
    if not chosen:
        made = sorted({name for found in networks.values() for name in found})
        problem = f"no network has a form for {profile!r} that has been made"
        raise ServerFailure("model_config_name", problem, ", ".join([AUTO, *made]))
    left = ", ".join(networks.keys() - chosen.keys())
    return Choice(chosen, f"profile {profile}" + (f"; without a form for it, in their default: {left}" if left else ""))


def _fastest(networks: Mapping[str, Mapping[str, Variant]], stale: set[str]) -> Choice:
    kinds = processor.kinds()
    chosen, slow = {}, ""
    for model, found in networks.items():
        tuned = found.get(TUNED)
        if tuned is not None and model not in stale and _tuned_on(tuned) == processor.name():
            chosen[model] = tuned
        elif candidates := sorted(_judged_faster(found.values(), kinds), key=lambda each: each[0]):
            chosen[model] = candidates[0][1]
    if any(variant.precision in emulation.TYPES for variant in chosen.values()):
        slow = emulation.problem()
    if slow:
        chosen = {model: variant for model, variant in chosen.items() if variant.precision not in emulation.TYPES}
    by_profile: dict[str, list[str]] = {}
    for model, found in networks.items():
        by_profile.setdefault(chosen.get(model, found[DEFAULT]).profile, []).append(model)
    said = [f"{profile} for {', '.join(models)}" for profile, models in sorted(by_profile.items())]
    return Choice(chosen, f"profile {AUTO} on {kinds[0]}: {'; '.join([*said, *filter(None, [slow])])}")


def _judged_faster(found: Iterable[Variant], kinds: Sequence[str]) -> Iterator[tuple[float, Variant]]:
    """The variants that passed and are faster than the default, with their time over the default's."""
    for variant in found:
        seen = judged.read(variant, kinds)
        if seen is not None and seen.passed and seen.time < 1 and not variant.stale:
            yield seen.time, variant


def _tuned_on(variant: Variant) -> str:
    machine = read_record(variant.config.with_suffix(".json")).get("machine")
    return str(machine.get("processor", "")) if isinstance(machine, dict) else ""
