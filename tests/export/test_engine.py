"""`python -m export engine` builds what the configurations tell Triton, or says what is in the way.

A plan is loaded only where there is a GPU; here its bindings are those of the network that it is built from.
"""

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from export import engine_profiles, tensorrt
from export.__main__ import main
from export.engine_profiles import EngineError, Profile
from export.networks import declared, every, tiny_decoder, tiny_encoder, vae_decoder, vae_encoder
from export.networks.unet import ServedUnet, with_levels
from export.networks.vae_decoder import ServedVaeDecoder
from export.networks.vae_encoder import ServedVaeEncoder
from export.onnx_file import publish
from export.publication import REPOSITORY
from export.runtime_form import Form, rewrite
from tests.commands import run
from tests.export import small_diffusion as small

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
CAPABILITY = "8.9"
PRECISIONS = [pytest.param("fp32", marks=pytest.mark.full), "fp16"]
DEMO = [network.name for network in every() if (REPOSITORY / network.name / "1" / "model.onnx").is_file()]
BEFORE = ("*_encoder/1", "*_tokenizer/1")


def build(repository: Path, model: str, **choices) -> dict:
    """Build an engine of TensorRT-RTX; its record."""
    tensorrt.build(model, repository, "tensorrt-rtx", compute_capability=CAPABILITY, **choices)
    return json.loads((repository / model / "1" / "model.plan.json").read_text())


def place_demo(repository: Path, model: str) -> Path:
    """The demo network of the project's repository, in another one, with what may run before it."""
    for folder, name in product((f"{model}/1", *BEFORE), ("model.onnx", "model.json", "vocabulary.txt")):
        for file in REPOSITORY.glob(f"{folder}/{name}"):
            place = repository / file.relative_to(REPOSITORY).parent
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    return repository / model / "1"


def place_graph(repository: Path, model: str, *nodes: onnx.NodeProto) -> Path:
    """A graph from A to B, FP32 [batch, 4, 4], in a repository."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4, 4]) for name in ("A", "B")]
    graph = helper.make_graph(list(nodes), "graph", tensors[:1], tensors[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    folder = repository / model / "1"
    folder.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), folder / "model.onnx")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def told(model: str) -> dict[str, str]:
    """What `config.pbtxt` tells Triton of the tensors, as a record says it."""
    network = declared(model)
    return {
        tensor.name: f"TYPE_{tensor.kind} " + "x".join(map(str, (-1, *tensor.dims)))
        for tensor in (*network.inputs, *network.outputs)
    }


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("model", DEMO)
def test_the_engine_of_a_demo_network_has_the_tensors_that_triton_is_told(tmp_path: Path, model, precision) -> None:
    folder = place_demo(tmp_path, model)
    record = build(tmp_path, model, precision=precision)
    assert record["bindings"] == told(model)
    assert (record["flavour"], record["compute_capability"], record["device"]) == ("tensorrt-rtx", CAPABILITY, None)
    assert record["precision"] == precision and bool(record["fp32_islands"]) == (precision == "fp16")
    assert bool(record.get("differences")) == (precision == "fp32")
    if declared(model).seen and precision == "fp16":
        assert record["snr_db"][0] > record["least_snr_db"]
    for name in ("onnx", "plan"):
        assert record[f"{name}_sha256"] == hashlib.sha256((folder / f"model.{name}").read_bytes()).hexdigest()
    assert sorted(contents(folder)) == ["model.json", "model.onnx", "model.plan", "model.plan.json"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_weights_that_lie_beside_the_network_are_found(tmp_path: Path, precision: str) -> None:
    folder = place_demo(tmp_path, "ht")
    network = onnx.load(folder / "model.onnx")
    onnx.save(network, folder / "model.onnx", save_as_external_data=True, location="weights-0.bin")
    assert (folder / "model.onnx").stat().st_size < (folder / "weights-0.bin").stat().st_size / 10
    assert build(tmp_path, "ht", precision=precision)["bindings"] == told("ht")
    assert (folder / "weights-0.bin").is_file()


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pipeline in the form that is exported for GPUs."""
    folder, vae, tiny = tmp_path_factory.mktemp("models"), small.vae(), small.tiny_vae()
    networks = (
        (with_levels(2), ServedUnet(small.unet(), torch.zeros(5, small.WIDTH))),
        (vae_decoder.NETWORK, ServedVaeDecoder(vae.decoder, vae.post_quant_conv, 0.18215)),
        (vae_encoder.NETWORK, ServedVaeEncoder(vae.encoder, vae.quant_conv, 0.18215)),
        (tiny_encoder.NETWORK, tiny_encoder.ServedTinyEncoder(tiny["encoder"])),
        (tiny_decoder.NETWORK, tiny_decoder.ServedTinyDecoder(tiny["decoder"])),
    )
    for model, network in networks:
        publish(network, model, folder, {}, partial(rewrite, form=Form(convolution="direct")))
    return folder


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("model", ["unet", "vae_decoder", "vae_encoder", "tiny_encoder", "tiny_decoder"])
def test_the_engine_of_a_diffusion_network_takes_every_resolution(direct: Path, model, precision) -> None:
    record = build(direct, model, precision=precision)
    assert record["bindings"] == told(model)
    assert {
        "unet": {
            "LATENT": "1x4x32x32,1x4x64x64,4x4x128x128",
            "TIMESTEP": "1x1,1x1,4x1",
            "LATENT_MASK": "1x1x32x32,1x1x64x64,4x1x128x128",
            "COMPOSITE_LATENT": "1x4x32x32,1x4x64x64,4x4x128x128",
        },
        "vae_decoder": {"LATENT": "1x4x32x32,1x4x64x64,1x4x128x128"},
        "vae_encoder": {"COMPOSITE": "1x256x256x3,1x512x512x3,1x1024x1024x3"},
    }[model.replace("tiny", "vae")] == record["profiles"]


