"""What latent diffusion's authors (CompVis) keep in a checkpoint, and which of its weights they sample with."""

from collections.abc import Mapping

from torch import Tensor

from export.checkpoint import CheckpointError

UNET, AUTOENCODER = "model.diffusion_model.", "first_stage_model."
AVERAGES = "model_ema."
IGNORED = ("cond_stage_model.", AVERAGES)  # the autoencoder again, and what is taken in place of the UNet's weights


def sampled(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that the authors sample with: of the UNet, those averaged in training take the place of the last.

    What the trainer keeps besides is left out: the autoencoder under a second name, and constants of the schedule.

    Raises:
        CheckpointError: there are averages, but not of every weight.
    """
    found = {key: value for key, value in weights.items() if "." in key and not key.startswith(IGNORED)}
    if not any(key.startswith(AVERAGES) for key in weights):
        return found
    averages = {
        key: f"{AVERAGES}{key.removeprefix('model.').replace('.', '')}" for key in found if key.startswith(UNET)
    }
    if missing := [name for name in averages.values() if name not in weights]:
        raise CheckpointError(f"the average of a weight is missing: {missing[0]}, and {len(missing) - 1} others")
    return found | {key: weights[name] for key, name in averages.items()}
