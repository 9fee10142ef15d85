"""The networks of a diffusion at published sizes in every engine and precision; and all of them served in INT8.

Weights are random, from a seed, for timing only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from benchmarks.floors import diffusion as bare_diffusion
from benchmarks.floors import published
from benchmarks.floors.forms import ESSENTIAL, INT8, OPENVINO_INT8, Forms, build_int8, loaded, measured, written
from benchmarks.floors.loop import asking
from benchmarks.floors.published import SIZE, pipeline, serving
from benchmarks.subjects import DIFFUSION, HEAVY, diffusion_networks, diffusion_steps, network, text_guided_networks
from concord.instruments.markdown import gigabytes, significant, times
from concord.instruments.memory import MIB, resident
from concord.instruments.timing import THREADS, Calls, in_turns, percentiles
from concord_client import Client

LARGEST = "unet"  # role of the network of which no more forms than the essential fit into memory
TINY = {"encoder": "tiny_encoder", "decoder": "tiny_decoder"}
"""By role, that of the part that can take its place."""


@dataclass(frozen=True)
class Numbers:
    """Every variant of each network, then a request with all of them in INT8."""

    forms: dict[str, Forms]
    steps: int
    resolution: int
    milliseconds: dict[str, dict[str, float]]
    over_bare: float
    eager_over_ours: float
    server_mib: float


def measure(rounds: int = 2) -> Numbers:
    """Rounds of every network; one more of the whole."""
    folder, text_guided = published.diffusion(), published.text_guided()
    feeds = bare_diffusion.feeds(SIZE)
    eager = bare_diffusion.eager(pipeline(), SIZE, THREADS)
    names, segmenting, steps = diffusion_networks(), text_guided_networks(HEAVY), diffusion_steps()
    calls = dict(zip(names, (eager.encode, eager.denoise, eager.decode), strict=True))
    forms = {
        name: measured(name, folder, feeds, call, rounds, ESSENTIAL if name == network(LARGEST) else ())
        for name, call in calls.items()
    }
    forms |= tiny_forms(rounds)
    for name in segmenting:
        build_int8(name, text_guided)
    served = (*names, *segmenting)
    with serving(folder, text_guided, only=served, profile=INT8) as server, Client(server.grpc_url) as client:
        floor = bare_diffusion.Networks(*(loaded(name, folder, INT8, feeds) for name in names))
        for call in (
            asking(client, {"steps": 1, "resolution": SIZE}),
            partial(floor.harmonize, 1),
            partial(eager.harmonize, 1),
        ):
            call()
        whole: Calls = {
            DIFFUSION: asking(client, {"resolution": SIZE}),
            "bare": partial(floor.harmonize, steps),
            "eager": partial(eager.harmonize, steps),
        }
        milliseconds = {name: percentiles(spent) for name, spent in in_turns(whole, rounds + 1, warm=0).items()}
        memory = resident(server.processes()) / MIB
    ours = milliseconds[DIFFUSION]["p50"]
    return Numbers(
        forms=forms,
        steps=steps,
        resolution=SIZE,
        milliseconds=milliseconds,
        over_bare=ours / milliseconds["bare"]["p50"],
        eager_over_ours=milliseconds["eager"]["p50"] / ours,
        server_mib=memory,
    )


def tiny_forms(rounds: int) -> dict[str, Forms]:
    """The tiny encoder and decoder in every form."""
    folder, feeds = published.tiny(), bare_diffusion.feeds(SIZE)
    forms = {}
    for model, built in published.tiny_networks():
        tensors = [torch.from_numpy(feeds[tensor.name]) for tensor in model.inputs]
        call = torch.inference_mode()(partial(built, *tensors))
        forms[model.name] = measured(model.name, folder, feeds, call, rounds)
    return forms


def section(numbers: Numbers) -> str:
    return (
        f"## Engines, published sizes: Stable Diffusion's networks at {numbers.resolution} pixels, random weights\n\n"
        f"{written(numbers.forms)}{unet_in_int8(numbers.forms)}{tiny_shares(numbers.forms)}\n\n"
        f"DiffHarmony served in INT8, {numbers.steps} steps:\n\n{times(numbers.milliseconds)}\n\n"
        f"That is {numbers.over_bare:.3f} times the bare networks in INT8; diffusers' modules in eager mode take "
        f"{numbers.eager_over_ours:.2f} times as long. The server has {gigabytes(numbers.server_mib)}."
    )


def unet_in_int8(forms: Mapping[str, Forms]) -> str:
    """A paragraph on how far its step is from the machine's limit; empty where that was not measured."""
    unet = forms[network(LARGEST)]
    if unet.limit is None:
        return ""
    rate = unet.limit.rate(OPENVINO_INT8, unet.milliseconds[OPENVINO_INT8]["p50"])
    most = unet.limit.most(OPENVINO_INT8)
    return (
        f"\n\nA step of the UNet in INT8 does {significant(rate)} GFLOP/s, {rate / most:.2f} of the "
        f"{significant(most)} GFLOP/s of this machine's product of matrices in INT8."
    )


def tiny_shares(forms: Mapping[str, Forms]) -> str:
    """A paragraph on the time of the tiny networks over that of those whose place they take; empty without them."""
    said = []
    for role, tiny in ((role, network(part)) for role, part in TINY.items()):
        if tiny in forms:
            own, times = network(role), forms[tiny].milliseconds
            shares = {form: row["p50"] / forms[own].milliseconds[form]["p50"] for form, row in times.items()}
            said.append(f"`{tiny}` over `{own}`: " + ", ".join(f"{form} {each:.3f}" for form, each in shares.items()))
    return "\n\nTime of " + "; of ".join(said) + "." if said else ""
