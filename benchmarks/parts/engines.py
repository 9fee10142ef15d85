"""The networks at published sizes in every engine and precision, alternating; and the pipelines served in INT8.

Weights are random, from a seed, for timing only.
"""

import gc
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime
import openvino  # type: ignore[import-untyped]
import torch
from google.protobuf import json_format  # type: ignore[import-untyped]

from benchmarks.floors import diffusion as bare_diffusion
from benchmarks.floors import networks as bare
from benchmarks.floors import published
from benchmarks.floors.networks import Feeds, running, sample
from benchmarks.parts.diffusion import asking as asking_diffusion
from benchmarks.parts.published_diffusion import COMPANIONS, SIZE, export_networks, pipeline, placed, serving
from benchmarks.parts.segment_harmonize import asking as asking_text
from concord.instruments.markdown import significant, table, times
from concord.instruments.memory import MIB, resident
from concord.instruments.timing import THREADS, Calls, in_turns, percentiles
from concord.loops.request import DEFAULT_STEPS
from concord.openvino_properties import properties
from concord.repository.profiles import INT8_FILE
from concord.scenes.encoded import scene_jpeg
from concord.server.installation import MODEL_REPOSITORIES
from concord.session import session_options
from concord.variants import DEFAULT, variants
from concord_client import Client, Diffusion
from export import direct_form, quantization
from export.network import Network
from export.networks import cris, dht, ht, latent_preview
from export.networks.harmonizer import ServedHarmonizer
from export.onnx_file import publish, session
from export.publication import MODEL

INT8 = "int8"
EAGER, DIRECT = "PyTorch eager", "ONNX Runtime"
PROFILES = {"Concord": DEFAULT, "OpenVINO": "openvino", "OpenVINO BF16": "bf16", "OpenVINO INT8": INT8}
LARGEST, ESSENTIAL = ("unet",), ("Concord", "OpenVINO INT8")  # more variants of the largest do not fit into memory
SAMPLES = 10  # samples for INT8's calibration: enough for random weights
DIFFUSION = ("vae_encoder", "unet", "vae_decoder")

Form = Mapping[str, Any]


def engines(text_guided: Path, harmonizer: Path, rounds: int = 5) -> dict[str, Any]:
    """CRIS R50, DHT+ and HT+ in every variant, then CRIS with each of the two served in INT8.

    Args:
        text_guided, harmonizer: folders that keep the exported networks between runs: CRIS and DHT+, and HT+.
    """
    served = published.networks()
    published.repository(MODEL_REPOSITORIES[0], text_guided, served)
    torch.manual_seed(0)
    light = ServedHarmonizer(ht.NETWORK.published["ht_plus"]()).eval()
    if not (harmonizer / ht.NETWORK.name / "1" / MODEL).exists():
        publish(light, ht.NETWORK, harmonizer, {"network": "published size, random weights"})
    networks = {model.name: (text_guided, model, network) for model, network in served}
    networks[ht.NETWORK.name] = (harmonizer, ht.NETWORK, light)
    forms = {
        name: measured(model.name, folder, sample(model), bare.eager(network, model, THREADS), rounds)
        for name, (folder, model, network) in networks.items()
    }
    pipelines = {
        f"cris + {model.name}": pipeline_in_int8(
            {cris.NETWORK: text_guided, model: networks[model.name][0]}, forms["cris"], forms[model.name], rounds
        )
        for model in (dht.NETWORK, ht.NETWORK)
    }
    return {"forms": forms, "pipelines": pipelines}


