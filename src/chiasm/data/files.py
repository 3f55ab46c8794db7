"""Finding image files on a disk, and telling whether they have changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from chiasm.config import Fit
from chiasm.data.decode import Decoded, Refused, decode_or_refuse

EXTENSIONS = frozenset(
    [
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
    ]
    + [".tga", ".tif", ".tiff", ".webp"]
)

FileState = tuple[str, int, int]
"""Relative path with '/', size in bytes, time of the last change in nanoseconds."""


def find_images(root: Path) -> list[FileState]:
    """Every image file of a tree, by its extension.

    Hidden files and folders are left out. Links to folders are followed unless they lead back to a
    folder that holds them.

    Args:
        root: the top folder.

    Returns:
        The files, sorted by path.
    """
    return sorted(_walk(root, "", frozenset()))


def _walk(folder: Path, prefix: str, ancestors: frozenset[tuple[int, int]]) -> Iterator[FileState]:
    here = folder.stat()
    identity = (here.st_dev, here.st_ino)
    if identity in ancestors:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", ancestors | {identity})
            elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                yield (f"{prefix}{entry.name}", *_size_and_time(entry))


def _size_and_time(entry: os.DirEntry[str]) -> tuple[int, int]:
    try:
        state = entry.stat()
    except OSError:  # a link to nowhere: it is listed, and refused when it is opened
        return -1, -1
    return state.st_size, state.st_mtime_ns


def fingerprint_files(root: Path, images: Sequence[FileState], others: Sequence[Path] = ()) -> str:
    """Text that changes when a file is added, removed or written to.

    Args:
        root: the folder of the images. Its place is part of the text, since archives may give files of
            different folders the same names, sizes and times.
        images: the image files under it.
        others: label files; those that do not exist count as such.

    Returns:
        A short text.
    """
    digest = hashlib.sha256()
    for path, size, time_ns in images:
        digest.update(f"{path}\0{size}\0{time_ns}\n".encode(errors="surrogateescape"))
    for other in others:
        state = other.stat() if other.exists() else None
        digest.update(f"{other.name}\0{(state.st_size, state.st_mtime_ns) if state else None}\n".encode())
    return f"{root.resolve()} {digest.hexdigest()}"


def decode_files(paths: Sequence[Path], side_px: int, fit: Fit) -> list[Decoded | Refused]:
    """Decodes files; an unusable one gives its reason instead."""
    return [decode_or_refuse(partial(Image.open, path), side_px, fit) for path in paths]
