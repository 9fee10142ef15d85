"""The parts of Stable Diffusion from a config and weights, refused where they are not what DiffHarmony runs on.

Of the text encoder only its states for the empty prompt are wanted, the only prompt of DiffHarmony.
"""

from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from concord.squash import LATENT_STRIDE
from concord.tokenizer import END, START
from export.checkpoint import CheckpointError
from export.diffusers_folder import assemble
from export.networks.latent_diffusion import LATENT_CHANNELS
from export.networks.unet import CHANNELS, INPAINTING
from export.networks.vae_encoder import KL_F8

FAMILIES = {
    4: "text-to-image Stable Diffusion",
    5: "depth-to-image Stable Diffusion",
    7: "Stable Diffusion's x4 upscaler",
    8: "InstructPix2Pix",
}
STATES = "states"
TEXT_ENCODER = {  # CLIP ViT-L/14, the text encoder of Stable Diffusion 1; the rest are transformers' defaults
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}


def unet(config: dict[str, Any] | None, weights: dict[str, Tensor]) -> UNet2DConditionModel:
    """A UNet whose parameters are `weights`; without a config, of Stable Diffusion 1.5's inpainting sizes.

    Raises:
        CheckpointError: the weights do not fit the config, or the UNet takes or answers something else.
    """
    first = weights.get("conv_in.weight")
    if first is None:
        raise CheckpointError("the keys are not those of a diffusers UNet (conv_in.weight)")
    check_channels(first)
    network = build(UNet2DConditionModel, config or INPAINTING, weights)
    for entry in ("class_embed_type", "addition_embed_type", "encoder_hid_dim", "time_cond_proj_dim"):
        if network.config[entry] is not None:
            raise CheckpointError(f"its config has {entry} {network.config[entry]!r}: the UNet wants more than text")
    if not isinstance(network.config.cross_attention_dim, int):
        raise CheckpointError(f"its config has cross_attention_dim {network.config.cross_attention_dim}, not one width")
    if network.config.out_channels != LATENT_CHANNELS:
        raise CheckpointError(f"its config has {network.config.out_channels} out_channels, not {LATENT_CHANNELS}")
    return network


def check_channels(first: Tensor) -> None:
    """Refuse a UNet by the shape [out, in, 3, 3] of its first convolution's weight."""
    channels = first.shape[1] if first.ndim == 4 else 0
    if channels != CHANNELS:
        raise CheckpointError(
            f"the UNet's first convolution is {tuple(first.shape)}, {channels} input channels: that of "
            f"{FAMILIES.get(channels, 'no family known here')}. DiffHarmony's takes {CHANNELS}: noisy latent, "
            "mask and composite latent, as inpainting UNets do"
        )


def vae(config: dict[str, Any] | None, weights: dict[str, Tensor]) -> AutoencoderKL:
    """A VAE whose parameters are `weights`; without a config, of Stable Diffusion's sizes.

    Keys from before diffusers renamed attention (`query`, `key`, `value`, `proj_attn`) are accepted. Raises
    CheckpointError if the weights do not fit the config, or the latents are not those of KL-f8.
    """
    network = build(AutoencoderKL, config or KL_F8, weights)
    factor = 2 ** (len(network.config.block_out_channels) - 1)
    if factor != LATENT_STRIDE or network.config.latent_channels != LATENT_CHANNELS:
        raise CheckpointError(
            f"the VAE makes {network.config.latent_channels} channels at 1/{factor} of the size; DiffHarmony runs on "
            f"{LATENT_CHANNELS} at 1/{LATENT_STRIDE} (KL-f8)"
        )
    for entry in ("shift_factor", "latents_mean", "latents_std"):
        if network.config[entry] is not None:
            raise CheckpointError(f"its config has {entry}; DiffHarmony's latents are scaled and nothing else")
    return network


def build(kind: type[Any], config: dict[str, Any], weights: dict[str, Tensor]) -> Any:
    """A network of diffusers' class `kind`; see `assemble`."""
    if config.get("_class_name", kind.__name__) != kind.__name__:
        raise CheckpointError(f"its config is of {config['_class_name']}, not of {kind.__name__}")
    return assemble(lambda: kind.from_config(config), weights)


def stored_states(weights: dict[str, Tensor]) -> Tensor:
    """States FP32 [n, d] kept under the name `states`; CheckpointError without such a tensor."""
    states = weights.get(STATES)
    if states is None or states.ndim != 2:
        raise CheckpointError(f"holds no tensor {STATES!r} [tokens, width]")
    return states


def encoded_states(config: dict[str, Any] | None, weights: dict[str, Tensor]) -> Tensor:
    """States FP32 [n, d] of a text encoder's last layer, normalised: the start token, and as many ends as fit.

    Stable Diffusion 1 pads with the end.

    Raises:
        CheckpointError: the config is not usable, or the weights do not fit it.
    """

    def make() -> CLIPTextModel:
        sizes = CLIPTextConfig.from_dict(config or TEXT_ENCODER)
        if sizes.vocab_size <= END:
            raise CheckpointError(f"the text encoder knows {sizes.vocab_size} tokens, CLIP has {END + 1}")
        return CLIPTextModel(sizes)

    # Older files have the class's own prefix, and position ids, which are counted and not learned.
    bare = {key.removeprefix("text_model."): value for key, value in weights.items() if "position_ids" not in key}
    encoder = assemble(make, bare)
    length = encoder.config.max_position_embeddings
    encoder.embeddings.register_buffer("position_ids", torch.arange(length)[None], persistent=False)
    with torch.no_grad():
        states: Tensor = encoder(torch.tensor([[START] + [END] * (length - 1)])).last_hidden_state[0]
    return states
