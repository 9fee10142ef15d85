"""What is read as it is meant to be seen, what is refused by name, and that bombs are refused before decoding."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from concord.errors import ConcordError, ImageTooLarge, InvalidImage, UnsupportedImage
from concord.images import decode_image
from concord.limits import Limits
from concord.png import encode_png

LIMITS = Limits()
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = RGB_PROFILE[:16] + b"GRAY" + RGB_PROFILE[20:]

UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


def encode(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **options)
    return buffer.getvalue()


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def gradient(height: int = 48, width: int = 80) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y * 255 // height, x * 255 // width, (x + y) * 255 // (height + width)], 2).astype(np.uint8)


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "JPEG", "MPO"])
def test_exif_orientation_is_applied(file_format: str, orientation: int) -> None:
    stored = np.kron(np.array([[[250, 0, 0], [0, 250, 0], [0, 0, 250]], [[250, 250, 0]] * 3]), np.ones((16, 16, 1)))
    image = Image.fromarray(stored.astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {}
    decoded = decode_image(encode(image, file_format, exif=exif, **options), LIMITS).pixels
    expected = UPRIGHT[orientation](stored.astype(np.uint8))
    assert decoded.shape == expected.shape
    tolerance = 30 if file_format in ("JPEG", "MPO") else 0
    difference = np.abs(decoded.astype(int) - expected)
    assert np.median(difference) <= tolerance / 5
    assert (difference > tolerance).mean() <= (0.2 if tolerance else 0)


def test_damaged_exif_does_not_hide_the_picture() -> None:
    encoded = encode(Image.fromarray(gradient()), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage")
    assert decode_image(encoded, LIMITS).pixels.shape == (48, 80, 3)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_formats_are_read_exactly(file_format: str) -> None:
    pixels = np.where(gradient() > 127, 255, 0).astype(np.uint8)
    assert np.array_equal(decode_image(encode(Image.fromarray(pixels), file_format), LIMITS).pixels, pixels)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_and_palette_become_rgb(mode: str) -> None:
    image = Image.fromarray(gradient()).convert(mode)
    pixels = decode_image(encode(image), LIMITS).pixels
    assert np.array_equal(pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_kept(mode: str) -> None:
    image = Image.fromarray(noise(20, 30, 4)).convert(mode)
    pixels = decode_image(encode(image), LIMITS).pixels
    assert pixels.shape == (20, 30, 4)
    assert np.array_equal(pixels, np.asarray(image.convert("RGBA")))


def test_transparent_colours_become_alpha() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:, 3:] = (10, 20, 30)
    for image, key in (
        (Image.fromarray(pixels), (10, 20, 30)),
        (Image.fromarray(pixels[..., 0]), 10),
        (Image.fromarray(pixels).quantize(2), Image.fromarray(pixels).quantize(2).getpixel((5, 0))),
    ):
        decoded = decode_image(encode(image, transparency=key), LIMITS).pixels
        assert decoded.shape == (4, 6, 4)
        assert (decoded[:, :3, 3] == 255).all()
        assert (decoded[:, 3:, 3] == 0).all()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_the_icc_profile_is_carried_over(file_format: str) -> None:
    encoded = encode(Image.fromarray(gradient()), file_format, icc_profile=RGB_PROFILE)
    decoded = decode_image(encoded, LIMITS)
    assert decoded.icc_profile == RGB_PROFILE
    written = Image.open(io.BytesIO(encode_png(decoded.pixels, decoded.icc_profile)))
    written.load()
    assert written.info["icc_profile"] == RGB_PROFILE
    assert np.array_equal(np.asarray(written), decoded.pixels)


@pytest.mark.parametrize("profile", [GREY_PROFILE, b"no profile at all", b""])
def test_a_profile_that_is_not_rgb_is_dropped(profile: bytes) -> None:
    encoded = encode(Image.fromarray(gradient()).convert("L"), icc_profile=profile)
    assert decode_image(encoded, LIMITS).icc_profile == b""


@pytest.mark.parametrize(
    ("encoded", "name"),
    [
        (encode(Image.new("CMYK", (8, 8)), "JPEG"), "CMYK"),
        (encode(Image.new("CMYK", (8, 8)), "TIFF"), "CMYK"),
        (encode(Image.new("LAB", (8, 8)), "TIFF"), "LAB"),
        (encode(Image.new("I;16", (8, 8)), "PNG"), "16 bits"),
        (encode(Image.new("I;16", (8, 8)), "TIFF"), "16 bits"),
        (encode(Image.new("I", (8, 8)), "TIFF"), "32 bits"),
        (encode(Image.new("F", (8, 8)), "TIFF"), "floating-point"),
        (png(2, 1, 16, 2, bytes(13)), "16 bits"),
        (png(2, 1, 16, 4, bytes(9)), "16 bits"),
        (png(2, 1, 16, 6, bytes(17)), "16 bits"),
    ],
    ids=["cmyk-jpeg", "cmyk-tiff", "lab", "grey16-png", "grey16-tiff", "i", "f", "rgb16", "la16", "rgba16"],
)
def test_what_would_lose_colour_is_refused_by_name(encoded: bytes, name: str) -> None:
    with pytest.raises(UnsupportedImage, match="IMAGE") as caught:
        decode_image(encoded, LIMITS)
    assert name in caught.value.problem
    assert "8 bits a channel" in caught.value.allowed


def test_a_tiff_of_16_bits_a_channel_is_refused_by_name() -> None:
    rows = bytes(6)
    entries = [(256, 1), (257, 1), (259, 1), (262, 2), (273, 8), (277, 3), (278, 1), (279, len(rows))]
    directory_at = 8 + len(rows)
    bits_at = directory_at + 2 + 12 * (len(entries) + 1) + 4
    fields = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries]
    fields.insert(2, struct.pack("<HHII", 258, 3, 3, bits_at))
    directory = struct.pack("<H", len(fields)) + b"".join(fields) + bytes(4) + struct.pack("<HHH", 16, 16, 16)
    with pytest.raises(UnsupportedImage, match="16 bits"):
        decode_image(b"II*\x00" + struct.pack("<I", directory_at) + rows + directory, LIMITS)


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused_by_name(file_format: str) -> None:
    frames = [Image.fromarray(noise(8, 8, 3, seed=seed)) for seed in range(3)]
    encoded = encode(frames[0], file_format, save_all=True, append_images=frames[1:])
    with pytest.raises(UnsupportedImage, match="animation"):
        decode_image(encoded, LIMITS)


def test_of_a_phones_several_pictures_the_first_is_taken() -> None:
    frames = [Image.new("RGB", (64, 32), colour) for colour in ("red", "blue")]
    decoded = decode_image(encode(frames[0], "MPO", save_all=True, append_images=frames[1:]), LIMITS)
    assert decoded.pixels.shape == (32, 64, 3)
    assert (decoded.pixels[..., 0] > 200).all()


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\x00",
        b"not an image",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n",
        b"P6 2 2 255 " + bytes(12),
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"RIFF\x00\x00\x00\x00WEBPVP8 ",
        b"II*\x00\x08\x00\x00\x00\xff\xff",
        b"BM" + bytes(60),
        png(0, 4, 8, 2, b""),
        png(4, 0, 8, 2, b""),
        encode_png(np.zeros((8, 8, 3), np.uint8))[:40],
    ],
)
def test_bytes_that_are_no_image_are_refused(encoded: bytes) -> None:
    with pytest.raises(InvalidImage, match=r"\[invalid_image\] IMAGE: .*; allowed: ") as caught:
        decode_image(encoded, LIMITS)
    assert "PIL" not in str(caught.value)
    assert "0x" not in str(caught.value) or "pixels" in str(caught.value)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_truncated_files_are_refused(file_format: str, kept: float) -> None:
    encoded = encode(Image.fromarray(noise(64, 96, 3)), file_format)
    with pytest.raises(InvalidImage):
        decode_image(encoded[: int(len(encoded) * kept)], LIMITS)


def test_damaged_files_are_errors_of_ours_or_pictures() -> None:
    generator = np.random.default_rng(0)
    for file_format in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
        whole = encode(Image.fromarray(gradient(24, 24)), file_format)
        for _ in range(60):
            damaged = bytearray(whole)
            for at in generator.integers(0, min(len(whole), 400), 4):
                damaged[at] = generator.integers(0, 256)
            try:
                pixels = decode_image(bytes(damaged), LIMITS).pixels
            except ConcordError:
                continue
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] in (3, 4)


@pytest.mark.parametrize(
    "encoded",
    [png(50_000, 50_000, 1, 0, b""), png(100_000, 100_000, 8, 6, b""), png(8_000, 5_001, 8, 2, b"")],
    ids=["2500-megapixels", "10000-megapixels", "just-too-many"],
)
def test_a_decompression_bomb_is_refused_from_its_header(encoded: bytes) -> None:
    with pytest.raises(ImageTooLarge, match="at most 40000000 pixels"):
        decode_image(encoded, LIMITS)


def test_limits_can_be_set() -> None:
    encoded = encode(Image.fromarray(gradient(48, 80)))
    decode_image(encoded, Limits(max_pixels=48 * 80, max_bytes=len(encoded)))
    with pytest.raises(ImageTooLarge, match="80x48 pixels; allowed: at most 3839 pixels"):
        decode_image(encoded, Limits(max_pixels=48 * 80 - 1))
    with pytest.raises(ImageTooLarge, match="bytes"):
        decode_image(encoded, Limits(max_bytes=len(encoded) - 1))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 32_766), (32_766, 1), (3, 5000)])
def test_any_aspect_ratio_is_read(width: int, height: int) -> None:
    assert decode_image(encode_png(noise(height, width, 3)), LIMITS).pixels.shape == (height, width, 3)


def test_a_side_beyond_the_geometrys_reach_is_refused() -> None:
    with pytest.raises(ImageTooLarge, match="32767x1 pixels; allowed: sides of at most 32766"):
        decode_image(encode_png(noise(1, 32_767, 3)), LIMITS)
