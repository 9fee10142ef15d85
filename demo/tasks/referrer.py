"""Training the demo's diffusion UNet to find by a text what it harmonizes, as DiffReHarmony is described."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from concord.scenes.photographs import HELD_OUT_FROM
from concord.scenes.scene import make_scene
from concord.squash import LATENT_STRIDE
from concord.tokenizer import PROMPT_LENGTH
from demo import sizes
from demo.tasks import WEIGHTS, Batch
from demo.tasks.autoencoder import Autoencoder
from demo.tasks.denoiser import KEPT, REUSED, Denoiser
from demo.tasks.segmenter import Segmenter, tokenizer
from export.networks.latent_diffusion import signed
from export.networks.referring_unet import ServedReferringUnet
from export.networks.text_encoder import ServedTextEncoder, prompt

FOLDER = WEIGHTS / "diffreharmony"
UNET, TEXT_ENCODER, HEAD = "unet", "text_encoder", "mask_head.safetensors"
REFERRALS = 3  # expressions a scene, the first one of the changed object
CHANGED = 0.6  # share of samples whose text names the changed object; where it names another, nothing is to change
MASK_WEIGHT = 0.05  # published is 0.01; the noise's error is weighted higher here, too


class Referring(nn.Module):
    """`network` is a text encoder, and a UNet with its mask head."""

    def __init__(self) -> None:
        super().__init__()
        unet: Any = UNet2DConditionModel(**sizes.REFERRING_UNET)
        head = nn.Conv2d(unet.config.block_out_channels[0], 1, 3, padding=1)
        self.network = nn.ModuleDict(
            {
                UNET: ServedReferringUnet(unet, head, head_before_norm=False),
                TEXT_ENCODER: ServedTextEncoder(CLIPTextModel(CLIPTextConfig(**sizes.TEXT_ENCODER))),
            }
        )

    @property
    def text_encoder(self) -> Any:
        """The module of transformers."""
        return self.network[TEXT_ENCODER].encoder

    @property
    def unet(self) -> Any:
        """The module of diffusers, with `Ends`."""
        return self.network[UNET].network


class Referrer(Denoiser):
    """The denoiser's loss without its mask, and cross-entropy and IoU of the mask that its text names."""

    output = FOLDER

    def build(self, size: int) -> nn.Module:
        self.scenes.clear()
        self.generator = torch.Generator().manual_seed(size)
        vae: Any = AutoencoderKL.from_pretrained(Autoencoder.output)
        self.vae = vae.float().eval()
        module = Referring()
        begin(module)
        return module

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """New scenes only: composites, truths, and `REFERRALS` texts and masks of each."""
        rng = np.random.default_rng(seed)
        composites, truths, masks, tokens = [], [], [], []
        for _ in range(max(1, count // REUSED)):
            scene = make_scene(int(rng.integers(HELD_OUT_FROM)), (size, size))
            composites.append(scene.composite)
            truths.append(scene.truth)
            others = [1 + n for n in rng.permutation(len(scene.referrals) - 1)]
            order = [0, *others][:REFERRALS]
            for n in (order * REFERRALS)[:REFERRALS]:
                referral = scene.referrals[n]
                text = str(rng.choice((referral.expression, *referral.alternatives)))
                tokens.append(prompt(text.encode(), tokenizer()))
                masks.append(np.stack((referral.mask, np.full_like(referral.mask, 255 * (n == 0)))))
        grouped = (np.stack(each).reshape(-1, REFERRALS, *each[0].shape) for each in (masks, tokens))
        return (np.stack(composites), np.stack(truths), *grouped)

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def keep(self, batch: Batch) -> None:
        composites, truths, masks, tokens = (torch.from_numpy(array) for array in batch)
        latents = self.vae.encode(signed(torch.cat((composites, truths)))).latent_dist.mode()
        latents *= self.vae.config.scaling_factor
        small = F.avg_pool2d(masks.flatten(0, 1).float() / 255, LATENT_STRIDE).unflatten(0, masks.shape[:2])
        self.scenes += zip(latents[: len(truths)], latents[len(truths) :], small, tokens, strict=True)
        del self.scenes[:-KEPT]

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(module, Referring)
        self.keep(batch)
        count = len(batch[0]) * REUSED
        composite, truth, masks, tokens = self.chosen(count)
        which = torch.randint(1, REFERRALS, (count,), generator=self.generator)
        which[torch.rand(count, generator=self.generator) < CHANGED] = 0
        rows = torch.arange(count)
        (mask, changed), tokens = masks[rows, which].unbind(1), tokens[rows, which]
        mask = mask[:, None]
        truth = torch.where(changed[:, None] > 0, truth, composite)
        states = module.network[TEXT_ENCODER](tokens)
        logits: list[Tensor] = []

        def answer(scaled: Tensor, time: Tensor) -> Tensor:
            noise, found = module.network[UNET](scaled, time[:, None], composite, states)
            logits.append(found)
            return cast(Tensor, noise)

        error = self.error(answer, (mask > 0.5).float(), truth)
        probability = logits[-1].float().sigmoid()
        overlap = (probability * mask).sum((1, 2, 3))
        union = (probability + mask).sum((1, 2, 3)) - overlap
        iou = 1 - (overlap + 1) / (union + 1)
        found = F.binary_cross_entropy_with_logits(logits[-1].float(), mask) + iou.mean()
        loss: Tensor = error + MASK_WEIGHT * found
        return loss

    def read(self, path: Path) -> dict[str, Tensor]:
        module = Referring()
        ends = module.unet.conv_out
        unet: Any = UNet2DConditionModel.from_pretrained(path / UNET).float()
        ends.norm, ends.noise = unet.conv_norm_out, unet.conv_out
        unet.conv_norm_out, unet.conv_out = None, ends
        ends.head.load_state_dict(load_file(path / HEAD))
        module.network[UNET].network = unet
        module.network[TEXT_ENCODER].encoder = CLIPTextModel.from_pretrained(path / TEXT_ENCODER).float()
        return dict(module.network.state_dict())

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        module = Referring()
        module.network.load_state_dict(weights)
        unet, ends = module.unet, module.unet.conv_out
        unet.conv_norm_out, unet.conv_out = ends.norm, ends.noise
        unet.half().save_pretrained(path / UNET)
        module.text_encoder.half().save_pretrained(path / TEXT_ENCODER)
        save_file(dict(ends.head.state_dict()), path / HEAD)


@torch.no_grad()
def begin(module: Referring) -> None:
    """Begins with what the demo's other networks know: CRIS of texts, DiffHarmony's UNet of everything else."""
    trained: Any = UNet2DConditionModel.from_pretrained(Denoiser.output).float()
    ends = module.unet.conv_out
    ends.norm.load_state_dict(trained.conv_norm_out.state_dict())
    ends.noise.load_state_dict(trained.conv_out.state_dict())
    own, known = module.unet.state_dict(), trained.state_dict()
    module.unet.load_state_dict(
        own | {key: value for key, value in known.items() if key in own and value.shape == own[key].shape}
    )
    cris = {key: value.float() for key, value in load_file(Segmenter.output).items()}
    tower = {key.removeprefix("backbone."): value for key, value in cris.items() if key.startswith("backbone.")}
    module.text_encoder.load_state_dict(text_tower(tower, module.text_encoder.state_dict()))


def text_tower(weights: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The text tower of a CLIP under its own keys as that of `CLIPTextModel`, whose weights are `own`."""
    found = {
        "embeddings.token_embedding.weight": weights["token_embedding.weight"],
        "embeddings.position_embedding.weight": weights["positional_embedding"][:PROMPT_LENGTH],
        "final_layer_norm.weight": weights["ln_final.weight"],
        "final_layer_norm.bias": weights["ln_final.bias"],
    }
    for layer in range(sizes.CRIS.text_layers):
        theirs, ours = f"transformer.resblocks.{layer}", f"encoder.layers.{layer}"
        for kind in ("weight", "bias"):
            projections = weights[f"{theirs}.attn.in_proj_{kind}"].chunk(3)
            for name, value in zip("qkv", projections, strict=True):
                found[f"{ours}.self_attn.{name}_proj.{kind}"] = value
            for name, other in (
                ("attn.out_proj", "self_attn.out_proj"),
                ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"),
                ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ):
                found[f"{ours}.{other}.{kind}"] = weights[f"{theirs}.{name}.{kind}"]
    return own | found
