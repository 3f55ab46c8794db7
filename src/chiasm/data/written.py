"""Images that chiasm writes, with a mark by which it never reads them as data."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from chiasm.data.image_set import DataError
from chiasm.files import write_atomically

SOFTWARE = {"Software": "chiasm"}
"""The text in a PNG file that says what wrote it; matplotlib takes it as `metadata`."""

WRITTEN = "written by chiasm"
"""Why such an image is left out."""

MAX_JPEG = 65_500
"""Pixels of a side, as Pillow's library has it."""
_MARK = b"Software\0chiasm"
_HEAD_BYTES = 1024


def save_image(image: Image.Image, path: Path) -> None:
    """Write a whole PNG or JPEG file, by its ending, with the mark.

    Raises:
        DataError: if the image is larger than a JPEG may be.
    """
    if path.suffix.lower() == ".png":
        text = PngInfo()
        text.add_text(*next(iter(SOFTWARE.items())))
        write_atomically(path, lambda file: image.save(file, "PNG", pnginfo=text))
    else:
        if max(image.size) > MAX_JPEG:
            raise DataError(f"{path}: {image.width} x {image.height} pixels are too many for a JPEG; write a .png.")
        write_atomically(path, lambda file: image.save(file, "JPEG", quality=95, comment=_MARK))


def is_written(path: Path) -> bool:
    """Whether an image file has the mark."""
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg") or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return _MARK in file.read(_HEAD_BYTES)
    except OSError:  # it is refused with the reason when it is decoded
        return False
