"""The loops of the family in the real server: what they add to their networks, and requests that share batches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.family.networks import (
    publish_alone,
    publish_attngan,
    publish_ldm,
    publish_ldm_inpainting,
    publish_ldm_sr,
    publish_phdiffusion,
    publish_stable_diffusion,
)
from benchmarks.family.subject import sample
from benchmarks.floors.forms import loaded
from benchmarks.floors.side_by_side import SideBySide, side_by_side
from concord.instruments.timing import in_turns, percentiles
from concord.loops.ldm_sr import WINDOW
from concord.scenes.encoded import scene_jpeg, scene_mask
from concord.server.declared import catalogue
from concord.server.embedded import EmbeddedServer
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT
from concord_client import Client, Generate, Harmonize, Inpaint, Request, Upscale
from concord_client.settings import SettingValue
from export.network import SIDES
from export.networks import declared
from export.networks.attngan_generator import AttnGanConfig
from export.networks.attngan_text_encoder import AttnGanTextConfig
from export.networks.compvis_unet import CompVisUnetConfig
from export.networks.diffir import DiffIRConfig
from export.networks.ldm_inpainting import SMALL as SMALL_INPAINTING
from export.networks.ldm_sr import SMALL as SMALL_SR
from export.networks.ldm_text2img import LdmText2ImgConfig

REQUESTS = 4
STEPS = 5
SIDE = 256  # pixels
PUBLISHED_STEPS = 4
TEXT = "a red circle left of a blue square"
SMALL_UNET = CompVisUnetConfig(widths=(32, 64, 128, 128), heads=4, context=48)
SMALL_VAE = {"block_out_channels": (32, 32, 64, 64)}


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
LOOPS = (
    Loop(
        *("phdiffusion", Harmonize, "phdiffusion_unet"), partial(publish_phdiffusion, config=SMALL_UNET, vae=SMALL_VAE)
    ),
    Loop(
        *("ldm", Generate, "ldm_text2img_unet"),
        partial(
            publish_ldm,
            config=LdmText2ImgConfig(
                *(SMALL_UNET.widths, SMALL_UNET.heads, 200, 64, 4), features=32, multiples=(1, 1, 2, 2)
            ),
        ),
    ),
    Loop(
        *("stable_diffusion", Generate, "stable_diffusion_unet"),
        partial(
            publish_stable_diffusion,
            unet={"block_out_channels": SMALL_UNET.widths, "attention_head_dim": 4, "cross_attention_dim": 48},
            vae=SMALL_VAE,
            text={"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4},
        ),
    ),
    Loop("ldm_inpainting", Inpaint, "ldm_inpainting_unet", partial(publish_ldm_inpainting, config=SMALL_INPAINTING)),
    SR,
    Loop(
        *("attngan", Generate, "attngan_generator"),
        partial(publish_attngan, config=AttnGanConfig(8, 1), text=AttnGanTextConfig(64, 32)),
    ),
    Loop(
        *("diffir", Inpaint, "diffir"),
        partial(
            publish_alone,
            name="diffir",
            sizes=DiffIRConfig(width=16, blocks=(1, 1, 1, 2), heads=(1, 2, 2, 4), condition_blocks=1),
        ),
    ),
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
            partial(client.run, request, model=loop.model, settings=settings(loop, seed=seed, steps=steps))
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
        ask = partial(client.run, request, model=SR.model, settings=settings(SR, seed=0, steps=steps))
        spent = in_turns({SR.model: ask, "bare": bare}, rounds)
    milliseconds = {name: percentiles(each) for name, each in spent.items()}
    over = milliseconds[SR.model]["p50"] / milliseconds["bare"]["p50"]
    return Overhead(SR.model, steps, milliseconds, over)


def asked(kind: type[Request[Any]], side: int) -> Request[Any]:
    """A request of a kind, of a photograph of `side` x `side` pixels."""
    if kind is Generate:
        return Generate(TEXT)
    if kind is Upscale:
        return Upscale(scene_jpeg(side // Upscale.SCALE, side // Upscale.SCALE))
    made: Request[Any] = kind(scene_jpeg(side, side), mask=scene_mask(side, side))
    return made


def settings(loop: Loop, **wanted: int) -> Mapping[str, SettingValue]:
    """Those that the loop's pipeline has, at the least resolution."""
    given = {"TEXT"} if loop.kind is Generate else {"IMAGE"} if loop.kind is Upscale else {"IMAGE", "MASK"}
    pipeline = catalogue(MODEL_REPOSITORIES, ()).choose(loop.kind.TASK, loop.model, given, streams=True)
    chosen: dict[str, SettingValue] = {**wanted, "resolution": SIDE}
    return {name: value for name, value in chosen.items() if name.upper() in pipeline.settings}
