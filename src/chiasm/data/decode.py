"""From any image that Pillow can open to a square of 8-bit RGB pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from chiasm.config import Fit
from chiasm.data.image_set import DataError

try:
    from pillow_heif import register_heif_opener
except ImportError:
    HAS_HEIF = False
else:
    register_heif_opener()
    HAS_HEIF = True

VERSION = 1
"""Raise it whenever the same file would give other pixels, so that old caches are left behind."""

CLOSE = 0.6
"""How much of the shorter side 'close' keeps: of portraits aligned as CelebA's about the face."""


DRAWN_BY_OTHERS = frozenset(["EPS", "WMF"])
"""Formats that are programs, for Ghostscript or Windows to run."""


class Decoded(NamedTuple):
    """An image ready for the networks: [3, side, side] uint8, and its width and height before."""

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


class Refused(NamedTuple):
    """Why an image cannot be used."""

    reason: str


def decode_image(image: Image.Image, side_px: int, fit: Fit = "crop") -> NDArray[np.uint8]:
    """Makes an image square, upright, opaque and 8-bit RGB.

    Orientation tags are obeyed, transparency is laid over white, 16-bit and float values are scaled
    rather than clipped, and of an animation the first frame is taken.

    Args:
        image: an image in any of Pillow's modes.
        side_px: height and width of the result.
        fit: 'crop' brings the shorter side to side_px and cuts out the centre; 'close' cuts out the middle three
            fifths of that; 'pad' brings the longer side to side_px and repeats the edge.

    Returns:
        [3, side_px, side_px] uint8.

    Raises:
        OSError: if the file behind the image is truncated or broken.
        ValueError: if the image has a mode that Pillow cannot turn into RGB, or another fit is asked for.
    """
    return _decode(image.copy(), side_px, fit).pixels  # a copy, for a JPEG is changed by what shrinks it


def read_image(path: str | Path, side_px: int, fit: Fit = "crop") -> NDArray[np.uint8]:
    """Reads an image file as decode_image does.

    Args:
        path: the file.
        side_px: height and width of the result.
        fit: 'crop', 'close' or 'pad', see decode_image.

    Returns:
        [3, side_px, side_px] uint8.

    Raises:
        DataError: if the file cannot be used; the message names it and the reason.
    """
    result = decode_file(path, side_px, fit)
    if isinstance(result, Refused):
        raise DataError(f"{path}: {result.reason}.")
    return result.pixels


def decode_file(path: str | Path, side_px: int, fit: Fit) -> Decoded | Refused:
    """Decodes a file as decode_or_refuse does; a pipe or a device, which might never end, is refused."""
    if os.path.exists(path) and not os.path.isfile(path):
        return Refused("not a file but a folder, a pipe, a socket or a device")
    return decode_or_refuse(lambda: Image.open(path, formats=_formats()), side_px, fit)


@cache
def _formats() -> list[str]:
    """What a file may hold, whatever its ending: all that Pillow reads but what it lets other programs draw."""
    Image.init()
    return [name for name in Image.OPEN if name not in DRAWN_BY_OTHERS]


def decode_or_refuse(open_image: Callable[[], Image.Image], side_px: int, fit: Fit) -> Decoded | Refused:
    """Decodes one image among many, where a bad one must not stop the rest.

    Args:
        open_image: opens the image, and may fail in doing so.
        side_px: height and width of the result.
        fit: 'crop', 'close' or 'pad', see decode_image.

    Returns:
        The pixels and the original size, or the reason for refusing.
    """
    try:
        with open_image() as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                return _refuse_bomb(image.width, image.height)
            return _decode(image, side_px, fit)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return _refuse_bomb()
    except FileNotFoundError:
        return Refused("the file does not exist")
    except PermissionError:
        return Refused("the file may not be read; change its permissions")
    except UnidentifiedImageError:
        return Refused("not an image in a format that Pillow knows")
    # Pillow's decoders raise OSError, SyntaxError, struct.error, IndexError and more on broken files.
    except Exception as error:
        return Refused(f"cannot be decoded ({type(error).__name__}: {error})")


def _refuse_bomb(*size: int) -> Refused:
    dimensions = f"{size[0]} x {size[1]} pixels, " if size else ""
    return Refused(f"too large ({dimensions}limit {Image.MAX_IMAGE_PIXELS} pixels); shrink it first")


def _decode(image: Image.Image, side_px: int, fit: Fit) -> Decoded:
    width, height = image.size
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that leaves twice the pixels needed.
    needed_px = round(2 * side_px / (CLOSE if fit == "close" else 1))
    image.draft(None, (needed_px, needed_px))
    upright = ImageOps.exif_transpose(image)
    size = (height, width) if turned else (width, height)
    return Decoded(_square(_rgb(upright), side_px, fit), size)


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB over white, whatever the mode."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bit(np.asarray(image), image.mode)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _eight_bit(values: NDArray, mode: str) -> NDArray[np.uint8]:
    """Integers fill 0 to 65535; floats the smallest of 0 to 1, 255 and 65535 that holds them."""
    values = np.nan_to_num(values.astype(np.float64))
    full_scale = 65535 if mode != "F" else next((s for s in (1, 255) if values.max() <= s), 65535)
    return np.rint(np.clip(values / full_scale, 0, 1) * 255).astype(np.uint8)


def _square(image: Image.Image, side_px: int, fit: Fit) -> NDArray[np.uint8]:
    width, height = image.size
    lanczos = Image.Resampling.LANCZOS
    if fit in ("crop", "close"):
        side = min(width, height) * (CLOSE if fit == "close" else 1)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        cropped = image.resize((side_px, side_px), lanczos, box=box, reducing_gap=3.0)
        return np.ascontiguousarray(np.asarray(cropped).transpose(2, 0, 1))
    if fit == "pad":
        scale = side_px / max(width, height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(image.resize(inner, lanczos, reducing_gap=3.0)).transpose(2, 0, 1)
        before = [(side_px - length) // 2 for length in pixels.shape[1:]]
        after = [side_px - length - b for length, b in zip(pixels.shape[1:], before, strict=True)]
        return np.pad(pixels, [(0, 0), (before[0], after[0]), (before[1], after[1])], mode="edge")
    raise ValueError(f"data.fit: got {fit!r}; give 'crop', 'close' or 'pad'.")
