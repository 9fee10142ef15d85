"""The clients and the command against the real server with its real pipelines."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage

from concord_client import AsyncClient, Client, DeadlineExceeded, InvalidInput, ModelNotFound
from concord_client.cancellation import Deadline
from concord_client.grpc_transport import AsyncGrpcTransport, GrpcTransport
from concord_client.http_transport import AsyncHttpTransport, HttpTransport
from concord_client.inference import Inference

HEIGHT, WIDTH = 120, 160


def encode(pixels, file_format="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=file_format)
    return buffer.getvalue()


def decode(encoded):
    return np.asarray(Image.open(io.BytesIO(encoded)))


@pytest.fixture(scope="module")
def pixels():
    """A red square on a shaded ground."""
    shades = np.linspace(40, 200, WIDTH, dtype=np.uint8)
    pixels = np.repeat(np.tile(shades, (HEIGHT, 1))[:, :, np.newaxis], 3, axis=2)
    pixels[40:80, 50:100] = (200, 30, 30)
    return pixels


@pytest.fixture(scope="module")
def mask():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[40:80, 50:100] = 255
    return mask


@pytest.fixture
def url(server, protocol):
    return server.grpc_url if protocol == "grpc" else server.http_url


@pytest.fixture
def client(url, protocol):
    with Client(url, protocol=protocol) as client:
        yield client


def test_models_lists_the_pipelines_with_their_tensors(client):
    models = {model.name: model for model in client.models()}
    pipelines = client.catalogue().pipelines
    for pipeline in pipelines:
        declared = models[pipeline.name]
        assert pipeline.inputs | set(pipeline.settings) == {tensor.name for tensor in declared.inputs} - {"TIMEOUT"}
        assert sorted(pipeline.outputs) == sorted(tensor.name for tensor in declared.outputs)
    tasks = {"edit", "generate", "harmonize", "inpaint", "segment", "select"}
    assert {pipeline.task for pipeline in pipelines} == tasks


def test_harmonizing_with_a_mask_changes_the_part_and_leaves_the_rest(client, pixels, mask):
    answer = client.harmonize(encode(pixels), mask=encode(mask))
    harmonized = decode(answer.image)
    far = np.ones((HEIGHT, WIDTH), bool)
    far[20:100, 30:120] = False
    assert (harmonized[far] == pixels[far]).all()
    assert (harmonized[mask > 0] != pixels[mask > 0]).any()


def test_text_gives_the_picture_its_mask_and_a_score(client, pixels):
    answer = client.harmonize(encode(pixels), text="the red square")
    assert decode(answer.image).shape == (HEIGHT, WIDTH, 3)
    assert decode(answer.mask).shape == (HEIGHT, WIDTH)
    assert set(np.unique(decode(answer.mask))) <= {0, 255}
    assert 0 <= answer.score <= 1
    assert not answer.truncated


def test_segmenting_gives_the_mask_that_harmonizing_uses(client, pixels):
    segmented = client.segment(encode(pixels), "the red square")
    harmonized = client.harmonize(encode(pixels), text="the red square")
    assert (segmented.mask, segmented.score) == (harmonized.mask, harmonized.score)


def test_what_a_point_shows_is_selected_best_first(client, pixels, mask):
    points = [(75, 60, 1), (20, 20, 0)]
    selected = client.select(encode(pixels), points=points)
    assert (decode(selected.masks[0]) == mask).mean() > 0.99
    assert len(selected.masks) == len(selected.scores) and list(selected.scores) == sorted(selected.scores)[::-1]
    assert client.select(encode(pixels), points=[75, 60, 1, 20, 20, 0]) == selected
    boxed = client.select(encode(pixels), box=(45, 35, 105, 85), model="grabcut")
    assert (decode(boxed.masks[0]) == mask).mean() > 0.99


def test_both_clients_select_the_same(server, pixels):
    async def ask_async():
        async with AsyncClient(server.grpc_url) as client:
            return await client.select(encode(pixels), points=[(75, 60, 1)])

    with Client(server.grpc_url) as client:
        assert client.select(encode(pixels), points=[(75, 60, 1)]) == asyncio.run(ask_async())


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({}, "invalid_setting", "POINTS"),
        ({"points": []}, "invalid_points", "POINTS"),
        ({"points": [(1, 2)]}, "invalid_points", "POINTS"),
        ({"points": [(1, 2, 1), (3, 4)]}, "invalid_points", "POINTS"),
        ({"points": "here"}, "invalid_points", "POINTS"),
        ({"points": [(10**400, 2, 1)]}, "invalid_points", "POINTS"),
        ({"box": (0, 0, 500, 20)}, "invalid_points", "BOX"),
    ],
    ids=["nothing", "no points", "pairs", "ragged", "words", "huge", "outside"],
)
def test_points_and_boxes_that_cannot_be_are_refused_by_name(client, pixels, given, code, field):
    with pytest.raises(InvalidInput) as refusal:
        client.select(encode(pixels), **given)
    assert (refusal.value.code, refusal.value.field) == (code, field) and refusal.value.allowed


def test_the_command_writes_the_best_mask_and_the_others_beside_it(concord, server, pixels, mask, tmp_path):
    (tmp_path / "photo.png").write_bytes(encode(pixels))
    out = tmp_path / "mask.png"
    asked = ("select", "--image", tmp_path / "photo.png", "--points", "75,60,1", "--points", "20,20,0", "-o", out)
    run = concord(*asked, "--url", server.grpc_url)
    assert (run.returncode, run.stderr) == (0, "")
    scores = run.stdout.removeprefix("scores ").split()
    written = [out, *(tmp_path / f"mask-{number}.png" for number in range(2, len(scores) + 1))]
    assert sorted(tmp_path.glob("mask*.png")) == sorted(written)
    assert (decode(out.read_bytes()) == mask).mean() > 0.99


def test_an_unwanted_mask_is_not_sent(client, pixels):
    assert client.harmonize(encode(pixels), text="the red square", return_mask=False).mask is None


def test_both_clients_and_both_protocols_give_the_same_bytes(server, pixels, mask):
    def ask(url, protocol):
        with Client(url, protocol=protocol) as client:
            return client.harmonize(encode(pixels), mask=encode(mask)).image

    async def ask_async(url, protocol):
        async with AsyncClient(url, protocol=protocol) as client:
            return (await client.harmonize(encode(pixels), mask=encode(mask))).image

    addresses = [(server.grpc_url, "grpc"), (server.http_url, "http")]
    answers = [ask(*address) for address in addresses]
    answers += [asyncio.run(ask_async(*address)) for address in addresses]
    assert answers == answers[:1] * 4


def test_a_text_that_is_too_long_is_answered_and_said_to_be_cut(client, pixels):
    assert client.segment(encode(pixels), "the red square " * 20).truncated


@pytest.mark.parametrize("text", ["", "   ", "b\udce4r"], ids=["empty", "blank", "not UTF-8"])
def test_a_text_that_cannot_be_used_is_refused_by_name(client, pixels, text):
    with pytest.raises(InvalidInput) as refusal:
        client.segment(encode(pixels), text)
    assert (refusal.value.code, refusal.value.field) == ("invalid_text", "TEXT")
    assert refusal.value.allowed


def test_bad_images_and_masks_are_refused_by_name_and_the_next_request_is_answered(client, pixels, mask):
    image = encode(pixels)
    for bad_image in (b"", b"no image", encode(pixels, "JPEG")[:400]):
        with pytest.raises(InvalidInput) as refusal:
            client.harmonize(bad_image, mask=encode(mask))
        assert (refusal.value.code, refusal.value.field) == ("invalid_image", "IMAGE")
        assert refusal.value.allowed
    with pytest.raises(InvalidInput) as refusal:
        client.harmonize(image, mask=encode(mask[:50]))
    assert (refusal.value.code, refusal.value.field) == ("invalid_mask", "MASK")
    assert decode(client.harmonize(image, mask=encode(mask)).image).shape == pixels.shape


def test_an_all_black_mask_gives_the_picture_back(client, pixels, mask):
    answer = client.harmonize(encode(pixels), mask=encode(np.zeros_like(mask)))
    assert (decode(answer.image) == pixels).all()


@pytest.mark.parametrize("blocking", [True, False])
def test_an_unknown_pipeline_is_not_found(client, protocol, blocking):
    kinds = {"grpc": (AsyncGrpcTransport, GrpcTransport), "http": (AsyncHttpTransport, HttpTransport)}

    async def ask():
        transport = kinds[protocol][blocking](client.address)
        with pytest.raises(ModelNotFound, match="nonsense"):
            await transport.infer(Inference("nonsense", {"IMAGE": b"x"}, ("MASK",)), Deadline(10.0))
        await transport.close()

    asyncio.run(ask())


def test_a_deadline_that_passes_leaves_the_server_well(server, pixels):
    # Over HTTP, where it is the client's alone: Triton 2.51 may crash on a gRPC deadline of a few milliseconds.
    with Client(server.http_url, protocol="http") as client:
        with pytest.raises(DeadlineExceeded):
            client.segment(encode(pixels), "the red square", timeout=0.001)
        assert decode(client.segment(encode(pixels), "the red square").mask).shape == pixels.shape[:2]


def test_a_folder_run_on_the_real_server(concord, server, pixels, tmp_path):
    for name in ("ein Bild ü.png", "画像.jpg"):
        (tmp_path / name).write_bytes(encode(pixels, "JPEG" if name.endswith("jpg") else "PNG"))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    out = tmp_path / "out"
    run = concord(
        *("harmonize", "--images", tmp_path, "--text", "the red square", "--output-dir", out),
        *("--url", server.grpc_url),
    )
    assert run.returncode == 1
    assert "2 of 3 images done" in run.stderr
    assert "broken.jpg: [invalid_image] IMAGE: " in run.stderr
    assert sorted(path.name for path in out.iterdir()) == ["ein Bild ü.png", "report.json", "画像.png"]
    assert all(decode(path.read_bytes()).shape == (HEIGHT, WIDTH, 3) for path in out.glob("*.png"))


def test_the_command_writes_layers_and_takes_a_strength(concord, url, protocol, pixels, mask, tmp_path):
    (tmp_path / "photo.png").write_bytes(encode(pixels))
    (tmp_path / "mask.png").write_bytes(encode(mask))
    for out in ("out.png", "out.psd"):
        named = ("--image", tmp_path / "photo.png", "--mask", tmp_path / "mask.png", "-o", tmp_path / out)
        run = concord("harmonize", *named, "--strength", "1.25", "--url", url, "--protocol", protocol)
        assert (run.returncode, run.stderr) == (0, "")
    layers = PSDImage.open(tmp_path / "out.psd").composite(force=True).convert("RGB")
    np.testing.assert_array_equal(np.asarray(layers), decode((tmp_path / "out.png").read_bytes()))
    run = concord("harmonize", *named, "--strength", "2", "--url", url, "--protocol", protocol)
    assert run.returncode == 2 and "strength: is 2.0; allowed: a number from 0.0 to 1.5" in run.stderr
