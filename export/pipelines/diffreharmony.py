"""DiffReHarmony: text encoder, UNet with a mask head, and the VAE, from diffusers' folder and the head's weights."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from pathlib import Path

from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel

from concord.tokenizer import PROMPT_LENGTH
from export import candidates, checkpoint, default_setting, pipeline, stable_diffusion
from export.arguments import add_repository
from export.candidates import Candidate
from export.checkpoint import CheckpointError, named
from export.networks import referring_unet, text_encoder, unet, vae_decoder, vae_encoder
from export.networks.referring_unet import ServedReferringUnet
from export.networks.text_encoder import ServedTextEncoder
from export.onnx_file import CheckFailed, answers, check
from export.pipelines.diffharmony import pixels
from export.publication import MODEL, record_of
from export.runtime_form import Form, rewrite

HEAD = "mask_head.safetensors"
INPUTS = ("normalized", "features")


def claims(_keys: Collection[str]) -> bool:
    """Its files by themselves are those of any pipeline of Stable Diffusion."""
    return False


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    candidates.add_unet_form(parser)
    parser.add_argument(
        "--pipeline", type=Path, metavar="DIR", required=True, help="folder of diffusers: unet/, vae/, text_encoder/"
    )
    parser.add_argument("--vae", type=Path, metavar="PATH", help="folder or file, instead of the pipeline's")
    parser.add_argument(
        "--head", type=Path, metavar="FILE", help=f"the mask head's weight and bias (default: {HEAD} in the folder)"
    )
    parser.add_argument(
        "--head-input",
        choices=INPUTS,
        default=INPUTS[0],
        help="what the head reads: what the UNet's last convolution reads, or the features before their last norm "
        f"(default: {INPUTS[0]})",
    )


def run(arguments: Namespace) -> None:
    """Read the pipeline, and publish its networks.

    Raises:
        CheckpointError: a file is missing or does not fit, or the VAE is another than the one that is served.
        CheckFailed: an export is not exact. As with any other error, nothing was replaced.
    """
    folder, repository = arguments.pipeline, arguments.model_repository
    form = Form(arguments.attention, arguments.convolution)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    pipeline.check_schedule(folder / "scheduler" / "scheduler_config.json")
    checkpoints: dict[str, str] = {}
    found = pipeline.read_part(folder / "unet", stable_diffusion.unet, checkpoints)
    encoder = pipeline.read_part(folder / "text_encoder", stable_diffusion.text_encoder, checkpoints)
    autoencoder = pipeline.read_part(arguments.vae or folder / "vae", stable_diffusion.vae, checkpoints)
    head = read_head(arguments.head or folder / HEAD, found, checkpoints)
    check_width(encoder, found)
    resolution = pixels(found.config.sample_size)
    shared = serves(repository, autoencoder)

    def networks() -> Iterator[Candidate]:
        if not shared:
            yield from candidates.vae(autoencoder, form)
        yield text_candidate(encoder)
        yield unet_candidate(found, head, arguments.head_input == INPUTS[1], form)

    candidates.publish(networks(), repository, {"checkpoints": checkpoints})
    default_setting.write_resolution(repository, "unet", referring_unet.NETWORK.name, resolution)


def read_head(path: Path, network: UNet2DConditionModel, checkpoints: dict[str, str]) -> nn.Conv2d:
    """The mask head; CheckpointError where it is no convolution of one output on the UNet's penultimate features."""
    found = checkpoint.read(path)
    checkpoints[path.name] = found.sha256
    return named(path, lambda: stable_diffusion.mask_head(found.weights, network.config.block_out_channels[0]))


def check_width(encoder: CLIPTextModel, network: UNet2DConditionModel, most: int = text_encoder.WIDTH) -> None:
    """Refuse a text encoder that is not the UNet's, or wider than is served."""
    found, wanted = encoder.config.hidden_size, network.config.cross_attention_dim
    if found != wanted:
        raise CheckpointError(f"the text encoder's states are {found} wide, the UNet's text {wanted}")
    if found > most:
        raise CheckpointError(f"the text encoder's states are {found} wide; at most {most} are served")
    tokens = encoder.config.max_position_embeddings
    if tokens < PROMPT_LENGTH:
        raise CheckpointError(f"the text encoder reads {tokens} tokens, not {PROMPT_LENGTH}")


def serves(repository: Path, autoencoder: AutoencoderKL) -> bool:
    """Whether the repository serves this VAE already; CheckpointError where it serves another one."""
    for model, network in zip(
        (vae_encoder.NETWORK, vae_decoder.NETWORK), candidates.served_vae(autoencoder), strict=True
    ):
        if not record_of(repository, model.name):
            return False
        try:
            check(repository / model.name / "1" / MODEL, model, answers(network, model.samples()))
        except CheckFailed as error:
            raise CheckpointError(
                f"the VAE of another pipeline is served as {model.name}, and both would read its latents; "
                "give another --model-repository"
            ) from error
    return True


def text_candidate(encoder: CLIPTextModel) -> Candidate:
    """The text encoder."""
    network = ServedTextEncoder(encoder)
    expected = answers(network, text_encoder.NETWORK.samples())
    return Candidate(
        text_encoder.NETWORK, network, expected, {"network": "CLIPTextModel", "config": encoder.config.to_diff_dict()}
    )


def unet_candidate(found: UNet2DConditionModel, head: nn.Conv2d, head_before_norm: bool, form: Form) -> Candidate:
    """The UNet with its mask head, rewritten for the runtime once the original has answered."""
    levels = len(found.config.block_out_channels)
    record = {
        "network": "UNet2DConditionModel",
        "config": candidates.published(found.config),
        "mask_head": {"kernel": head.kernel_size[0], "before_norm": head_before_norm},
    }
    model, network = referring_unet.with_levels(levels), ServedReferringUnet(found, head, head_before_norm)
    expected = answers(network, model.samples())
    rewrite(network, form, unet.coarsest(levels))
    return Candidate(model, network, expected, record)
