"""JPEG files are decoded to what Pillow decodes, and damaged ones are left to it."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from concord.errors import InvalidImage
from concord.images import decode_image
from concord.jpeg import decode_jpeg
from concord.limits import Limits
from concord.scenes.encoded import scene
from tests.serving.pictures import encoded, srgb_profile

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


def jpeg(height: int, width: int, mode: str = "RGB", **options: Any) -> bytes:
    image = Image.fromarray(scene().composite).resize((width, height)).convert(mode)
    return encoded(image, "JPEG", **options)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 900), (333, 251), (384, 512)])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_a_jpeg_is_decoded_as_pillow_does(height: int, width: int, *, progressive: bool, subsampling: str) -> None:
    file = jpeg(height, width, quality=85, progressive=progressive, subsampling=subsampling)
    pixels = decode_jpeg(file, height, width)
    assert pixels is not None
    assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(file))))
    assert np.array_equal(decode_image(file, Limits()).pixels, pixels)


@pytest.mark.parametrize("orientation", range(10))
def test_a_jpeg_is_turned_upright_as_pillow_does(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = jpeg(30, 50, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    assert np.array_equal(decode_image(file, Limits()).pixels, np.asarray(upright))


def test_the_colour_profile_of_a_jpeg_is_kept() -> None:
    assert decode_image(jpeg(8, 8, icc_profile=srgb_profile()), Limits()).icc_profile == srgb_profile()


def test_a_grey_jpeg_is_decoded_in_colour() -> None:
    file = jpeg(30, 50, "L")
    colours = Image.open(io.BytesIO(file)).convert("RGB")
    assert np.array_equal(decode_image(file, Limits()).pixels, np.asarray(colours))


@pytest.mark.parametrize(("height", "width"), [(50, 30), (29, 50), (31, 50), (30, 49), (1, 1)])
def test_a_file_of_another_size_than_it_is_said_to_have_is_none(height: int, width: int) -> None:
    assert decode_jpeg(jpeg(30, 50), height, width) is None


def test_a_file_that_is_cut_short_is_refused() -> None:
    file = jpeg(300, 500)[:-400]
    assert decode_jpeg(file, 300, 500) is None
    with pytest.raises(InvalidImage, match="damaged or truncated"):
        decode_image(file, Limits())


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_of_a_damaged_file_is_seen_what_pillow_sees(place: float) -> None:
    file = bytearray(jpeg(300, 500))
    middle = int(len(file) * place)
    file[middle : middle + 4] = b"\xff\xd9\x00\x00"
    damaged = bytes(file)
    assert decode_jpeg(damaged, 300, 500) is None
    try:
        seen = np.asarray(Image.open(io.BytesIO(damaged)))
    except OSError:
        with pytest.raises(InvalidImage):
            decode_image(damaged, Limits())
    else:
        assert np.array_equal(decode_image(damaged, Limits()).pixels, seen)
