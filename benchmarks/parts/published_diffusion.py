"""DiffHarmony at its published sizes, with random weights from a seed: networks, time and memory."""

import gc
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn

from benchmarks.floors import diffusion as bare_diffusion
from benchmarks.floors import published
from benchmarks.parts.diffusion import against_floor, asking
from concord.instruments import started_server as servers
from concord.instruments.memory import MIB, Peak, instances, resident
from concord.instruments.stages import UNET
from concord.instruments.timing import THREADS
from concord.loops.request import DEFAULT_STEPS
from concord.server.embedded import EmbeddedServer
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT
from concord_client import Client, Diffusion
from concord_client.diffusion import DIFFHARMONY
from export.network import Network
from export.networks import every, harmony_vae, refinement
from export.networks.harmony_vae import ConditionVae, ConditionVaeConfig, ServedHarmonyVae
from export.networks.refinement import Refinement, RefinementConfig, ServedRefinement
from export.networks.unet import INPAINTING
from export.networks.vae_encoder import KL_F8
from export.onnx_file import publish
from export.pipeline import Pipeline
from export.pipelines import diffharmony
from export.runtime_form import Form, rewrite

COMPANIONS = tuple(network.name for network in every() if network.companion_of)
SIZE = 512  # pixels, of the photograph and of the square that is denoised
TOKENS = 77


def diffusion_published(folder: Path, text_guided: Path, rounds: int = 3) -> dict[str, Any]:
    """A request with a mask, bare ONNX Runtime and diffusers, alternating; and the memory of the whole server.

    Args:
        folder: keeps the exported networks between runs.
        text_guided: the same for CRIS and the harmonizer, see `published.repository`.
    """
    export_networks(folder)
    published.repository(MODEL_REPOSITORIES[0], text_guided, published.networks())
    return {"memory": memory(folder, text_guided)} | latency(folder, text_guided, rounds)


def latency(folder: Path, text_guided: Path, rounds: int) -> dict[str, Any]:
    """p50s of `DEFAULT_STEPS` steps; before that, all three run once with one step.

    The companions are not served meanwhile: with all bare and torch networks they would need more memory than machines
    have on which the rest fits.
    """
    with serving(placed(folder, text_guided), COMPANIONS) as server, Client(server.grpc_url) as client:
        asking(client, Diffusion(seed=0, steps=1, resolution=SIZE))()
        floor = bare_diffusion.onnx_runtime(folder, server.grpc_url, SIZE)
        eager = bare_diffusion.eager(pipeline(), SIZE, THREADS)
        for networks in (floor, eager):
            networks.harmonize(1)
        others = {"eager": partial(eager.harmonize, DEFAULT_STEPS)}
        result = against_floor(server, client, SIZE, floor, others, rounds)
    times = result["milliseconds"]
    return result | {"eager_over_ours": times["eager"]["p50"] / times[DIFFHARMONY]["p50"]}


def memory(folder: Path, text_guided: Path) -> dict[str, Any]:
    """Memory of the server with every model of the repository, all networks at published size, after a full request.

    The request uses the companions, too. No other process maps the weights at that time, so they count in full.
    """
    diffusion = Diffusion(seed=0, steps=DEFAULT_STEPS, resolution=SIZE, decoder="harmony", refine=True)
    with serving(placed(folder, text_guided)) as server, Client(server.grpc_url) as client:
        with Peak(server.processes()) as peak:
            asking(client, diffusion)()
        stubs = instances(server.processes())
        total = resident(server.processes())
        by_model = {name: resident(processes) / MIB for name, processes in sorted(stubs.items())}
    return {
        "server_mib": total / MIB,
        "server_without_companions_mib": total / MIB - sum(by_model[name] for name in COMPANIONS),
        "peak_mib": peak.bytes / MIB,
        "model_mib": by_model,
        "unet_instances": len(stubs[UNET]),
    }


@contextmanager
def serving(
    networks: Mapping[str, Path], without: tuple[str, ...] = (), profile: str = DEFAULT
) -> Iterator[EmbeddedServer]:
    """A server of the project's models with other networks instead of the repository's own.

    Args:
        networks: by model, the folder that holds its file.
    """
    models, ensembles = MODEL_REPOSITORIES
    with TemporaryDirectory() as name:
        repository = Path(name)
        for model in models.iterdir():
            if model.name not in without:
                (repository / model.name).mkdir()
                for each in ("config.pbtxt", "configs"):
                    if (model / each).exists():
                        (repository / model.name / each).symlink_to(model / each)
                (repository / model.name / "1").symlink_to(networks.get(model.name, model / "1").absolute())
        with servers.serving((repository, ensembles), profile) as server:
            yield server


def placed(folder: Path, text_guided: Path) -> dict[str, Path]:
    """The networks of both folders, by model."""
    networks = {path.name: path / "1" for path in folder.iterdir() if path.is_dir()}
    return networks | {model.name: text_guided / model.name / "1" for model, _ in published.networks()}


def export_networks(folder: Path) -> None:
    """Exports the pipeline's networks and the companions to `folder / name / "1"`, if one is missing."""
    done = folder / ".complete"
    if done.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    diffharmony.publish(pipeline(), folder, Form())
    for model, network in companions():
        record = {"network": "published size, random weights"}
        publish(network, model, folder, record, partial(rewrite, form=Form(convolution="direct")))
    gc.collect()  # exported graphs are cyclic and hold gigabytes that the next step needs
    done.touch()


def companions() -> list[tuple[Network, nn.Module]]:
    """Harmony-VAE and the refinement network as they are served."""
    torch.manual_seed(1)
    sizes, seen = ConditionVaeConfig(), RefinementConfig()
    networks: list[tuple[Network, nn.Module]] = [
        (harmony_vae.NETWORK, ServedHarmonyVae(ConditionVae(sizes), sizes)),
        (refinement.NETWORK, ServedRefinement(Refinement(seen), seen)),
    ]
    return [(model, network.requires_grad_(False).eval()) for model, network in networks]


def pipeline() -> Pipeline:
    """Stable Diffusion 1.5's inpainting UNet, its VAE, and text states, with the same random weights each time."""
    torch.manual_seed(0)
    unet: Any = UNet2DConditionModel(**INPAINTING)
    vae: Any = AutoencoderKL(**KL_F8)
    states = torch.randn(TOKENS, unet.config.cross_attention_dim)
    return Pipeline(unet.requires_grad_(False).eval(), vae.requires_grad_(False).eval(), states)
