"""Files that would take a reader minutes are refused by what they are made of, in a moment; ordinary ones are not."""

import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmarks.drills import hostile
from concord.apart import Apart, Bounds
from concord.decoding import decoded_apart
from concord.errors import ConcordError, InvalidImage, TooComplex, UnsupportedImage
from concord.images import cheap_file, decode_image, read_header
from concord.limits import MAX_COUNTS, Limits
from concord.masks import decode_mask
from concord.outline import Outline
from tests.serving.pictures import encoded, photograph, srgb_profile

LIMITS = Limits()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


DEAR = {
    "scans": hostile.scan_jpeg(20, 64),
    "tiff": encoded(photograph(64, 48), "TIFF", compression="tiff_lzw", icc_profile=srgb_profile()),
    "turned_tiff": encoded(photograph(64, 48), "TIFF", exif=turned()),
    "lossless_webp": encoded(photograph(64, 48, 4), "WEBP", lossless=True, exact=True),
}
CHEAP = {
    "jpeg": encoded(photograph(64, 48), "JPEG", exif=turned(), icc_profile=srgb_profile()),
    "progressive_jpeg": encoded(photograph(64, 48), "JPEG", progressive=True),
    "png": encoded(photograph(64, 48)),
    "gif": encoded(photograph(64, 48), "GIF", comment="a" * 3000),
    "webp": encoded(photograph(64, 48), "WEBP", exif=turned()),
    "bmp": encoded(photograph(64, 48), "BMP"),
}
# As much of each as is allowed.
MOST = {
    "comments_gif": hostile.comment_gif(490),
    "long_comment_gif": hostile.long_comment_gif(990),
    "chunks_png": hostile.chunk_png(990),
    "segments_jpeg": hostile.comment_jpeg(980),
    "profiles_png": hostile.profile_png(95),
}


@pytest.mark.parametrize("kind", hostile.REFUSED)
def test_a_file_that_is_too_dear_is_refused_at_once(kind):
    file = hostile.REFUSED[kind]()
    began = time.process_time()
    with pytest.raises(TooComplex, match=r"\[too_complex\] MASK: too many .*; allowed: at most \d+ ") as refused:
        read_header(file, LIMITS, "MASK")
    assert time.process_time() - began < 1
    assert refused.value.allowed in [f"at most {most} {each}" for each, most in MAX_COUNTS.items()]


@pytest.mark.parametrize("file", MOST.values(), ids=MOST)
def test_of_what_is_allowed_the_most_is_read_in_moments(file):
    began = time.process_time()
    decode_image(file, LIMITS)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("file", CHEAP.values(), ids=CHEAP)
def test_ordinary_files_are_decoded_in_place(file, monkeypatch):
    monkeypatch.setattr("concord.images.decoded_apart", None)
    assert read_header(file, LIMITS, "IMAGE").is_cheap
    assert cheap_file(file, LIMITS, "IMAGE") is file
    assert decode_image(file, LIMITS).pixels.size == 64 * 48 * 3


@pytest.mark.parametrize("file", DEAR.values(), ids=DEAR)
def test_what_is_decoded_apart_is_the_same_picture(file, monkeypatch):
    apart, mask = decode_image(file, LIMITS), decode_mask(file, *decode_image(file, LIMITS).pixels.shape[:2], LIMITS)
    cheap = cheap_file(file, LIMITS, "IMAGE")
    assert Outline.of(cheap, "IMAGE") == Outline("PNG")
    monkeypatch.setattr("concord.images.read_header", lambda *given: replace(read_header(*given), is_cheap=True))
    in_place = decode_image(file, LIMITS)
    assert np.array_equal(apart.pixels, in_place.pixels) and apart.icc_profile == in_place.icc_profile
    assert np.array_equal(mask, decode_mask(file, *in_place.pixels.shape[:2], LIMITS))
    assert np.array_equal(decode_image(cheap, LIMITS).pixels, in_place.pixels)


def test_a_picture_whose_png_would_be_too_large_stays_as_it_is():
    file = encoded(photograph(64, 48), "WEBP", lossless=True)
    assert cheap_file(file, Limits(max_bytes=len(file)), "IMAGE") is file


def test_what_takes_too_long_is_killed():
    decode = Apart("tests.concord.endless", "decode", Bounds(1, 120, 2**30))
    with pytest.raises(TooComplex, match="MASK: it takes long to decode; allowed: at most 1 seconds of a processor"):
        decode(b"", "MASK")


def test_what_takes_long_on_a_busy_machine_is_killed(monkeypatch):
    monkeypatch.setattr("concord.decoding.DECODING_PATIENCE", 0.01)
    with pytest.raises(TooComplex, match=r"IMAGE: it takes long to decode; allowed: at most 0.01 seconds"):
        decoded_apart(hostile.scan_jpeg(100), LIMITS, "IMAGE")


def test_what_takes_much_memory_is_refused(monkeypatch):
    monkeypatch.setattr("concord.decoding.DECODING_BYTES_PER_PIXEL", 0)
    with pytest.raises(TooComplex, match="IMAGE: it takes much memory to decode; allowed: at most 512 MiB"):
        decoded_apart(encoded(Image.new("RGBA", (6_324, 6_324)), "TIFF", compression="tiff_lzw"), LIMITS, "IMAGE")


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (DEAR["tiff"][:-3000], InvalidImage),
        (encoded(Image.new("CMYK", (8, 8)), "TIFF"), UnsupportedImage),
        (b"no picture", InvalidImage),
    ],
    ids=["damaged", "cmyk", "none"],
)
def test_errors_of_the_process_are_those_of_reading_in_place(file, kind):
    with pytest.raises(kind, match=r"\] MASK: "):
        decoded_apart(file, LIMITS, "MASK")


def test_a_second_frame_is_found_without_reading_what_follows():
    frames = [Image.fromarray(photograph(8, 8)), Image.fromarray(255 - photograph(8, 8))]
    for form in ("GIF", "PNG", "WEBP"):
        file = encoded(frames[0], form, save_all=True, append_images=[frames[1]] * 2000)
        with pytest.raises(UnsupportedImage, match="animation"):
            read_header(file, LIMITS, "IMAGE")


def test_damaged_outlines_are_errors_of_ours_or_pictures():
    random = np.random.default_rng(0)
    for file in (*CHEAP.values(), hostile.scan_jpeg(20, 64), DEAR["tiff"], DEAR["lossless_webp"]):
        for _ in range(40):
            damaged = bytearray(file[: random.integers(1, len(file) + 1)])
            for at in random.integers(0, min(len(damaged), 400), 4):
                damaged[at] = random.integers(0, 256)
            with suppress(ConcordError):
                read_header(bytes(damaged), LIMITS, "IMAGE")
