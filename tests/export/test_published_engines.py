"""Every network at its published size, with random weights, is built as an engine: `make test-full`."""

from functools import partial
from pathlib import Path

import pytest

from benchmarks.floors import published
from benchmarks.floors.published import companions, pipeline, tiny_networks
from benchmarks.subjects import companions as names_of_companions
from export import candidates
from export.networks import (
    PARTS,
    clip_ht,
    diffir,
    isnet,
    ldm_inpainting,
    mobile_sam,
    mobile_sam_decoder,
    mobile_sam_encoder,
)
from export.onnx_file import publish
from export.pipelines import diffharmony
from export.pipelines import ldm_inpainting as ldm_pipeline
from export.runtime_form import Form, rewrite
from tests.export.test_engine import build, told

pytestmark = pytest.mark.full
FORM = Form(convolution="direct")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All networks, exported for GPUs."""
    folder = tmp_path_factory.mktemp("published") / "models"
    diffharmony.publish(pipeline(), folder, FORM)
    for model, network in companions():
        publish(network, model, folder, {}, partial(rewrite, form=FORM))
    for model, network in tiny_networks():
        publish(network, model, folder, {})
    seen = clip_ht.ServedClipHT(clip_ht.NETWORK.published["clip_ht"]()).eval()
    segmenting = mobile_sam.MobileSam(mobile_sam.MobileSamConfig()).eval()
    selecting = [
        (mobile_sam_encoder.NETWORK, mobile_sam_encoder.ServedMobileSamEncoder(segmenting)),
        (mobile_sam_decoder.NETWORK, mobile_sam_decoder.ServedMobileSamDecoder(segmenting)),
        (isnet.NETWORK, isnet.ServedIsNet(isnet.NETWORK.published["isnet"]()).eval()),
        (diffir.NETWORK, diffir.ServedDiffIR(diffir.NETWORK.published["diffir_s2_inpainting"]()).eval()),
    ]
    inpainting = ldm_inpainting.PUBLISHED["ldm_inpainting_big"]().eval()
    candidates.publish(ldm_pipeline.parts(inpainting, FORM), folder, {})
    for model, network in [*published.networks(), (clip_ht.NETWORK, seen), *selecting]:
        publish(network, model, folder, {})
    return folder


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    "model",
    ["cris", "dht", "ht", "clip_ht", "isnet", "diffir", *PARTS, *names_of_companions(), "tiny_encoder", "tiny_decoder"],
)
def test_the_engine_of_a_published_network_has_the_tensors_that_triton_is_told(repository, model, precision) -> None:
    record = build(repository, model, precision=precision)
    assert record["bindings"] == told(model)
    (repository / model / "1" / "model.plan").unlink()  # gigabytes
