"""CLIP-HT: its views are CLIP's, its checkpoint is told from those of its relatives, and it becomes a served model."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import open_clip
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from concord.clip_view import VIEW_SIZE, clip_view
from concord.scenes.scene import make_scene
from export.checkpoint import Checkpoint, CheckpointError
from export.convert import convert
from export.networks import clip_ht, dht, every, ht
from export.networks.clip import Clip, CrisConfig, Normalize, VisualTower
from export.networks.clip_ht import ClipHT, ClipHTConfig, ServedClipHT
from export.onnx_file import session
from tests.export import small
from tests.export.once import exported

NETWORK = clip_ht.NETWORK
SIDES = [(256, 256), (224, 224), (1, 256), (256, 1), (1, 1), (100, 133), (255, 254), (17, 90), (90, 17)]


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_a_view_is_that_of_clips_own_transform(height: int, width: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    expected = open_clip.image_transform(VIEW_SIZE, is_train=False)(Image.fromarray(picture))
    view = Normalize()(torch.from_numpy(clip_view(picture).copy())[None])
    torch.testing.assert_close(view[0], expected, atol=1e-6, rtol=0)


def test_each_input_changes_the_answer() -> None:
    network = ServedClipHT(small.clip_harmonizer())
    inputs = list(next(NETWORK.samples()))
    with torch.no_grad():
        expected = network(*inputs)
        for place, value in enumerate(inputs):
            changed = [*inputs[:place], value.flip(1), *inputs[place + 1 :]]
            assert place == 1 or (network(*changed) - expected).abs().max() > 1e-4
        assert (network(inputs[0], 1 - inputs[1], *inputs[2:]) - expected).abs().max() > 1e-4


def test_a_checkpoint_in_the_published_layout_becomes_the_served_model(tmp_path_factory) -> None:
    path = exported(tmp_path_factory, NETWORK) / NETWORK.name / "1" / "model.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    dims = {tensor.name: ["batch", *tensor.dims] for tensor in (*NETWORK.inputs, *NETWORK.outputs)}
    assert dims == {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    inputs = next(NETWORK.samples())
    with torch.no_grad():
        expected = ServedClipHT(small.clip_harmonizer())(*inputs).numpy()
    [answer] = session(path).run(None, NETWORK.feeds(inputs))
    np.testing.assert_allclose(answer, expected, atol=1e-4)


def test_the_text_tower_is_read_and_not_served(tmp_path_factory) -> None:
    model = onnx.load(exported(tmp_path_factory, NETWORK) / NETWORK.name / "1" / "model.onnx")
    assert not any("token_embedding" in weight.name or "ln_post" in weight.name for weight in model.graph.initializer)


def test_calibration_inputs_are_what_the_server_gives_the_network() -> None:
    [feeds] = NETWORK.seen(iter([make_scene(1_000_007, (256, 256))]), Path())
    assert {name: (value.dtype.name.upper(), value.shape) for name, value in feeds.items()} == {
        tensor.name: (tensor.kind, tensor.dims) for tensor in NETWORK.inputs
    }
    assert not np.array_equal(*(feeds[view] for view in clip_ht.VIEWS))


def on_meta(build, *arguments) -> nn.Module:
    with torch.device("meta"):
        return build(*arguments)


def with_resnet() -> nn.Module:
    network = ClipHT(ClipHTConfig())
    config = CrisConfig(image_size=224)
    network.clip_generator.clip_model = Clip(config, VisualTower(config))
    return network


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: ClipHT(ClipHTConfig(patch=16)), "12 layers, 768 wide, with patches of 16 pixels in 224 x 224"),
        (
            lambda: ClipHT(ClipHTConfig(patch=14, vision_width=1024, vision_layers=24, view_size=336)),
            "24 layers, 1024 wide, with patches of 14 pixels in 336 x 336",
        ),
        (with_resnet, "has no vision transformer"),
    ],
    ids=["B/16", "L/14@336", "ResNet"],
)
def test_a_clip_of_another_size_is_named(build, named: str) -> None:
    weights: dict[str, Tensor] = on_meta(build).state_dict()
    with pytest.raises(CheckpointError, match=named) as caught:
        NETWORK.source.load(Checkpoint(weights, "", ""))
    assert "wanted is a vision transformer of 12 layers, 768 wide, with patches of 32 pixels" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_goes_to_the_command_that_takes_it(tmp_path: Path) -> None:
    path = small.save_sized(small.clip_harmonizer(), small.CLIP_HT, tmp_path / "a.safetensors")
    for other in (ht.NETWORK, dht.NETWORK):
        taken = f"not a checkpoint of {other.name}, but of {NETWORK.name}: python -m export {NETWORK.name} takes it"
        with pytest.raises(CheckpointError, match=taken):
            convert(other, path, tmp_path / "models")
    config = small.harmonizer_config("ht_plus")
    plain = small.save_sized(small.harmonizer("ht_plus"), config, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match=f"not a checkpoint of {NETWORK.name}, but of ht"):
        convert(NETWORK, plain, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_the_relative_that_renders_light_is_nobodys() -> None:
    """CLIP-DHT, which is not exported here, has the light of DHT+ and the CLIP of CLIP-HT."""
    keys = {
        "clip_generator.clip_linear.0.weight",
        "reflectance_enc.model.0.conv.weight",
        "reflectance_transformer_dec.decoder.layers.0.norm1.weight",
        "light_generator.light_embed.weight",
        "illumination_dec.model.5.conv.weight",
    }
    assert not [network.name for network in every() if network.source and network.source.claims(keys)]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_its_engine_has_the_tensors_that_triton_is_told(tmp_path_factory, tmp_path: Path, precision: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    from tests.export.test_engine import build, told

    shutil.copytree(exported(tmp_path_factory, NETWORK), tmp_path, dirs_exist_ok=True)
    assert build(tmp_path, NETWORK.name, precision=precision)["bindings"] == told(NETWORK.name)
