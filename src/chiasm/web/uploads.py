"""What a browser may send: the limits in one place, and the checks."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from chiasm.config import Fit
from chiasm.data.decode import HAS_HEIF, Refused, decode_file
from chiasm.data.files import HEIF_EXTENSIONS
from chiasm.files import text_of

MAX_FILE_MB = 20
MAX_PIXELS = 64_000_000
MAX_MIXED = 8
MAX_GROUP = 500
MAX_WAITING_MB = 2000
"""Of all uploads together that the page keeps for mixing."""
FORMATS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "GIF": ".gif",
    "TIFF": ".tif",
    **({"HEIF": ".heic"} if HAS_HEIF else {}),
}
"""Those whose decoders run no other program, with the ending under which they are kept."""
LIMITS = (
    f"JPEG, PNG, WebP, {'HEIC, ' if HAS_HEIF else ''}GIF, BMP or TIFF; up to {MAX_FILE_MB} MB and "
    f"{MAX_PIXELS // 1_000_000} megapixels each"
)
CHECK_SIDE_PX = 64
MAX_NAME = 60


class Picture(NamedTuple):
    """An image as the model sees it, [3, side, side] uint8, and its name."""

    name: str
    pixels: NDArray[np.uint8]


def read_pictures(paths: Sequence[str], side_px: int, fit: Fit, limit: int) -> tuple[list[Picture], list[str]]:
    """The usable ones among uploaded files, and for each other one a sentence that says why not."""
    pictures, refused = [], [f"{len(paths)} files: only the first {limit} are used."] if len(paths) > limit else []
    for path in map(Path, paths[:limit]):
        reason = refuse(path)
        decoded = Refused(reason) if reason else decode_file(path, side_px, fit)
        if isinstance(decoded, Refused):
            refused.append(f"{path.name}: {decoded.reason}.")
        else:
            pictures.append(Picture(text_of(path.name), decoded.pixels))
    return pictures, refused


def refuse(path: Path) -> str:
    """Why a file is not even decoded; "" where it may be. Only its header is read."""
    if not path.is_file():  # as a group it is kept elsewhere
        return "not here any more; give it again"
    num_bytes = path.stat().st_size
    if num_bytes > MAX_FILE_MB * 1_000_000:
        return f"{num_bytes / 1e6:.0f} MB, the limit is {MAX_FILE_MB} MB; shrink it first"
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            image = Image.open(path, formats=list(FORMATS))
        with image:
            width, height = image.size
    except Image.DecompressionBombError:
        return f"far too many pixels, the limit is {MAX_PIXELS // 1_000_000} megapixels; shrink it first"
    except UnidentifiedImageError:
        remedy = "; pip install 'chiasm[heif]' reads these" if path.suffix.lower() in HEIF_EXTENSIONS else ""
        return f"not an image of a kind that this page takes{remedy}"
    # Pillow's decoders raise OSError, SyntaxError, struct.error and more on broken files.
    except Exception as error:
        return f"cannot be read ({type(error).__name__})"
    if width * height > MAX_PIXELS:
        return f"{width} x {height} pixels, the limit is {MAX_PIXELS // 1_000_000} megapixels; shrink it first"
    return ""


def keep_group(collection: Path, group: str, paths: Sequence[str]) -> tuple[int, list[str]]:
    """Copy uploaded images into the folder of a group.

    Args:
        collection: the folder of the collection.
        group: its name, as the user typed it.
        paths: the uploaded files.

    Returns:
        How many were kept, and for each other one a sentence that says why not.
    """
    folder = collection / safe_name(group)
    room = MAX_GROUP - len(list(folder.glob("*")))
    refused = [f"{len(paths)} files: a group holds {MAX_GROUP}, {room} more were taken."] if len(paths) > room else []
    num = 0
    for path in map(Path, paths[: max(room, 0)]):
        reason = refuse(path)
        decoded = Refused(reason) if reason else decode_file(path, CHECK_SIDE_PX, "crop")
        if isinstance(decoded, Refused):
            refused.append(f"{path.name}: {decoded.reason}.")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, _free(folder, path))
        num += 1
    return num, refused


def safe_name(text: str) -> str:
    """A name of one folder or file on every system, like what the user typed."""
    return re.sub(r"[^\w-]+", "-", text).strip("-_")[:MAX_NAME].strip("-_") or "unnamed"


def _free(folder: Path, upload: Path) -> Path:
    """A name for an upload that no other one has, with the ending of what it really is."""
    with Image.open(upload, formats=list(FORMATS)) as image:
        ending = FORMATS.get(image.format or "", ".img")
    stem, number = safe_name(upload.stem), 1
    path = folder / f"{stem}{ending}"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{ending}"
    return path