def test_a_profile_takes_the_place_of_the_default(tmp_path: Path) -> None:
    place_demo(tmp_path, "latent_preview")
    name, profile = engine_profiles.read("LATENT:1x4x8x8,2x4x8x16,2x4x16x16")
    assert (name, profile) == ("LATENT", Profile((1, 4, 8, 8), (2, 4, 8, 16), (2, 4, 16, 16)))
    assert build(tmp_path, "latent_preview", profiles={name: profile})["profiles"] == {"LATENT": str(profile)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LATENTS:1x4x8x8,1x4x8x8,1x4x8x8", "--profile LATENTS: latent_preview has no such input; it has LATENT"),
        ("LATENT:1x3x8x8,1x4x8x8,1x4x8x8", "--profile LATENT: 1x3x8x8 is outside latent_preview's -1x4x-1x-1"),
        ("LATENT:1x4x8,1x4x8,1x4x8", "--profile LATENT: 1x4x8 is outside latent_preview's -1x4x-1x-1"),
        ("LATENT:0x4x8x8,1x4x8x8,1x4x8x8", "--profile LATENT: 0x4x8x8 is outside"),
        ("LATENT:1x4x8x8,1x4x16x8,1x4x8x8", "--profile LATENT: .* does not grow"),
    ],
)
def test_a_profile_that_the_network_does_not_have_names_the_input(tmp_path: Path, text: str, message: str) -> None:
    before = contents(place_demo(tmp_path, "latent_preview"))
    with pytest.raises(EngineError, match=message):
        build(tmp_path, "latent_preview", profiles=dict([engine_profiles.read(text)]))
    assert contents(tmp_path / "latent_preview" / "1") == before


@pytest.mark.parametrize(
    "text", ["LATENT", "1x4,1x4,1x4", "LATENT:1x4,1x4", "LATENT:1x4,1xn,1x4", "LATENT:1x4,1x4,1x4,"]
)
def test_a_profile_that_is_written_in_another_way_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match="is not INPUT:MIN,OPT,MAX"):
        engine_profiles.read(text)


def test_operators_that_are_not_taken_are_named_with_their_nodes(tmp_path: Path) -> None:
    nodes = helper.make_node("Det", ["A"], ["C"], "measure"), helper.make_node("Unique", ["C"], ["B"], "sort_out")
    folder = place_graph(tmp_path, "ht", *nodes)
    before = contents(folder)
    with pytest.raises(EngineError, match="does not take operator Det of node measure, operator Unique of node sort_"):
        build(tmp_path, "ht")
    assert contents(folder) == before


