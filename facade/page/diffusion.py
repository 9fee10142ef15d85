"""What a person asks for under "Advanced"."""

from concord.loops.request import DEFAULT_SAMPLER
from concord.noise import MAX_SEED
from concord_client import Diffusion
from facade.problems import Problem


def diffusion_of(seed: str, steps: int, sampler: str | None) -> Diffusion:
    """Settings of a model that works in steps, all of which are to be shown.

    Args:
        seed: as it was typed; one is drawn where it is empty.

    Raises:
        Problem: the seed is no number in its range.
    """
    seed = seed.strip()
    if seed and not (seed.isascii() and seed.isdigit() and len(seed) < 20 and int(seed) <= MAX_SEED):
        allowed = f"a whole number from 0 to {MAX_SEED}, or nothing"
        raise Problem("invalid_setting", f"{seed[:40]!r} cannot be used", field="seed", allowed=allowed)
    return Diffusion(
        seed=int(seed) if seed else None, steps=int(steps), sampler=sampler or DEFAULT_SAMPLER, preview=True
    )
