import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from concord.server.embedded import EmbeddedServer
from concord.server.installation import ROOT
from tests.serving.asking import ask
from tests.serving.pictures import encoded, middle, photograph

PHOTOGRAPH = encoded(photograph(96, 64), "JPEG")
MASK = encoded(middle(96, 64))
GOOD = {"IMAGE": PHOTOGRAPH, "MASK": MASK}


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def deep() -> bytes:
    return encoded(Image.fromarray(np.full((8, 8), 40_000, np.uint16)))


BAD_IMAGES = {
    "empty": (b"", "[invalid_image] IMAGE: empty"),
    "no image": (b"GET / HTTP/1.1", "[invalid_image] IMAGE: "),
    "truncated": (PHOTOGRAPH[: len(PHOTOGRAPH) // 2], "[invalid_image] IMAGE: "),
    "bomb": (png_header(30_000, 30_000), "[image_too_large] IMAGE: "),
    "zero size": (png_header(0, 0), "[invalid_image] IMAGE: "),
    "CMYK": (encoded(Image.new("CMYK", (8, 8)), "JPEG"), "[unsupported_image] IMAGE: CMYK"),
    "16 bits": (deep(), "[unsupported_image] IMAGE: 16 bits"),
}
BAD_TEXTS = {
    "empty": (b"", "[invalid_text] TEXT: empty"),
    "blank": (b" \t\n ", "[invalid_text] TEXT: blank"),
    "not UTF-8": (b"the caf\xe9", "[invalid_text] TEXT: "),
}
BAD_MASKS = {
    "empty": (b"", "[invalid_image] MASK: empty"),
    "no image": (b"white", "[invalid_image] MASK: "),
    "another size": (encoded(middle(64, 96)), "[invalid_mask] MASK: 64x96 pixels"),
}
SEGMENTING = ("segment", "segment_harmonize_ht")
BAD = [
    *(
        (model, "IMAGE", *case)
        for model in ("segment", "harmonize_ht", "segment_harmonize_ht")
        for case in BAD_IMAGES.items()
    ),
    *((model, "TEXT", *case) for model in SEGMENTING for case in BAD_TEXTS.items()),
    *(("harmonize_ht", "MASK", *case) for case in BAD_MASKS.items()),
]


def inputs_of(model: str) -> dict[str, bytes]:
    return {"IMAGE": PHOTOGRAPH, "TEXT": b"the ball"} if model in SEGMENTING else GOOD


def refusal(server: EmbeddedServer, model: str, inputs: dict, protocol: str) -> str:
    with pytest.raises(InferenceServerException) as caught:
        ask(server, model, inputs, protocol)
    return str(caught.value.message())


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize(
    ("model", "field", "case"), [pytest.param(m, f, c, id=f"{m}-{f}-{name}") for m, f, name, c in BAD]
)
def test_bad_input_is_named_and_the_next_request_is_answered(server, protocol, model, field, case):
    value, expected = case
    message = refusal(server, model, inputs_of(model) | {field: value}, protocol)
    assert expected in message
    assert "; allowed: " in message
    assert str(ROOT) not in message and ".py" not in message and "Traceback" not in message
    assert len(ask(server, "harmonize_ht", GOOD, protocol)["HARMONIZED"].item()) > 0


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_text_that_is_too_long_is_cut_and_the_answer_says_so(server, protocol):
    long = b"the " + b"very " * 30 + b"red ball"
    assert ask(server, "segment", {"IMAGE": PHOTOGRAPH, "TEXT": long}, protocol)["TRUNCATED"].item() is True
    assert ask(server, "segment", {"IMAGE": PHOTOGRAPH, "TEXT": b"the ball"}, protocol)["TRUNCATED"].item() is False


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_an_unknown_model_is_named(server, protocol):
    assert "'no_such_model'" in refusal(server, "no_such_model", GOOD, protocol)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_missing_input_is_refused(server, protocol):
    assert "MASK" in refusal(server, "harmonize_ht", {"IMAGE": PHOTOGRAPH}, protocol)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_tensor_of_another_type_is_refused(server, protocol):
    assert "'IMAGE'" in refusal(server, "harmonize_ht", GOOD | {"IMAGE": np.zeros((1, 1), np.float32)}, protocol)


def test_pictures_of_different_sizes_in_one_request_are_refused_by_name(server):
    images = np.array([[encoded(photograph(40, 30))], [encoded(photograph(30, 40))]], dtype=object)
    assert "[invalid_image] PIXELS: the samples of one request differ in size" in refusal(
        server, "decode", {"IMAGE": images}, "grpc"
    )


def test_pictures_of_one_size_in_one_request_are_each_answered(server):
    images = [photograph(40, 30), 255 - photograph(40, 30)]
    files = np.array([[encoded(image)] for image in images], dtype=object)
    masks = np.array([[encoded(np.zeros((30, 40), np.uint8))]] * 2, dtype=object)
    answer = ask(server, "decode", {"IMAGE": files})
    np.testing.assert_array_equal(answer["PIXELS"], images)
    assert ask(server, "harmonize_ht", {"IMAGE": files, "MASK": masks})["HARMONIZED"].shape == (2, 1)
