"""Finding image files on a disk, and telling whether they have changed."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from chiasm.config import Fit
from chiasm.data.decode import HAS_HEIF, Decoded, Refused, decode_file

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
HEIF_EXTENSIONS = frozenset([".heic", ".heif", ".hif"])
"""Photographs of many telephones, which the extra `heif` reads."""

RUN = "run or sweep"
RUN_FILES = frozenset(["config.yaml", "split.json"])
SWEEP_FILE = "sweep.json"

FileState = tuple[str, int, int]
"""Relative path with '/', size in bytes, time of the last change in nanoseconds."""


class Found(NamedTuple):
    """The image files of a tree, sorted by path, and how many of each ending, or runs, were ignored."""

    images: list[FileState]
    ignored: Counter[str]


def find_images(root: Path) -> Found:
    """Every image file of a tree, see find_files."""
    return find_files(root, EXTENSIONS | HEIF_EXTENSIONS if HAS_HEIF else EXTENSIONS)


def find_files(root: Path, endings: Set[str]) -> Found:
    """Every file of a tree with one of some endings, in lower case with the dot.

    Hidden files and folders, and the folders of runs and sweeps, are left out. Links to folders are followed
    unless they lead back to a folder that holds them.

    Args:
        root: the top folder.
        endings: those of the files that are wanted.

    Returns:
        The files, and what is ignored.
    """
    ignored: Counter[str] = Counter()
    return Found(sorted(_walk(root, "", frozenset(), endings, ignored)), ignored)


def _walk(
    folder: Path, prefix: str, ancestors: frozenset[tuple[int, int]], endings: Set[str], ignored: Counter[str]
) -> Iterator[FileState]:
    here = folder.stat()
    identity = (here.st_dev, here.st_ino)
    if identity in ancestors:
        return
    with os.scandir(folder) as found:
        entries = [entry for entry in found if not entry.name.startswith(".")]
    names = {entry.name for entry in entries}
    if names >= RUN_FILES or SWEEP_FILE in names:
        ignored[RUN] += 1
        return
    for entry in entries:
        ending = os.path.splitext(entry.name)[1].lower()
        if _is_dir(entry):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", ancestors | {identity}, endings, ignored)
        elif ending in endings:
            yield (f"{prefix}{entry.name}", *_size_and_time(entry))
        else:
            ignored[ending] += 1


def tell_ignored(ignored: Mapping[str, int]) -> str:
    """What find_images has ignored, in words; "" for nothing."""
    told = []
    for kind, num in sorted(ignored.items()):
        thing = "folder" if kind == RUN else "file"
        which = f" of a {RUN}" if kind == RUN else "" if kind else " without an ending"
        kind_shown = "" if kind == RUN or not kind else f"{kind} "
        remedy = " (pip install 'chiasm[heif]' reads them)" if kind in HEIF_EXTENSIONS else ""
        told.append(f"{num} {kind_shown}{thing}{'s' if num > 1 else ''}{which}{remedy}")
    return ", ".join(told)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


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
        told = f"{other.name}\0{(state.st_size, state.st_mtime_ns) if state else None}\n"
        digest.update(told.encode(errors="surrogateescape"))
    return f"{root.resolve()} {digest.hexdigest()}"


def decode_files(paths: Sequence[Path], side_px: int, fit: Fit) -> list[Decoded | Refused]:
    """Decodes files; an unusable one gives its reason instead."""
    return [decode_file(path, side_px, fit) for path in paths]
