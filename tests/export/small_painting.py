"""PHDiffusion and the Stable Diffusion below it, small, in the layouts in which they are published."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from export import compvis
from export.networks.compvis_unet import CompVisUnetConfig
from export.networks.feature_fusion import FeatureFusion
from export.networks.phdiffusion_adapter import Adapter, AdapterConfig
from tests.export import small_diffusion as small
from tests.export.test_single_file import compvis as compvis_weights

WIDTHS = (32, 32, 64, 64)
UNET: dict[str, Any] = {
    "in_channels": 4,
    "block_out_channels": WIDTHS,
    "layers_per_block": 2,
    "cross_attention_dim": small.WIDTH,
    "attention_head_dim": 4,
}
SIZES = CompVisUnetConfig(widths=WIDTHS, heads=4, context=small.WIDTH)


def unet(seed: int = 0, **sizes: Any) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    return UNet2DConditionModel(**UNET | sizes).eval()


def adapter(residual: bool, seed: int = 1) -> Adapter:
    torch.manual_seed(seed)
    return Adapter(AdapterConfig(residual, WIDTHS)).eval()


def fusion(seed: int = 2) -> FeatureFusion:
    torch.manual_seed(seed)
    return FeatureFusion(WIDTHS[2:]).eval()


def save_own(path: Path) -> Path:
    """`ad` and `interact`, as the authors save them."""
    torch.save({"ad": adapter(True).state_dict(), "interact": fusion().state_dict()}, path)
    return path


class ModelCheckpoint:
    """Under the name of a trainer's class, as `sd-v1-4.ckpt` has it."""


ModelCheckpoint.__module__ = "pytorch_lightning.callbacks.model_checkpoint"


def save_file(path: Path) -> Path:
    """Stable Diffusion in CompVis's layout, as a trainer leaves it."""
    weights = {key: value for key, value in compvis_weights().items() if not key.startswith(compvis.UNET)}
    for key, value in unet().state_dict().items():
        weights[compvis.UNET + compvis.compvis_key(key, UNET["layers_per_block"])] = value
    weights["model_ema.decay"] = torch.tensor(0.999)
    module = ModuleType(ModelCheckpoint.__module__)
    module.ModelCheckpoint = ModelCheckpoint  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pytorch_lightning", "pytorch_lightning.callbacks", module.__name__):
            patch.setitem(sys.modules, name, module)
        torch.save({"epoch": 1, "state_dict": weights, "callbacks": {ModelCheckpoint: {"best": None}}}, path)
    return path


def save_folder(folder: Path, **sizes: Any) -> Path:
    """Stable Diffusion in diffusers' layout."""
    small.save_pipeline(folder)
    unet(**sizes).save_pretrained(folder / "unet")
    return folder
