"""The networks at their published sizes, with random weights from a seed, for timing only; and servers of them."""

import gc
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks import OUTPUT
from concord.instruments import started_server as servers
from concord.server.embedded import EmbeddedServer
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT, variants
from export import candidates
from export.network import Network
from export.networks import (
    cris,
    crisht,
    dht,
    every,
    harmony_vae,
    ht,
    refinement,
    text_encoder,
    tiny_decoder,
    tiny_encoder,
    vae_encoder,
)
from export.networks.cris import ServedCris
from export.networks.harmonizer import ServedHarmonizer
from export.networks.harmony_vae import ConditionVae, ConditionVaeConfig, ServedHarmonyVae
from export.networks.refinement import Refinement, RefinementConfig, ServedRefinement
from export.networks.tiny_decoder import ServedTinyDecoder
from export.networks.tiny_encoder import ServedTinyEncoder
from export.networks.tiny_vae import TinyVae
from export.networks.unet import INPAINTING
from export.networks.vae_encoder import KL_F8
from export.onnx_file import publish
from export.pipeline import Pipeline
from export.pipelines import diffharmony, diffreharmony
from export.runtime_form import Form, rewrite
from export.state_dict import StateDict

SIZE = 512  # pixels, of the photograph and of the square that is denoised
TOKENS = 77
RECORD = {"network": "published size, random weights"}


def networks() -> list[tuple[Network, nn.Module]]:
    """CRIS R50, DHT+ and HT+ as they are served."""
    torch.manual_seed(0)
    built = [
        (cris.NETWORK, ServedCris(cris.Cris(cris.R50))),
        (dht.NETWORK, ServedHarmonizer(dht.NETWORK.published["dht_plus"]())),
        (ht.NETWORK, ServedHarmonizer(ht.NETWORK.published["ht_plus"]())),
    ]
    return [(model, network.eval()) for model, network in built]


def other_harmonizers() -> dict[str, tuple[Network, nn.Module]]:
    """Every other harmonizer that answers in one pass as it is served, by the name of its published form."""
    torch.manual_seed(3)
    measured = {dht.NETWORK.name, ht.NETWORK.name}  # as `networks`
    return {
        form: (model, model.source.served(build()).requires_grad_(False).eval())
        for model in every()
        if model.harmonizer and model.name not in measured and isinstance(model.source, StateDict)
        for form, build in model.published.items()
    }


def other_harmonizer(form: str, model: Network, network: nn.Module) -> Path:
    """The folder of one of them."""
    return _exported(OUTPUT / f"published_{form}", lambda folder: publish(network, model, folder, RECORD))


def companions() -> list[tuple[Network, nn.Module]]:
    """Harmony-VAE and the refinement network as they are served."""
    torch.manual_seed(1)
    sizes, seen = ConditionVaeConfig(), RefinementConfig()
    networks: list[tuple[Network, nn.Module]] = [
        (harmony_vae.NETWORK, ServedHarmonyVae(ConditionVae(sizes), sizes)),
        (refinement.NETWORK, ServedRefinement(Refinement(seen), seen)),
    ]
    return [(model, network.requires_grad_(False).eval()) for model, network in networks]


def tiny_networks() -> list[tuple[Network, nn.Module]]:
    """The tiny encoder and decoder as they are served."""
    torch.manual_seed(2)
    halves = TinyVae().requires_grad_(False).eval()
    return [
        (tiny_encoder.NETWORK, ServedTinyEncoder(halves.encoder)),
        (tiny_decoder.NETWORK, ServedTinyDecoder(halves.decoder)),
    ]


def pipeline() -> Pipeline:
    """Stable Diffusion 1.5's inpainting UNet, its VAE, and text states, with the same random weights each time."""
    torch.manual_seed(0)
    unet: Any = UNet2DConditionModel(**INPAINTING)
    vae: Any = AutoencoderKL(**KL_F8)
    states = torch.randn(TOKENS, unet.config.cross_attention_dim)
    return Pipeline(unet.requires_grad_(False).eval(), vae.requires_grad_(False).eval(), states)


def text_guided() -> Path:
    """The folder of `networks`."""

    def export(folder: Path) -> None:
        for model, network in networks():
            publish(network, model, folder, RECORD)

    return _exported(OUTPUT / "published", export)


def one_graph() -> Path:
    """The folder of the network that is made of CRIS and DHT+ of `networks`."""

    def export(folder: Path) -> None:
        (_, segmenter), (_, harmonizer), _ = networks()
        publish(crisht.Crisht(segmenter, harmonizer).eval(), crisht.NETWORK, folder, RECORD)

    return _exported(OUTPUT / "published_one_graph", export)


def tiny() -> Path:
    """The folder of `tiny_networks`, with the encoder that says what they see."""

    def export(folder: Path) -> None:
        shutil.copytree(diffusion() / vae_encoder.NETWORK.name, folder / vae_encoder.NETWORK.name)
        for model, network in tiny_networks():
            publish(network, model, folder, RECORD)

    return _exported(OUTPUT / "published_tiny", export)


def diffusion() -> Path:
    """The folder of the networks of `pipeline` and of `companions`."""

    def export(folder: Path) -> None:
        diffharmony.publish(pipeline(), folder, Form())
        for model, network in companions():
            publish(network, model, folder, RECORD, partial(rewrite, form=Form(convolution="direct")))

    return _exported(OUTPUT / "published_diffusion", export)


def referring() -> Path:
    """The folder of a text encoder, and of the UNet of `pipeline` with a head that finds everything."""

    def export(folder: Path) -> None:
        found = pipeline().unet
        head = nn.Conv2d(found.config.block_out_channels[0], 1, 1)
        head.load_state_dict({"weight": torch.zeros_like(head.weight), "bias": torch.ones(1)})
        head.requires_grad_(False)
        prompts: Any = CLIPTextModel(CLIPTextConfig(**text_encoder.SIZES)).requires_grad_(False).eval()
        networks = (
            diffreharmony.text_candidate(prompts),
            diffreharmony.unet_candidate(found, head, False, Form()),
        )
        candidates.publish(networks, folder, RECORD)

    return _exported(OUTPUT / "published_referring", export)


def _exported(folder: Path, export: Callable[[Path], object]) -> Path:
    """A folder with networks, which are exported into it if one is missing."""
    done = folder / ".complete"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        export(folder)
        gc.collect()  # exported graphs are cyclic and hold gigabytes that the next step needs
        done.touch()
    return folder


@contextmanager
def serving(*folders: Path, only: Collection[str] | None = None, profile: str = DEFAULT) -> Iterator[EmbeddedServer]:
    """A server of the project's models, with networks of the first of the folders that has one instead of their own.

    With `only`, no other networks are served.
    """
    models, ensembles = MODEL_REPOSITORIES
    known = variants(MODEL_REPOSITORIES)
    with TemporaryDirectory() as name:
        repository = Path(name)
        for model in models.iterdir():
            (repository / model.name).mkdir()
            for each in ("config.pbtxt", "configs"):
                if (model / each).exists():
                    (repository / model.name / each).symlink_to(model / each)
            # A network without a file is not served, nor is what needs it.
            if only is None or model.name in only or model.name not in known:
                places = [folder / model.name / "1" for folder in folders]
                version = next((path for path in places if path.is_dir()), model / "1")
                (repository / model.name / "1").symlink_to(version.absolute())
        with servers.serving((repository, ensembles), profile) as server:
            yield server
