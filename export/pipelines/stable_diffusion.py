"""Text-to-image Stable Diffusion 1 or 2: text encoder, UNet and VAE, from diffusers' folder or from one file."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint, convert_ldm_unet_checkpoint
from transformers import CLIPTextModel

from concord.tokenizer import END
from export import candidates, default_setting, pipeline, single_file, stable_diffusion
from export.arguments import add_repository
from export.candidates import Candidate
from export.checkpoint import CheckpointError
from export.diffusers_folder import read_json
from export.networks import (
    stable_diffusion_decoder,
    stable_diffusion_encoder,
    stable_diffusion_preview,
    stable_diffusion_text_encoder,
    stable_diffusion_unet,
)
from export.networks.latent_diffusion import LATENT_CHANNELS
from export.networks.text_encoder import SIZES, ServedTextEncoder
from export.networks.text_unet import ServedTextUnet
from export.networks.unet import INPAINTING, LEVELS, coarsest
from export.onnx_file import answers
from export.pipelines.diffharmony import pixels
from export.pipelines.diffreharmony import check_width
from export.runtime_form import Form, rewrite

VAE = (stable_diffusion_encoder.NETWORK, stable_diffusion_decoder.NETWORK, stable_diffusion_preview.NETWORK)
PADDINGS = {"<|endoftext|>": END, "!": 0}
"""By the tokenizer's word for padding, its number: Stable Diffusion 1's, and 2's."""


@dataclass
class TextToImage:
    """What such a pipeline runs on; `padding` is the token behind the end of a text."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    padding: int = END
    checkpoints: dict[str, str] = field(default_factory=dict)


def claims(_keys: Collection[str]) -> bool:
    """Its files by themselves are those of any pipeline of Stable Diffusion."""
    return False


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    candidates.add_unet_form(parser)
    parser.add_argument(
        "--pipeline", type=Path, metavar="DIR", help="folder that diffusers saved: unet/, vae/, text_encoder/, ..."
    )
    parser.add_argument(
        "--single-file", type=Path, metavar="FILE", help="a whole checkpoint; sizes from --pipeline's configs if given"
    )
    parser.add_argument("--vae", type=Path, metavar="PATH", help="folder or file, instead of the pipeline's")


def run(arguments: Namespace) -> None:
    """Read the pipeline, and publish its networks.

    Raises:
        CheckpointError: a file is missing or does not fit, or is of another family, which is named.
        CheckFailed: an export is not exact. As with any other error, nothing was replaced.
    """
    repository, form = arguments.model_repository, Form(arguments.attention, arguments.convolution)
    if arguments.single_file:
        found = read_file(arguments.single_file, arguments.pipeline)
    elif arguments.pipeline:
        found = read_folder(arguments.pipeline)
    else:
        raise CheckpointError("one of --pipeline and --single-file is needed")
    if arguments.vae:
        found.vae = pipeline.read_part(arguments.vae, stable_diffusion.vae, found.checkpoints)
    check_width(found.text_encoder, found.unet, stable_diffusion_text_encoder.WIDTH)
    resolution = pixels(found.unet.config.sample_size)
    candidates.publish(parts(found, form), repository, {"checkpoints": found.checkpoints})
    default_setting.write_resolution(repository, "unet", stable_diffusion_unet.NETWORK.name, resolution)


def read_folder(folder: Path) -> TextToImage:
    """A pipeline in diffusers' layout."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    pipeline.check_schedule(folder / "scheduler" / "scheduler_config.json")
    checkpoints: dict[str, str] = {}
    return TextToImage(
        pipeline.read_part(folder / "unet", unet, checkpoints),
        pipeline.read_part(folder / "vae", stable_diffusion.vae, checkpoints),
        pipeline.read_part(folder / "text_encoder", stable_diffusion.text_encoder, checkpoints),
        read_padding(folder / "tokenizer" / "special_tokens_map.json"),
        checkpoints,
    )


def read_file(path: Path, configs: Path | None) -> TextToImage:
    """A pipeline in CompVis's layout, of the published sizes of Stable Diffusion 1 or those of `configs`."""
    file = single_file.whole(path)

    def build() -> TextToImage:
        stable_diffusion.check_channels(file.weights[single_file.UNET_KEY], LATENT_CHANNELS)
        config = single_file.sizes(configs, "unet", INPAINTING | {"in_channels": LATENT_CHANNELS})
        vae, _ = single_file.vae_and_states(file.weights, configs)
        text = convert_ldm_clip_checkpoint(file.weights)
        if not text:
            raise CheckpointError("it holds no text encoder")
        sizes = single_file.sizes(configs, "text_encoder", SIZES)
        return TextToImage(
            unet(config, convert_ldm_unet_checkpoint(file.weights, config)),
            vae,
            stable_diffusion.text_encoder(sizes, text),
            checkpoints={path.name: file.sha256},
        )

    return single_file.converted(path, build)


def unet(config: dict[str, Any] | None, weights: dict[str, Any]) -> UNet2DConditionModel:
    """The text-to-image UNet of a config and weights; see `stable_diffusion.unet`."""
    found = stable_diffusion.unet(config, weights, LATENT_CHANNELS)
    if (levels := len(found.config.block_out_channels)) != LEVELS:
        raise CheckpointError(f"the UNet has {levels} levels; Stable Diffusion's has {LEVELS}")
    return found


def read_padding(path: Path) -> int:
    """The token behind the end of a text, as the pipeline's tokenizer says it; without one, Stable Diffusion 1's."""
    if not path.parent.is_dir():
        return END
    found = read_json(path).get("pad_token")
    word = found.get("content") if isinstance(found, dict) else found
    if word not in PADDINGS:
        raise CheckpointError(f"{path}: pads with {word!r}; allowed are {' and '.join(PADDINGS)}")
    return PADDINGS[word]


def parts(found: TextToImage, form: Form) -> Iterator[Candidate]:
    """The networks that are served, rewritten for the runtime once the originals have answered."""
    yield from candidates.vae(found.vae, form, VAE)
    text = ServedTextEncoder(found.text_encoder, stable_diffusion_text_encoder.WIDTH, found.padding)
    record = {"network": "CLIPTextModel", "config": found.text_encoder.config.to_diff_dict(), "padding": found.padding}
    expected = answers(text, stable_diffusion_text_encoder.NETWORK.samples())
    yield Candidate(stable_diffusion_text_encoder.NETWORK, text, expected, record)
    record = {"network": "UNet2DConditionModel", "config": candidates.published(found.unet.config)}
    denoiser = ServedTextUnet(found.unet, found.unet.config.cross_attention_dim)
    expected = answers(denoiser, stable_diffusion_unet.NETWORK.samples())
    rewrite(denoiser, form, coarsest(LEVELS))
    yield Candidate(stable_diffusion_unet.NETWORK, denoiser, expected, record)