def test_a_network_with_other_tensors_than_its_configuration_is_refused(tmp_path: Path) -> None:
    place_graph(tmp_path, "ht", helper.make_node("Relu", ["A"], ["B"], "relu"))
    with pytest.raises(EngineError, match=r"A is TYPE_FP32 -1x4x4, not there, .*COMPOSITE_MASK is missing"):
        build(tmp_path, "ht")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_half_of_a_file_is_refused(tmp_path: Path, precision: str) -> None:
    path = place_demo(tmp_path, "ht") / "model.onnx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(EngineError, match=r"ht: .*model\.onnx"):
        build(tmp_path, "ht", precision=precision)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, EngineError, OSError])
def test_a_build_that_ends_early_leaves_the_engine_that_was_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise stop

    folder = place_demo(tmp_path, "latent_preview")
    build(tmp_path, "latent_preview")
    before = contents(folder)
    monkeypatch.setattr(tensorrt, "serialize", interrupted)
    with pytest.raises(stop):
        build(tmp_path, "latent_preview", precision="fp16")
    assert contents(folder) == before


@pytest.mark.filterwarnings("ignore:.*[Tt]iming cache")
def test_what_was_timed_is_kept_for_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT-RTX has the functions, and times nothing."""
    monkeypatch.setattr(tensorrt, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(tensorrt, "serialize", partial(as_tensorrt, tensorrt.serialize))
    place_demo(tmp_path, "latent_preview")
    for _ in range(2):
        build(tmp_path, "latent_preview")
        [kept] = (tmp_path / "cache").iterdir()
        assert kept.name.startswith("tensorrt-") and kept.name.endswith("-NVIDIA-GPU.timing")


def as_tensorrt(serialize: Callable, library: tensorrt.Library, *arguments: object) -> object:
    return serialize(replace(library, flavour="tensorrt", device="NVIDIA GPU"), *arguments)


def test_the_command_builds_an_engine_and_prints_a_line(tmp_path: Path) -> None:
    folder = place_demo(tmp_path, "latent_preview")
    arguments = ("latent_preview", "--flavour", "tensorrt-rtx", "--compute-capability", CAPABILITY)
    profile = ("--profile", "LATENT:1x4x8x8,1x4x8x8,1x4x8x8")
    finished = run(main, "engine", *arguments, *profile, "--precision", "fp16", "--model-repository", tmp_path)
    assert finished.returncode == 0, finished.stderr
    line = r"latent_preview: tensorrt-rtx [\d.]+ for 8\.9, fp16, \d\.\d MB, is now (.+)\n"
    found = re.fullmatch(line, finished.stdout)
    assert found and found[1] == str(folder / "model.plan"), finished.stdout


def test_the_command_ends_with_a_line_that_says_what_is_in_the_way(tmp_path: Path) -> None:
    finished = run(main, "engine", "dht", "--model-repository", tmp_path)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == f"export: dht: has no exported network ({tmp_path / 'dht' / '1' / 'model.onnx'})\n"
    assert not (tmp_path / "dht").exists()


def test_a_flavour_that_is_not_installed_says_which_package_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match="tensorrt is not installed: pip install tensorrt "):
        tensorrt.load("tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(EngineError, match="tensorrt-rtx is not installed: pip install tensorrt-rtx-cu13 "):
        tensorrt.load("tensorrt-rtx", CAPABILITY)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU at hand")
def test_without_a_gpu_the_compute_capability_must_be_named() -> None:
    with pytest.raises(EngineError, match=r"torch sees none \(or name one: --compute-capability\)"):
        tensorrt.load("tensorrt-rtx", None)


def test_a_compute_capability_that_is_not_built_for_lists_those_that_are() -> None:
    with pytest.raises(EngineError, match=r"7\.5, .*8\.9, .*, not for compute capability 9\.0"):
        tensorrt.load("tensorrt-rtx", "9.0")


def test_a_model_that_triton_does_not_serve_with_tensorrt_is_refused(tmp_path: Path) -> None:
    place_graph(tmp_path, "compose", helper.make_node("Relu", ["A"], ["B"], "relu"))
    with pytest.raises(EngineError, match="compose: has no profile tensorrt"):
        build(tmp_path, "compose")
