"""The loops of the family in the real server: what they add to their networks, and requests that share batches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.family.networks import (
    publish_alone,
    publish_attngan,
    publish_blended_diffusion,
    publish_ldm,
    publish_ldm_inpainting,
    publish_ldm_sr,
    publish_phdiffusion,
    publish_stable_diffusion,
)
from benchmarks.family.subject import sample
from benchmarks.floors.forms import loaded
from benchmarks.floors.side_by_side import SideBySide, side_by_side
from concord.instruments.pipelines import least
from concord.instruments.timing import in_turns, percentiles
from concord.loops.ldm_sr import WINDOW
from concord.scenes.encoded import scene_jpeg, scene_mask
from concord.server.declared import catalogue
from concord.server.embedded import EmbeddedServer
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT
from concord_client import Client, Edit, Generate, Harmonize, Inpaint, Request, Upscale
from concord_client.settings import SettingValue
from export.network import SIDES
from export.networks import declared
from export.networks.attngan_generator import AttnGanConfig
from export.networks.attngan_text_encoder import AttnGanTextConfig
from export.networks.blended_guidance import BlendedConfig
from export.networks.clip import VisionConfig
from export.networks.compvis_unet import CompVisUnetConfig
from export.networks.diffir import DiffIRConfig
from export.networks.guided_unet import GuidedUnetConfig
from export.networks.ldm_inpainting import SMALL as SMALL_INPAINTING
from export.networks.ldm_sr import SMALL as SMALL_SR
from export.networks.ldm_text2img import LdmText2ImgConfig

REQUESTS = 4
STEPS = 20  # of a request: fewer than any of these loops has by default
SIDE = 256  # pixels
PUBLISHED_STEPS = 10  # a tenth of what a user is given: what is done once a request counts ten times as much
TEXT = "a red circle left of a blue square"
SMALL_UNET = CompVisUnetConfig(widths=(32, 64, 128, 128), heads=4, context=48)
SMALL_VAE = {"block_out_channels": (16, 32, 64, 64), "layers_per_block": 1, "norm_num_groups": 2}


@dataclass(frozen=True)
class Loop:
    """A model that is measured with small networks.

    Attributes:
        model: its name; its pipeline is the one for a request of `kind`.
        network: that does most of the work.
        publish: exports its networks into a folder.
    """

    model: str
    kind: type[Request[Any]]
    network: str
    publish: Callable[[Path], None]


SR = Loop("ldm_sr", Upscale, "ldm_sr_unet", partial(publish_ldm_sr, config=SMALL_SR))
SR_DECODER = "ldm_sr_decoder"
LDM = LdmText2ImgConfig(
    widths=(32, 64, 96),
    layers=1,
    heads=2,
    pieces=200,
    text_width=64,
    text_layers=2,
    features=16,
    multiples=(1, 2, 4, 4),
    autoencoder_layers=1,
    groups=2,
)
LATENT = partial(publish_ldm, config=LDM)
INPAINTING = replace(SMALL_INPAINTING, widths=LDM.widths)
STABLE_DIFFUSION = partial(
    publish_stable_diffusion,
    unet={
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (48, 80, 112),
        "layers_per_block": 1,
        "cross_attention_dim": 48,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    },
    vae=SMALL_VAE,
    text={"hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4},
)
CLIP = VisionConfig(
    text_width=64, text_heads=2, text_layers=2, patch=32, vision_width=64, vision_heads=2, vision_layers=2
)
BLENDED = BlendedConfig(GuidedUnetConfig(widths=(32, 32, 32, 32, 64, 64), head_width=16), CLIP)
ATTNGAN, WORDS = AttnGanConfig(width=8, blocks=1), AttnGanTextConfig(vocabulary=64, embedding=32)
DIFFIR = DiffIRConfig(width=16, blocks=(0, 1, 2, 4), condition_blocks=1)
LOOPS = (
    Loop("phdiffusion", Harmonize, "phdiffusion_unet", partial(publish_phdiffusion, config=SMALL_UNET, vae=SMALL_VAE)),
    Loop("ldm", Generate, "ldm_text2img_unet", LATENT),
    Loop("stable_diffusion", Generate, "stable_diffusion_unet", STABLE_DIFFUSION),
    Loop("blended_latent", Edit, "ldm_text2img_unet", LATENT),
    Loop("blended_stable_diffusion", Edit, "stable_diffusion_unet", STABLE_DIFFUSION),
    Loop("blended_diffusion", Edit, "blended_guidance", partial(publish_blended_diffusion, config=BLENDED, text=CLIP)),
    Loop("ldm_inpainting", Inpaint, "ldm_inpainting_unet", partial(publish_ldm_inpainting, config=INPAINTING)),
    SR,
    Loop("attngan", Generate, "attngan_generator", partial(publish_attngan, config=ATTNGAN, text=WORDS)),
    Loop("diffir", Inpaint, "diffir", partial(publish_alone, name="diffir", sizes=DIFFIR)),
)


@dataclass(frozen=True)
class Overhead:
    """Percentiles of a request, and of its networks alone in this process, which take turns; and their ratio."""

    model: str
    steps: int
    milliseconds: dict[str, dict[str, float]]
    over_bare: float


def at_once(loop: Loop, server: EmbeddedServer, _models: Path, rounds: int, steps: int = STEPS) -> SideBySide:
    """Requests to a loop, at once and in turn."""
    request = asked(loop.kind, SIDE)
    with Client(server.grpc_url, timeout=None) as client:
        asks = [
            partial(client.run, request, model=loop.model, settings=settings(loop, seed, steps))
            for seed in range(REQUESTS)
        ]
        return side_by_side(server.grpc_url, asks, loop.network, rounds)


def overhead(
    server: EmbeddedServer, models: Path, rounds: int, steps: int = PUBLISHED_STEPS, window: int = WINDOW
) -> Overhead:
    """The super-resolution of a photograph of `window` x `window` pixels over its bare networks in the folder `models`.

    Such a photograph is one window, so that the networks see the same size at each step.
    """
    request, side = Upscale(scene_jpeg(window, window)), window * SIDES[-1] // WINDOW
    unet, decoder = (loaded(name, models, DEFAULT, sample(declared(name), side)) for name in (SR.network, SR_DECODER))

    def bare() -> None:
        for _ in range(steps):
            unet()
        decoder()

    with Client(server.grpc_url, timeout=None) as client:
        ask = partial(client.run, request, model=SR.model, settings=settings(SR, 0, steps))
        spent = in_turns({SR.model: ask, "bare": bare}, rounds)
    milliseconds = {name: percentiles(each) for name, each in spent.items()}
    over = milliseconds[SR.model]["p50"] / milliseconds["bare"]["p50"]
    return Overhead(SR.model, steps, milliseconds, over)


def asked(kind: type[Request[Any]], side: int) -> Request[Any]:
    """A request of a kind, of a photograph of `side` x `side` pixels."""
    photograph = {"image": scene_jpeg(side, side), "mask": scene_mask(side, side)}
    if kind is Upscale:
        photograph = {"image": scene_jpeg(side // Upscale.SCALE, side // Upscale.SCALE)}
    text = {"text": TEXT}
    given: dict[str, Any] = text if kind is Generate else photograph | text if kind is Edit else photograph
    made: Request[Any] = kind(**given)
    return made


def settings(loop: Loop, seed: int, steps: int) -> Mapping[str, SettingValue]:
    """Those that the loop's pipeline has: the least resolution, and so many steps or the least that it allows."""
    tensors = {name.upper() for name, value in vars(asked(loop.kind, SIDE)).items() if value is not None}
    known = catalogue(MODEL_REPOSITORIES, ()).choose(loop.kind.TASK, loop.model, tensors, streams=True).settings
    chosen = {"SEED": seed, "RESOLUTION": SIDE, "STEPS": steps}
    if "STEPS" in known:
        chosen["STEPS"] = max(steps, int(least(known["STEPS"])))
    return {name.lower(): value for name, value in chosen.items() if name in known}
