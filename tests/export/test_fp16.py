"""FP16 networks: made of exported ones, judged before they are served, refused in words."""

import hashlib
import json
import shutil
from pathlib import Path

import onnx
import pytest

from concord.repository.profiles import FP16_FILE as FILE
from concord.variants import variants
from export import fp16
from export.engine_profiles import EngineError
from export.fp16 import build
from export.publication import REPOSITORY
from tests.export.test_engine import contents, place_demo
from tests.export.weights import weight_bytes


def test_a_network_in_half_is_smaller_and_computes_nearly_the_same(tmp_path: Path) -> None:
    folder = place_demo(tmp_path, "ht")
    build("ht", tmp_path, "fp16")
    record = json.loads((folder / f"{FILE}.json").read_text())
    assert record["onnx_sha256"] == hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert record["fp16_sha256"] == hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    assert record["fp32_islands"] and record["snr_db"][0] > record["least_snr_db"]
    assert (folder / "model.fp16.weights").stat().st_size < 0.6 * weight_bytes(folder / "model.onnx")
    onnx.checker.check_model(folder / FILE)


def test_a_network_in_half_is_a_form_that_can_be_trusted(tmp_path: Path) -> None:
    place_demo(tmp_path, "vae_decoder")
    for name in ("config.pbtxt", "configs/fp16.pbtxt"):
        (tmp_path / "vae_decoder" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "vae_decoder" / name).write_text((REPOSITORY / "vae_decoder" / name).read_text())
    build("vae_decoder", tmp_path, "fp16")
    form = variants([tmp_path])["vae_decoder"]["fp16"]
    assert (form.problem(), form.precision, form.compared_in) == ("", "fp16", "onnxruntime")


def test_a_network_that_computes_something_else_is_not_served(monkeypatch, tmp_path: Path) -> None:
    folder = place_demo(tmp_path, "ht")
    before = contents(folder)
    monkeypatch.setattr(fp16, "LEAST_SNR", 190.0)
    with pytest.raises(EngineError, match=r"ht: it would answer with .* dB .* at least 190 .* left as it was"):
        build("ht", tmp_path, "fp16")
    assert contents(folder) == before


def test_a_repository_without_the_network_before_it_is_named(tmp_path: Path) -> None:
    place_demo(tmp_path, "vae_decoder")
    shutil.rmtree(tmp_path / "vae_encoder")
    with pytest.raises(EngineError, match="vae_encoder: has no exported network"):
        build("vae_decoder", tmp_path, "fp16")


@pytest.mark.parametrize(
    ("model", "precision", "words"),
    [
        ("cris", "fp32", "onnxruntime reads model.onnx itself"),
        ("compose", "fp16", "compose: has no exported network"),
        ("latent_preview", "fp16", "the profile fp16 is for cris, ht, .*vae_decoder, .*tiny_decoder$"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(model: str, precision: str, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        build(model, REPOSITORY, precision)
