"""Every network at its published size, with random weights, is built as an engine: `make test-full`."""

from functools import partial
from pathlib import Path

import pytest
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.floors import published
from benchmarks.floors.published import companions, pipeline, tiny_networks
from benchmarks.subjects import companions as names_of_companions
from export import candidates, ldm_export
from export.networks import PARTS, clip_ht, diffir, isnet, ldm_inpainting, ldm_sr, ldm_text2img
from export.networks.latent_diffusion import LATENT_CHANNELS
from export.networks.text_encoder import SIZES
from export.networks.unet import INPAINTING
from export.onnx_file import publish
from export.pipelines import diffharmony, stable_diffusion
from export.pipelines import ldm as drawing_pipeline
from export.pipelines import ldm_inpainting as ldm_pipeline
from export.pipelines import ldm_sr as upscaling_pipeline
from export.pipelines.sam import FAMILIES
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
    selecting = [
        (isnet.NETWORK, isnet.ServedIsNet(isnet.NETWORK.published["isnet"]()).eval()),
        (diffir.NETWORK, diffir.ServedDiffIR(diffir.NETWORK.published["diffir_s2_inpainting"]()).eval()),
    ]
    inpainting = ldm_inpainting.PUBLISHED["ldm_inpainting_big"]().eval()
    candidates.publish(ldm_export.parts(inpainting, ldm_pipeline.served, FORM), folder, {})
    upscaling = ldm_sr.PUBLISHED["ldm_bsr_sr"]().eval()
    candidates.publish(ldm_export.parts(upscaling, upscaling_pipeline.served, FORM), folder, {})
    drawing = ldm_text2img.PUBLISHED["ldm_text2img_large"]().eval()
    candidates.publish(drawing_pipeline.parts(drawing, FORM), folder, {})
    unet = UNet2DConditionModel(**INPAINTING | {"in_channels": LATENT_CHANNELS}).eval()
    text = CLIPTextModel(CLIPTextConfig(**SIZES)).eval()
    told = stable_diffusion.TextToImage(unet, pipeline().vae, text)
    candidates.publish(stable_diffusion.parts(told, FORM), folder, {})
    for family in FAMILIES:
        network = family.source.build(family.source.published({})).eval()
        selecting += [(model, served(network)) for model, served in family.halves]
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
