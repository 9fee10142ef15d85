"""Training a small text-to-image latent diffusion (Rombach et al. 2022) on scenes and texts for what they show."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from torch import Tensor, nn

from concord.samplers.schedule import TRAINING_STEPS, signal_power
from concord.scenes.photographs import HELD_OUT_FROM
from concord.scenes.scene import make_scene
from concord.squash import latent_mask
from demo import sizes
from demo.tasks import WEIGHTS, Batch, Task
from demo.tasks.autoencoder import Autoencoder
from demo.tasks.captions import caption, pieces, tokenizer, write_vocabulary
from demo.tasks.denoiser import KEPT, REUSED, start_at_noise
from export.ldm_checkpoint import AUTOENCODER
from export.networks.kl_autoencoder import SCALE, KlAutoencoder
from export.networks.latent_diffusion import signed
from export.networks.ldm_text2img import LdmText2ImgNet

FOLDER = WEIGHTS / "ldm"
OBJECTS = 2  # a scene: a text tells of one, and no network can know what the others are
TEXTS = 3  # a scene
UNTOLD = 0.1  # share of samples without a text, for guidance
MOST_POWER = 5.0  # of the signal over the noise's, up to which a sample counts as much as its latent's error
NAMED = 3.0  # how much the named object's latent counts, of which its text tells, beside 1 for the rest


class Drawing(nn.Module):
    """`network` is the whole model; its autoencoder is the demo's, and not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.network = LdmText2ImgNet(Drawer.config)
        begin(self.network.first_stage_model)
        unet: Any = self.network.unet
        residual, attending = unet.output_blocks[-1]
        added = [residual.out_layers[-1], attending.proj_out]
        start_at_noise(unet.input_blocks[0][0], added, residual.skip_connection, unet.out[0], unet.out[-1])
        self.network.first_stage_model.requires_grad_(False)


class Drawer(Task):
    """Predicts the noise in a scene's latent for one of its texts, or for none.

    An error counts as it does in the velocity (Salimans and Ho 2022), so that much noise counts, which decides what is
    where; little noise, which decides no more than texture, less (min-SNR weights, Hang et al. 2023).
    """

    output = FOLDER / "model.safetensors"
    config = replace(sizes.LDM, pieces=len(pieces()))

    def __init__(self) -> None:
        self.scenes: list[tuple[Tensor, Tensor, Tensor]] = []
        self.kept = torch.from_numpy(signal_power()).float()

    def build(self, size: int) -> nn.Module:
        self.scenes.clear()
        self.generator = torch.Generator().manual_seed(size)
        return Drawing().to(memory_format=torch.channels_last)  # faster in BF16

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """New scenes only, `count / REUSED` of them, `TEXTS` texts of each, and the latent masks of what they name."""
        rng = np.random.default_rng(seed)
        numbers = rng.integers(HELD_OUT_FROM, size=max(1, count // REUSED))
        drawn = [make_scene(int(each), (size, size), OBJECTS) for each in numbers]
        told = [[caption(rng, each) for _ in range(TEXTS)] for each in drawn]
        texts = [[tokenizer().encode(text.encode())[0] for text, _ in each] for each in told]
        masks = [[latent_mask((mask > 0).astype(np.uint8)) for _, mask in each] for each in told]
        return np.stack([each.truth for each in drawn]), np.array(texts), np.array(masks)

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(module, Drawing)
        network = module.network
        self.keep(network.first_stage_model, batch)
        count = len(batch[0]) * REUSED
        chosen = torch.randint(len(self.scenes), (count,), generator=self.generator).tolist()
        latents, texts, masks = (torch.stack(parts) for parts in zip(*(self.scenes[n] for n in chosen), strict=True))
        told = torch.arange(count), torch.randint(TEXTS, (count,), generator=self.generator)
        tokens, mask = texts[told], masks[told]
        tokens[torch.rand(count, generator=self.generator) < UNTOLD] = torch.from_numpy(tokenizer().empty)
        time = torch.randint(TRAINING_STEPS, (count,), generator=self.generator)
        noise = torch.randn(latents.shape, generator=self.generator)
        kept = self.kept[time][:, None, None, None]
        found = network.unet(kept.sqrt() * latents + (1 - kept).sqrt() * noise, time, network.text(tokens))
        power = kept / (1 - kept)
        weight = (1 + power).clamp(max=MOST_POWER) / power * (1 + (NAMED - 1) * mask)
        return cast(Tensor, ((found - noise).square() * weight).mean())

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def keep(self, autoencoder: KlAutoencoder, batch: Batch) -> None:
        """Encodes new scenes, and forgets old ones."""
        pictures, texts, masks = (torch.from_numpy(array) for array in batch)
        mean, _ = autoencoder.quant_conv(autoencoder.encoder(signed(pictures))).chunk(2, 1)
        self.scenes += zip(mean * SCALE, texts, masks, strict=True)
        del self.scenes[:-KEPT]

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        super().write(weights, path)
        write_vocabulary(path.with_name("vocabulary.txt"))


@torch.no_grad()
def begin(network: KlAutoencoder) -> None:
    """Gives an autoencoder under CompVis's keys the weights of the demo's, which diffusers names otherwise.

    Its latents are as much larger as the published factor is smaller than the demo's.
    """
    trained: Any = AutoencoderKL.from_pretrained(Autoencoder.output).float()
    values = trained.state_dict()
    # What diffusers converts shares the memory of what it was given.
    named = convert_ldm_vae_checkpoint(
        {f"{AUTOENCODER}{key}": value for key, value in network.state_dict().items()}, trained.config
    )
    for key, value in named.items():
        value.copy_(values[key])
    larger = trained.config.scaling_factor / SCALE
    mean = slice(0, trained.config.latent_channels)
    shift = cast(Tensor, network.quant_conv.bias)
    network.quant_conv.weight[mean] *= larger
    shift[mean] *= larger
    shift[mean.stop :] += 2 * math.log(larger)  # of the logarithms of variances
    network.post_quant_conv.weight /= larger
