"""The loops of the family in the real server: what they add to their networks, and requests that share batches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

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
from export.networks import declared, text_encoder
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
from export.publication import record_of

REQUESTS = 4
STEPS = 20  # of a request: fewer than any of these loops has by default
SIDE = 256  # pixels
PUBLISHED_STEPS = 10  # a tenth of what a user is given: what is done once a request counts ten times as much
TEXT = "a red circle left of a blue square"
PIECES = 200  # of words, the letters among them
SMALL_UNET = CompVisUnetConfig(widths=(32, 64, 128, 128), heads=4, context=48)


def demo_sizes(network: str) -> dict[str, Any]:
    """Of a network with demo weights, as its record says them."""
    sizes: dict[str, Any] = record_of(MODEL_REPOSITORIES[0], network)["config"]
    return sizes


def publish_small_phdiffusion(folder: Path) -> None:
    publish_phdiffusion(folder, SMALL_UNET, demo_sizes("vae_encoder"))


def publish_demo_ldm(folder: Path) -> None:
    sizes = TypeAdapter(LdmText2ImgConfig).validate_python(demo_sizes("ldm_text2img_unet"))
    publish_ldm(folder, replace(sizes, pieces=PIECES))


def publish_demo_stable_diffusion(folder: Path) -> None:
    vae, reading = demo_sizes("vae_encoder"), demo_sizes("text_encoder")
    unet = demo_sizes("referring_unet") | {"in_channels": vae["latent_channels"]}
    publish_stable_diffusion(folder, unet, vae, {name: reading[name] for name in text_encoder.SIZES})


def publish_demo_diffir(folder: Path) -> None:
    publish_alone(folder, "diffir", TypeAdapter(DiffIRConfig).validate_python(demo_sizes("diffir")))


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
INPAINTING = replace(SMALL_INPAINTING, widths=SMALL_INPAINTING.widths[:3])
CLIP = VisionConfig(
    text_width=64, text_heads=2, text_layers=2, patch=32, vision_width=64, vision_heads=2, vision_layers=2
)
BLENDED = BlendedConfig(GuidedUnetConfig(widths=(32, 32, 32, 32, 64, 64), head_width=16), CLIP)
ATTNGAN, WORDS = AttnGanConfig(width=8, blocks=1), AttnGanTextConfig(vocabulary=64, embedding=32)
LOOPS = (
    Loop("phdiffusion", Harmonize, "phdiffusion_unet", publish_small_phdiffusion),
    Loop("ldm", Generate, "ldm_text2img_unet", publish_demo_ldm),
    Loop("stable_diffusion", Generate, "stable_diffusion_unet", publish_demo_stable_diffusion),
    Loop("blended_latent", Edit, "ldm_text2img_unet", publish_demo_ldm),
    Loop("blended_stable_diffusion", Edit, "stable_diffusion_unet", publish_demo_stable_diffusion),
    Loop("blended_diffusion", Edit, "blended_guidance", partial(publish_blended_diffusion, config=BLENDED, text=CLIP)),
    Loop("ldm_inpainting", Inpaint, "ldm_inpainting_unet", partial(publish_ldm_inpainting, config=INPAINTING)),
    SR,
    Loop("attngan", Generate, "attngan_generator", partial(publish_attngan, config=ATTNGAN, text=WORDS)),
    Loop("diffir", Inpaint, "diffir", publish_demo_diffir),
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
