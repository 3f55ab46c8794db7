from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import ExifTags, Image

from chiasm.data.decode import Refused, decode_image, decode_or_refuse, read_image


def test_crop_keeps_the_centre():
    image = Image.new("RGB", (24, 16), "black")
    image.paste("white", (4, 0, 20, 16))
    assert decode_image(image, 16, "crop").min() == 255


def test_pad_keeps_everything_and_repeats_the_edge():
    image = Image.new("RGB", (24, 16), "black")
    image.paste("white", (0, 0, 24, 8))
    pixels = decode_image(image, 24, "pad")
    assert pixels.shape == (3, 24, 24)
    assert (pixels[:, :12] == 255).all()
    assert (pixels[:, 12:] == 0).all()


@pytest.mark.parametrize("size", [(1, 500), (500, 1), (1, 1)])
@pytest.mark.parametrize("fit", ["crop", "close", "pad"])
def test_extreme_shapes(size, fit):
    assert (decode_image(Image.new("RGB", size, (9, 8, 7)), 8, fit)[0] == 9).all()


def test_unknown_fit_is_refused():
    # A TypeError where shapes and types are checked at run time.
    with pytest.raises((ValueError, TypeError), match="'stretch'"):
        decode_image(Image.new("RGB", (4, 4)), 4, "stretch")  # type: ignore[arg-type]  # the mistake under test


def test_channels_come_first_in_the_order_rgb():
    assert decode_image(Image.new("RGB", (24, 16), (10, 20, 30)), 4)[:, 0, 0].tolist() == [10, 20, 30]


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    assert abs(decode_image(Image.fromarray(stripes), 8).astype(int) - 127).max() <= 3


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_sixteen_bit_is_scaled_not_clipped(dtype):
    ramp = np.tile(np.linspace(0, 65535, 16).astype(dtype), (16, 1))
    row = decode_image(Image.fromarray(ramp), 16)[0, 0].astype(int)
    assert abs(row - np.linspace(0, 255, 16)).max() <= 1


def test_sixteen_bit_file(tmp_path):
    Image.fromarray(np.full((16, 24), 65535 // 2, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert set(read_image(tmp_path / "deep.png", 4).ravel().tolist()) <= {127, 128}


@pytest.mark.parametrize("full_scale", [1.0, 255.0, 65535.0])
def test_floats_are_scaled_by_their_range(full_scale):
    values = np.full((8, 8), full_scale / 2, dtype=np.float32)
    values[:, 4:] = full_scale
    pixels = decode_image(Image.fromarray(values), 8)
    assert 126 <= pixels[0, 0, 0] <= 129
    assert pixels[0, 0, 7] == 255


def test_grey_one_bit_and_cmyk():
    assert decode_image(Image.new("L", (24, 16), 77), 4)[:, 0, 0].tolist() == [77, 77, 77]
    assert decode_image(Image.new("1", (24, 16), 1), 4).min() == 255
    cyan = decode_image(Image.new("CMYK", (24, 16), (255, 0, 0, 0)), 4)[:, 0, 0]
    assert cyan[0] < 60 < 150 < cyan[2]


def test_cmyk_jpeg(tmp_path):
    Image.new("CMYK", (24, 16), (0, 255, 255, 0)).save(tmp_path / "print.jpg")
    red, green, blue = read_image(tmp_path / "print.jpg", 4)[:, 2, 2].tolist()
    assert red > 150 > 90 > max(green, blue)


def test_transparency_is_laid_over_white(tmp_path):
    clear = Image.new("RGBA", (24, 16), (200, 0, 0, 0))
    assert decode_image(clear, 4).min() == 255
    half = Image.new("LA", (24, 16), (0, 128))
    assert abs(int(decode_image(half, 4)[0, 0, 0]) - 127) <= 1
    palette = Image.new("P", (24, 16), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert decode_image(palette, 4)[:, 0, 0].tolist() == [10, 20, 30]
    palette.save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png", 4).min() == 255


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_orientation_is_obeyed(tmp_path, suffix):
    image = Image.new("RGB", (64, 32), "black")
    image.paste("white", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be shown turned clockwise by 90 degrees: white on top
    path = tmp_path / f"turned.{suffix}"
    image.save(path, exif=exif)
    result = decode_or_refuse(lambda: Image.open(path), 8, "pad")
    assert not isinstance(result, Refused)
    assert result.size == (32, 64)
    assert result.pixels[:, 0].min() > 240
    assert result.pixels[:, 7].max() < 15


def test_large_jpeg_is_drafted_and_keeps_its_size(tmp_path):
    Image.new("RGB", (800, 640), (40, 80, 120)).save(tmp_path / "large.jpg")
    result = decode_or_refuse(lambda: Image.open(tmp_path / "large.jpg"), 16, "crop")
    assert not isinstance(result, Refused)
    assert result.size == (800, 640)
    assert abs(result.pixels[:, 8, 8].astype(int) - [40, 80, 120]).max() <= 3


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (24, 16), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif", 4)[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("limit", [100, 300])  # 24 x 16 = 384: beyond twice the limit, and between
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_decompression_bomb_is_refused(tmp_path, monkeypatch, limit, action):
    Image.new("RGB", (24, 16)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with pytest.raises(ValueError, match=rf"bomb\.png: too large .*limit {limit}"):
            read_image(tmp_path / "bomb.png", 4)


def test_broken_files_are_named_with_the_reason(tmp_path):
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:2000])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no image")
    for name, reason in {
        "cut.jpg": "truncated",
        "empty.jpg": "not an image",
        "text.jpg": "not an image",
        "gone.jpg": "does not exist",
    }.items():
        with pytest.raises(ValueError, match=f"{name}: .*{reason}"):
            read_image(tmp_path / name, 4)


def test_an_image_that_was_handed_over_stays_as_it_is(tmp_path):
    Image.new("RGB", (800, 640), (40, 80, 120)).save(tmp_path / "large.jpg")
    with Image.open(tmp_path / "large.jpg") as image:
        decode_image(image, 16)
        assert image.size == (800, 640)
