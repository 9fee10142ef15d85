"""Which variant of every network a server of a profile serves."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup  # type: ignore[import-untyped]

from concord import judged, processor
from concord.errors import ServerFailure
from concord.record import read_record
from concord.server import emulation
from concord.server.installation import BACKENDS
from concord.variants import DEFAULT, TUNED, Variant, is_outdated, variants

AUTO = "auto"
"""The profile that takes for each network the fastest variant of which it is known that it answers well here."""
_SHOWN = 40


@dataclass(frozen=True)
class Choice:
    """The variants that are served instead of the defaults, by model, and what a person is told of the choice."""

    variants: Mapping[str, Variant] = field(default_factory=dict)
    words: str = ""


def choose(repositories: Sequence[Path], profile: str, only: Collection[str] | None = None) -> Choice:
    """The choice of a profile, for all networks or only for some; the default is served where there is no form for it.

    Raises:
        ServerFailure: none of the networks has a form for the profile, or a configuration cannot be read.
    """
    if profile in ("", DEFAULT):
        return Choice()
    networks = {
        model: {name: variant for name, variant in found.items() if name == DEFAULT or variant.made}
        for model, found in variants(repositories).items()
        if found[DEFAULT].made and (only is None or model in only)
    }
    if profile == AUTO:
        return _fastest(networks)
    chosen = {model: found[profile] for model, found in networks.items() if profile in found}
    if not chosen:
        made = sorted({name for found in networks.values() for name in found})
        which = "no network has" if only is None else f"none of {', '.join(networks)} has"
        problem = f"{which} a form for {profile[:_SHOWN]!r} that has been made"
        raise ServerFailure("model_config_name", problem, ", ".join([AUTO, *made]))
    left = ", ".join(networks.keys() - chosen.keys())
    return Choice(chosen, f"profile {profile}" + (f"; without a form for it, in their default: {left}" if left else ""))


def unusable(variant: Variant) -> str:
    """Why the embedded server cannot serve a variant on this machine; empty if no reason is known."""
    if not (BACKENDS / variant.settings.backend / "model.py").is_file():
        return f"the embedded server has no backend {variant.settings.backend}"
    if any(group.kind == ModelInstanceGroup.KIND_GPU for group in variant.settings.instance_group):
        from concord.session import provider  # ONNX Runtime takes a while to import

        try:
            provider("GPU")
        except RuntimeError as error:
            return str(error)
    return ""


def _fastest(networks: Mapping[str, Mapping[str, Variant]]) -> Choice:
    kinds = processor.kinds()
    tuned = {
        model: found[TUNED]
        for model, found in networks.items()
        if TUNED in found and not is_outdated(found) and _tuned_on(found[TUNED]) == processor.name()
    }
    fastest, slow = _judged(networks, kinds), ""
    if any(variant.precision in emulation.TYPES for variant in fastest.values()) and (slow := emulation.problem()):
        fastest = _judged(networks, kinds, emulation.TYPES)
    chosen = fastest | tuned
    by_profile: dict[str, list[str]] = {}
    for model, found in networks.items():
        by_profile.setdefault(chosen.get(model, found[DEFAULT]).profile, []).append(model)
    said = [f"{profile} for {', '.join(models)}" for profile, models in sorted(by_profile.items())]
    return Choice(
        chosen, f"profile {AUTO} on {' and '.join(processor.here())}: {'; '.join([*said, *filter(None, [slow])])}"
    )


def _judged(
    networks: Mapping[str, Mapping[str, Variant]], kinds: Sequence[str], without: Collection[str] = ()
) -> dict[str, Variant]:
    """By model the fastest variant that passed and is faster than the default, of precisions other than these."""
    chosen = {}
    for model, found in networks.items():
        seen = [
            (variant, judged.read(variant, kinds)) for variant in found.values() if variant.precision not in without
        ]
        faster = {variant: each.time for variant, each in seen if each is not None and each.passed and each.time < 1}
        for variant in sorted(faster, key=lambda each: faster[each]):
            if not variant.stale and not unusable(variant):
                chosen[model] = variant
                break
    return chosen


def _tuned_on(variant: Variant) -> str:
    machine = read_record(variant.config.with_suffix(".json")).get("machine")
    return str(machine.get("processor", "")) if isinstance(machine, dict) else ""
