"""The parts of Stable Diffusion from a config and weights, refused where they are not what a pipeline runs on.

Of the text encoder only its states for the empty prompt are wanted, the only prompt of DiffHarmony.
"""

from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from concord.squash import LATENT_STRIDE
from concord.tokenizer import END, START
from export.checkpoint import CheckpointError
from export.diffusers_folder import assemble
from export.networks.latent_diffusion import LATENT_CHANNELS
from export.networks.text_encoder import SIZES
from export.networks.unet import CHANNELS, INPAINTING
from export.networks.vae_encoder import KL_F8

FAMILIES = {
    4: "text-to-image Stable Diffusion",
    9: "inpainting Stable Diffusion",
    5: "depth-to-image Stable Diffusion",
    7: "Stable Diffusion's x4 upscaler",
    8: "InstructPix2Pix",
}
TAKEN = {
    CHANNELS: "DiffHarmony's takes 9: noisy latent, mask and composite latent, as inpainting UNets do",
    LATENT_CHANNELS: "wanted is one that takes 4: a noisy latent alone, as text-to-image UNets do",
}
STATES = "states"


def unet(config: dict[str, Any] | None, weights: dict[str, Tensor], channels: int = CHANNELS) -> UNet2DConditionModel:
    """A UNet whose parameters are `weights`; without a config, of Stable Diffusion 1's sizes.

    `channels` are those of its input, one of `TAKEN`.

    Raises:
        CheckpointError: the weights do not fit the config, or the UNet takes or answers something else.
    """
    first = weights.get("conv_in.weight")
    if first is None:
        raise CheckpointError("the keys are not those of a diffusers UNet (conv_in.weight)")
    check_channels(first, channels)
    network = build(UNet2DConditionModel, config or INPAINTING | {"in_channels": channels}, weights)
    for entry in ("class_embed_type", "addition_embed_type", "encoder_hid_dim", "time_cond_proj_dim"):
        if network.config[entry] is not None:
            raise CheckpointError(f"its config has {entry} {network.config[entry]!r}: the UNet wants more than text")
    if not isinstance(network.config.cross_attention_dim, int):
        raise CheckpointError(f"its config has cross_attention_dim {network.config.cross_attention_dim}, not one width")
    if network.config.out_channels != LATENT_CHANNELS:
        raise CheckpointError(f"its config has {network.config.out_channels} out_channels, not {LATENT_CHANNELS}")
    return network


def check_channels(first: Tensor, wanted: int = CHANNELS) -> None:
    """Refuse a UNet by the shape [out, in, 3, 3] of its first convolution's weight; `wanted` is one of `TAKEN`."""
    channels = first.shape[1] if first.ndim == 4 else 0
    if channels != wanted:
        raise CheckpointError(
            f"the UNet's first convolution is {tuple(first.shape)}, {channels} input channels: that of "
            f"{FAMILIES.get(channels, 'no family known here')}. {TAKEN[wanted]}"
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


def text_encoder(config: dict[str, Any] | None, weights: dict[str, Tensor]) -> CLIPTextModel:
    """A text encoder whose parameters are `weights`; without a config, of Stable Diffusion 1's sizes.

    Raises:
        CheckpointError: the config is not usable, or the weights do not fit it.
    """

    def make() -> CLIPTextModel:
        sizes = CLIPTextConfig.from_dict(config or SIZES)
        if sizes.vocab_size <= END:
            raise CheckpointError(f"the text encoder knows {sizes.vocab_size} tokens, CLIP has {END + 1}")
        return CLIPTextModel(sizes)

    # Older files have the class's own prefix, and position ids, which are counted and not learned.
    bare = {key.removeprefix("text_model."): value for key, value in weights.items() if "position_ids" not in key}
    encoder: CLIPTextModel = assemble(make, bare)
    positions = torch.arange(encoder.config.max_position_embeddings)[None]
    encoder.embeddings.register_buffer("position_ids", positions, persistent=False)
    return encoder


def mask_head(weights: dict[str, Tensor], channels: int) -> nn.Conv2d:
    """A convolution 1x1 or 3x3 of one output, of the UNet's features; its kernel is told by the weight's shape.

    The keys are `weight` and `bias`, with any prefix.

    Raises:
        CheckpointError: names what is wrong, and what is allowed.
    """
    found = {key.rpartition(".")[2]: value for key, value in weights.items()}
    weight, bias = found.get("weight"), found.get("bias")
    if len(weights) != 2 or weight is None or bias is None:
        raise CheckpointError(f"has the keys {', '.join(sorted(weights))}; a mask head has weight and bias")
    if weight.ndim != 4 or weight.shape[:2] != (1, channels) or tuple(weight.shape[2:]) not in ((1, 1), (3, 3)):
        allowed = f"(1, {channels}, 1, 1) and (1, {channels}, 3, 3)"
        raise CheckpointError(f"the mask head's weight is {tuple(weight.shape)}; allowed are {allowed}")
    if bias.shape != (1,):
        raise CheckpointError(f"the mask head's bias is {tuple(bias.shape)}, not (1,)")
    size = weight.shape[2]
    head = nn.Conv2d(channels, 1, size, padding=size // 2)
    head.load_state_dict({"weight": weight, "bias": bias})
    return head.requires_grad_(False).eval()


def encoded_states(config: dict[str, Any] | None, weights: dict[str, Tensor]) -> Tensor:
    """States FP32 [n, d] of a text encoder's last layer, normalised: the start token, and as many ends as fit.

    Stable Diffusion 1 pads with the end.

    Raises:
        CheckpointError: the config is not usable, or the weights do not fit it.
    """

    encoder = text_encoder(config, weights)
    length = encoder.config.max_position_embeddings
    with torch.no_grad():
        states: Tensor = encoder(torch.tensor([[START] + [END] * (length - 1)])).last_hidden_state[0]
    return states
