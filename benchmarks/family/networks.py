"""The networks of the family with random weights from a seed, as their pipelines publish them: for timing only.

Each function exports the networks of one pipeline into a folder; the sizes are the published ones by default.
"""

import importlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.floors.published import RECORD, TOKENS
from concord import word_pieces, word_vocabulary
from concord.server.installation import MODEL_REPOSITORIES
from export import candidates, ldm_export, onnx_file
from export.candidates import Candidate
from export.networks import (
    attngan_generator,
    attngan_text_encoder,
    blended_guidance,
    clip_text_encoder,
    declared,
    ldm_text2img,
    text_encoder,
)
from export.networks.attngan_generator import COCO, AttnGanConfig
from export.networks.attngan_text_encoder import AttnGanTextConfig
from export.networks.blended_guidance import BlendedConfig
from export.networks.clip import Clip, VisionConfig
from export.networks.clip_text_encoder import ServedClipTextEncoder
from export.networks.compvis_unet import CompVisUnetConfig
from export.networks.ldm_inpainting import LdmInpaintingConfig, LdmInpaintingNet
from export.networks.ldm_sr import LdmSrConfig, LdmSrNet
from export.networks.ldm_text2img import LdmText2ImgConfig, LdmText2ImgNet
from export.networks.phdiffusion_adapter import Adapter, AdapterConfig
from export.networks.phdiffusion_unet import PaintingUnet
from export.networks.unet import INPAINTING
from export.networks.vae_encoder import KL_F8
from export.onnx_file import answers
from export.pipelines import ldm, phdiffusion, stable_diffusion
from export.pipelines import ldm_inpainting as inpainting
from export.pipelines import ldm_sr as upscaling
from export.pipelines.stable_diffusion import TextToImage
from export.runtime_form import Form
from export.state_dict import StateDict

TEXT_UNET: dict[str, Any] = INPAINTING | {"in_channels": 4}
"""Stable Diffusion 1's sizes, in diffusers' words."""
Module = TypeVar("Module", bound=nn.Module)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ("a", "the", "red", "green", "blue", "left", "right", "top", "bottom", "square", "circle", "bird")


def publish_phdiffusion(
    folder: Path, config: CompVisUnetConfig | None = None, vae: dict[str, Any] | None = None
) -> None:
    """VAE, adapter and UNet."""
    torch.manual_seed(0)
    config, form = config or CompVisUnetConfig(), Form()
    autoencoder: Any = AutoencoderKL(**KL_F8 | (vae or {}))
    adapting = AdapterConfig(residual=True, widths=config.widths)
    states = torch.randn(TOKENS, config.context)

    def networks() -> Iterator[Candidate]:
        yield from candidates.vae(frozen(autoencoder), form, phdiffusion.VAE)
        yield phdiffusion.adapter_candidate(frozen(Adapter(adapting)), adapting)
        yield phdiffusion.unet_candidate(frozen(PaintingUnet(config)), states, form)

    candidates.publish(networks(), folder, RECORD)


def publish_ldm_inpainting(folder: Path, config: LdmInpaintingConfig | None = None) -> None:
    """Encoder, UNet and decoder."""
    torch.manual_seed(0)
    network = frozen(LdmInpaintingNet(config or LdmInpaintingConfig()))
    candidates.publish(ldm_export.parts(network, inpainting.served, Form()), folder, RECORD)


def publish_ldm_sr(folder: Path, config: LdmSrConfig | None = None) -> None:
    """UNet and decoder."""
    torch.manual_seed(0)
    network = frozen(LdmSrNet(config or LdmSrConfig()))
    candidates.publish(ldm_export.parts(network, upscaling.served, Form()), folder, RECORD)


def publish_ldm(folder: Path, config: LdmText2ImgConfig | None = None, only: Collection[str] = ()) -> None:
    """Text encoder, UNet and VAE, or those named of them; and word pieces, the letters among them."""
    torch.manual_seed(0)
    config = config or LdmText2ImgConfig()
    network = frozen(LdmText2ImgNet(config))
    parts = (part for part in ldm.parts(network, Form()) if not only or part.model.name in only)
    candidates.publish(parts, folder, RECORD)
    pieces = [*word_pieces.SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    pieces += [f"[unused{number}]" for number in range(config.pieces - len(pieces))]
    _look_up(folder, ldm_text2img.TOKENIZER, word_pieces.FILE, word_pieces.dump(pieces))


def publish_stable_diffusion(folder: Path, unet: dict[str, Any], vae: dict[str, Any], text: dict[str, Any]) -> None:
    """Text encoder, UNet and VAE of these sizes, in diffusers' and transformers' words."""
    torch.manual_seed(0)
    networks: tuple[Any, ...] = (
        UNet2DConditionModel(**TEXT_UNET | unet),
        AutoencoderKL(**KL_F8 | vae),
        CLIPTextModel(CLIPTextConfig(**text_encoder.SIZES | text)),
    )
    found = TextToImage(*map(frozen, networks))
    candidates.publish(stable_diffusion.parts(found, Form()), folder, RECORD)


def publish_attngan(folder: Path, config: AttnGanConfig = COCO, text: AttnGanTextConfig | None = None) -> None:
    """Text encoder, generator and words, some of those of generated scenes among them."""
    torch.manual_seed(0)
    text = text or AttnGanTextConfig()
    parts = ((attngan_text_encoder.NETWORK, text), (attngan_generator.NETWORK, config))

    def networks() -> Iterator[Candidate]:
        for model, sizes in parts:
            network = served(model.name, sizes)
            yield Candidate(model, network, answers(network, model.samples()), {})

    candidates.publish(networks(), folder, RECORD)
    words = ["<end>", *WORDS, *(f"word{number}" for number in range(text.vocabulary - len(WORDS) - 1))]
    content = word_vocabulary.dump(words, attngan_generator.WORDS[COCO])
    _look_up(folder, attngan_generator.LOOKUP, word_vocabulary.FILE, content)


def publish_blended_diffusion(folder: Path, config: BlendedConfig, text: VisionConfig) -> None:
    """The guided step, and CLIP's tower for texts."""
    torch.manual_seed(0)

    def networks() -> Iterator[Candidate]:
        guided, reading = served(blended_guidance.NETWORK.name, config), frozen(Clip(text, nn.Identity()))
        for model, network in (
            (blended_guidance.NETWORK, guided),
            (clip_text_encoder.NETWORK, ServedClipTextEncoder(reading)),
        ):
            yield Candidate(model, network, answers(network, model.samples()), {})

    candidates.publish(networks(), folder, RECORD)


def publish_alone(folder: Path, name: str, sizes: object) -> None:
    """A network that is the only one of its pipeline, of these sizes."""
    torch.manual_seed(0)
    onnx_file.publish(served(name, sizes), declared(name), folder, RECORD)


def served(name: str, sizes: object) -> nn.Module:
    """A network of a bare state dict of these sizes, as it is served."""
    module = importlib.import_module(f"export.networks.{name}")
    source: StateDict[Any] = module.NETWORK.source or module.SOURCE
    return frozen(source.served(source.build(sizes)))


def frozen(network: Module) -> Module:
    """The network as it answers, and is not trained."""
    return network.requires_grad_(False).eval()


def _look_up(folder: Path, model: str, file: str, content: bytes) -> None:
    """Puts a vocabulary beside the model that looks up in it."""
    version = folder / model / "1"
    shutil.copytree(MODEL_REPOSITORIES[0] / model / "1", version, dirs_exist_ok=True)
    (version / file).write_bytes(content)