def engines_diffusion(folder: Path, text_guided: Path, rounds: int = 2) -> dict[str, Any]:
    """The three networks of a diffusion at 512 pixels in every variant, then all of them served in INT8.

    Args:
        folder, text_guided: see `published_diffusion.diffusion_published`.
        rounds: of every network; one more of the whole.
    """
    export_networks(folder)
    published.repository(MODEL_REPOSITORIES[0], text_guided, published.networks())
    feeds = bare_diffusion.feeds(SIZE)
    eager = bare_diffusion.eager(pipeline(), SIZE, THREADS)
    calls = dict(zip(DIFFUSION, (eager.encode, eager.denoise, eager.decode), strict=True))
    forms = {name: measured(name, folder, feeds, call, rounds) for name, call in calls.items()}
    for model in (cris.NETWORK, dht.NETWORK):
        build_int8(model.name, text_guided)
    networks = placed(folder, text_guided)
    with (
        serving(networks, (*COMPANIONS, latent_preview.NETWORK.name), INT8) as server,
        Client(server.grpc_url) as client,
    ):
        ask = asking_diffusion(client, Diffusion(seed=0, steps=1, resolution=SIZE))
        floor = bare_diffusion.Networks(*(loaded(name, folder, INT8, feeds) for name in DIFFUSION))
        for call in (ask, partial(floor.harmonize, 1), partial(eager.harmonize, 1)):
            call()
        whole: dict[str, Callable[[], object]] = {
            "diffharmony": asking_diffusion(client, Diffusion(seed=0, steps=DEFAULT_STEPS, resolution=SIZE)),
            "bare": partial(floor.harmonize, DEFAULT_STEPS),
            "eager": partial(eager.harmonize, DEFAULT_STEPS),
        }
        milliseconds = {name: percentiles(times) for name, times in in_turns(whole, rounds + 1, warm=0).items()}
        memory = resident(server.processes()) / MIB
    ours = milliseconds["diffharmony"]["p50"]
    return {
        "forms": forms,
        "steps": DEFAULT_STEPS,
        "resolution": SIZE,
        "milliseconds": milliseconds,
        "over_bare": ours / milliseconds["bare"]["p50"],
        "eager_over_ours": milliseconds["eager"]["p50"] / ours,
        "server_mib": memory,
    }


def pipeline_in_int8(folders: Mapping[Network, Path], first: Form, second: Form, rounds: int) -> dict[str, Any]:
    """Text to harmonized image, a 512x512 JPEG, served in INT8, and its two networks alone, alternating.

    Args:
        folders: with each of the two networks.
        first, second: results of `measured` for them.
    """
    networks = {model.name: folder / model.name / "1" for model, folder in folders.items()}
    without = (*COMPANIONS, latent_preview.NETWORK.name, *DIFFUSION)
    with serving(networks, without, INT8) as server, Client(server.grpc_url, timeout=300) as client:
        calls: Calls = {
            "segment_harmonize": asking_text(client, scene_jpeg(512, 512)),
            **{model.name: loaded(model.name, folder, INT8, sample(model)) for model, folder in folders.items()},
        }
        # The server adds a few hundredths, less than the difference between single rounds.
        milliseconds = {name: percentiles(times) for name, times in in_turns(calls, 4 * rounds).items()}
    ours = milliseconds["segment_harmonize"]["p50"]
    sums = {form: first["milliseconds"][form]["p50"] + second["milliseconds"][form]["p50"] for form in (EAGER, DIRECT)}
    return {
        "milliseconds": milliseconds,
        "over_bare": ours / sum(milliseconds[model.name]["p50"] for model in folders),
        "over_onnx_runtime": ours / sums[DIRECT],
        "eager_over_ours": sums[EAGER] / ours,
    }


def measured(name: str, folder: Path, feeds: Feeds, eager: Callable[[], object], rounds: int) -> Form:
    """Milliseconds of a network in every variant, alternating, and the record of its INT8 variant."""
    record = build_int8(name, folder)
    with TemporaryDirectory(dir=folder.parent) as place:  # left over from a killed run
        calls: Calls = {EAGER: eager, DIRECT: direct(folder / name / "1" / MODEL, Path(place), feeds)} | {
            form: loaded(name, folder, profile, feeds)
            for form, profile in PROFILES.items()
            if name not in LARGEST or form in ESSENTIAL
        }
        milliseconds = {form: percentiles(times) for form, times in in_turns(calls, rounds).items()}
    times = {form: row["p50"] for form, row in milliseconds.items()}
    return {
        "milliseconds": milliseconds,
        "eager_over": {form: times[EAGER] / each for form, each in times.items()},
        "over_onnx_runtime": {form: each / times[DIRECT] for form, each in times.items()},
        "int8": record,
    }


