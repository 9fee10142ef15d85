"""Small networks in the published layouts, and checkpoints of them as authors and as Concord write them."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from export.networks import clip_ht, harmony_transformer, pctnet
from export.networks.clip_ht import ClipHT, ClipHTConfig
from export.networks.cris import Cris, CrisConfig
from export.networks.diffir import DiffIRConfig, DiffIRNet
from export.networks.harmony_transformer import Form, HarmonyTransformerConfig
from export.networks.isnet import IsNet, IsNetConfig
from export.networks.ldm_inpainting import LdmInpaintingConfig, LdmInpaintingNet
from export.networks.ldm_sr import LdmSrConfig, LdmSrNet
from export.networks.ldm_text2img import LdmText2ImgConfig, LdmText2ImgNet
from export.networks.mobile_sam import MobileSam, MobileSamConfig
from export.networks.pctnet import PctNet, PctNetConfig
from export.networks.sam2 import Sam2, Sam2Config
from export.pipelines import crisht

HARMONY_TRANSFORMERS = crisht.harmonizers()
FORMS: tuple[Form, ...] = tuple(network.source.published({}).form for network in HARMONY_TRANSFORMERS)
HARMONIZERS = [*HARMONY_TRANSFORMERS, clip_ht.NETWORK]
CLIP_HT = ClipHTConfig(
    embedding=12,
    vocabulary=64,
    text_width=8,
    text_heads=2,
    text_layers=1,
    vision_width=24,
    vision_heads=2,
    vision_layers=2,
    width=16,
    feedforward=32,
    layers=2,
)
CRIS = CrisConfig(
    vision_layers=(1, 1, 1, 1),
    vision_width=8,
    vision_heads=4,
    embedding=16,
    text_width=16,
    text_heads=2,
    text_layers=1,
    neck=(8, 16, 24),
    heads=2,
    feedforward=32,
    layers=1,
)
MOBILE_SAM = MobileSamConfig(
    stage_widths=(8, 8, 16, 16),
    stage_depths=(1, 1, 2, 1),
    stage_heads=(1, 1, 2, 2),
    heads=2,
    feedforward=32,
    layers=1,
    score_width=16,
)
SAM2 = Sam2Config(
    stem_width=8, stage_depths=(1, 1, 2, 1), wide_blocks=(3,), heads=2, feedforward=32, layers=1, score_width=16
)
IS_NET = IsNetConfig(
    stem=4, widths=(4, 6, 8, 8, 8, 8), inner=(2, 2, 4, 4, 4, 4), widths_up=(4, 4, 6, 8, 8), inner_up=(2, 2, 4, 4, 4)
)

LDM_INPAINTING = LdmInpaintingConfig(widths=(32, 32, 64, 64), features=32, multiples=(1, 1, 2), codes=64)
LDM_SR = LdmSrConfig(widths=(32, 32, 32, 64), features=32, multiples=(1, 1, 2), codes=64)
PIECES = ("[PAD]", "a", "red", "cat", "##s", "on", "sofa", ".", "[UNK]", "[CLS]", "[SEP]")
LDM = LdmText2ImgConfig(
    widths=(32, 32, 64, 64),
    heads=4,
    pieces=len(PIECES),
    text_width=24,
    text_layers=2,
    features=32,
    multiples=(1, 1, 1, 1),
)
DIFFIR = DiffIRConfig(width=8, blocks=(1, 1, 1, 1), condition_blocks=1)


def harmonizer_config(form: Form) -> HarmonyTransformerConfig:
    return HarmonyTransformerConfig(form, base=4, width=16, feedforward=32, layers=1, light_layers=1, render_layers=1)


def pct_config(form: str) -> PctNetConfig:
    return PctNetConfig(form, channels=8, width=16, feedforward=32, layers=1)  # type: ignore[arg-type]


def pct_net(form: str, seed: int = 0) -> PctNet:
    """Which darkens a little, in every pixel in another way."""
    torch.manual_seed(seed)
    network = pctnet.build(pct_config(form)).eval()
    with torch.no_grad():
        network.get_params.bias.copy_(torch.cat((0.8 * torch.eye(3).flatten(), torch.tensor([0.05, 0.0, 0.1]))))
    return network


def cris(seed: int = 0) -> Cris:
    torch.manual_seed(seed)
    return Cris(CRIS).eval()


def harmonizer(form: Form, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return harmony_transformer.build(harmonizer_config(form)).eval()


def clip_harmonizer(seed: int = 0) -> ClipHT:
    torch.manual_seed(seed)
    return ClipHT(CLIP_HT).eval()


def mobile_sam(seed: int = 0) -> MobileSam:
    torch.manual_seed(seed)
    return MobileSam(MOBILE_SAM).eval()


def sam2(seed: int = 0) -> Sam2:
    torch.manual_seed(seed)
    return Sam2(SAM2).eval()


def is_net(seed: int = 0) -> IsNet:
    torch.manual_seed(seed)
    return IsNet(IS_NET).eval()


def ldm(seed: int = 0) -> LdmText2ImgNet:
    torch.manual_seed(seed)
    return LdmText2ImgNet(LDM).eval()


def diffir(seed: int = 0) -> DiffIRNet:
    torch.manual_seed(seed)
    return DiffIRNet(DIFFIR).eval()


def ldm_inpainting(seed: int = 0) -> LdmInpaintingNet:
    torch.manual_seed(seed)
    return LdmInpaintingNet(LDM_INPAINTING).eval()


def ldm_sr(seed: int = 0) -> LdmSrNet:
    torch.manual_seed(seed)
    return LdmSrNet(LDM_SR).eval()


def save_sized(network: torch.nn.Module, config: object, path: Path) -> Path:
    """As Concord's own files: safetensors that carry their sizes."""
    return save_weights(network.state_dict(), config, path)


def save_weights(weights: Mapping[str, torch.Tensor], config: object, path: Path) -> Path:
    """The same of any weights."""
    own = {key: value.clone().contiguous() for key, value in weights.items()}
    save_file(own, path, {"config": json.dumps(asdict(config))})
    return path