def direct(path: Path, place: Path, feeds: Feeds) -> Callable[[], object]:
    """The network as published, in ONNX Runtime's default session; `place` keeps its file meanwhile."""
    direct_form.write(path, place / MODEL)
    return running(session(place / MODEL, THREADS), feeds)


def loaded(name: str, folder: Path, profile: str, feeds: Feeds) -> Callable[[], object]:
    """A network in this process, with the profile's configuration."""
    variant = variants(MODEL_REPOSITORIES)[name][profile]
    settings, path = json_format.MessageToDict(variant.settings, preserving_proto_field_name=True), variant.file
    if variant.settings.backend == "openvino":
        compiled = openvino.Core().compile_model(folder / name / "1" / path, "CPU", properties(settings))
        request, inputs = (
            compiled.create_infer_request(),
            {tensor.any_name: feeds[tensor.any_name] for tensor in compiled.inputs},
        )
        return lambda: request.infer(inputs, share_inputs=True)
    return running(onnxruntime.InferenceSession(folder / name / "1" / path, session_options(settings)), feeds)


def build_int8(name: str, folder: Path) -> dict[str, Any]:
    """The record of a network's INT8 variant, which is built if it is missing; with its size in MB."""
    version = folder / name / "1"
    if not (version / INT8_FILE).exists():
        print(quantization.build(name, folder, "int8", number=SAMPLES), flush=True)
        gc.collect()
    record = json.loads((version / f"{INT8_FILE}.json").read_text())
    megabytes = (version / INT8_FILE).with_suffix(".bin").stat().st_size / 1e6
    return {"snr_db": record["snr_db"][0], "megabytes": megabytes}


def section(part: Form) -> str:
    """A section of the report with every variant of every network."""
    rows = [
        [
            f"`{name}`",
            form,
            float(row["p50"]),
            *(float(network[key][form]) for key in ("eager_over", "over_onnx_runtime")),
        ]
        for name, network in part["forms"].items()
        for form, row in network["milliseconds"].items()
    ]
    made = "; ".join(
        f"`{name}` {significant(each['int8']['megabytes'])} MB, {each['int8']['snr_db']:.1f} dB"
        for name, each in part["forms"].items()
    )
    text = table(["network", "form", "ms", "eager takes times as long", "over ONNX Runtime's default"], rows)
    return f"{text}\n\nINT8 on disk, and its signal to noise: {made}."


def text_guided_section(part: Form) -> str:
    pipelines = [
        f"Served in INT8, `{name}` takes {significant(each['milliseconds']['segment_harmonize']['p50'])} ms end to "
        f"end: {each['over_bare']:.3f} times the two bare networks in INT8, {each['over_onnx_runtime']:.2f} of what "
        f"they take in ONNX Runtime's default, and eager takes {each['eager_over_ours']:.2f} times as long."
        for name, each in part["pipelines"].items()
    ]
    title = "## Engines, published sizes: CRIS R50, DHT+ and HT+, random weights"
    return "\n\n".join((title, section(part), *pipelines))


def diffusion_section(part: Form) -> str:
    return (
        f"## Engines, published sizes: Stable Diffusion's networks at {part['resolution']} pixels, random weights\n\n"
        f"{section(part)}\n\nDiffHarmony served in INT8, {part['steps']} steps:\n\n{times(part['milliseconds'])}\n\n"
        f"That is {part['over_bare']:.3f} times the bare networks in INT8; diffusers' modules in eager mode take "
        f"{part['eager_over_ours']:.2f} times as long. The server has {part['server_mib'] * MIB / 1e9:.2f} GB."
    )
