"""An .npz file of images and their labels, as NumPy writes it."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chiasm.config import Fit
from chiasm.data.decode import Decoded, Refused, decode_or_refuse
from chiasm.data.files import fingerprint_files
from chiasm.data.image_set import UNLABELLED, DataError
from chiasm.data.sources.source import Listing

NAMES = ("imgs", "classes", "contents", "content_names")


class Npz:
    """Arrays `imgs` ([n, h, w, 3] or [n, h, w], uint8) and `classes` ([n]).

    Optional: `contents` ([n] or [n, k]) with `content_names` ([k]). Labels are whole numbers or text;
    negative numbers and "" are unlabelled.
    """

    chunk_size = 256

    def __init__(self, path: Path) -> None:
        self.path = path

    def fingerprint(self) -> str:
        """Path, size and time of the file."""
        return "npz " + fingerprint_files(self.path.parent, [], [self.path])

    @cached_property
    def _arrays(self) -> dict[str, NDArray]:
        try:
            with self.path.open("rb") as file, zipfile.ZipFile(file) as archive:
                sizes = {name: _unpacked_bytes(archive, f"{name}.npy") for name in NAMES}
            self._require_memory(sum(sizes.values()))
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in NAMES if sizes[name]}
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise DataError(
                f"{self.path}: cannot be read ({error}); write it with numpy.savez(path, imgs=..., "
                f"classes=...) from plain arrays, not objects."
            ) from error

    def _require_memory(self, num_bytes: int) -> None:
        if num_bytes > physical_memory() / 2:
            raise DataError(
                f"{self.path}: its arrays unpack to {num_bytes / 1e9:.1f} GB, more than half of this machine's memory; "
                "write the images into a folder."
            )

    def listing(self) -> Listing:
        """All images, named by their number."""
        imgs = self._array("imgs", (3, 4))
        if imgs.dtype != np.uint8 or (imgs.ndim == 4 and imgs.shape[-1] != 3) or 0 in imgs.shape[1:]:
            raise DataError(
                f"{self.path}: imgs is {list(imgs.shape)} {imgs.dtype}; wanted [n, height, width, 3] or "
                f"[n, height, width] of uint8, 0 to 255."
            )
        classes, class_names = self._number("classes", self._array("classes", (1,)))
        columns = self._content_columns()
        numbered = [self._number("contents", column) for column in columns]
        return Listing(
            names=tuple(map(str, range(len(imgs)))),
            classes=classes,
            class_names=class_names,
            contents=np.column_stack([c for c, _ in numbered])
            if numbered
            else np.zeros((len(imgs), 0), dtype=np.int64),
            content_names=self._content_names(len(columns)),
            content_values=tuple(values for _, values in numbered),
        )

    def decode(self, indices: Sequence[int], side_px: int, fit: Fit) -> list[Decoded | Refused]:
        """Brings the arrays to their side."""
        imgs = self._arrays["imgs"]
        return [decode_or_refuse(partial(Image.fromarray, imgs[i]), side_px, fit) for i in indices]

    def _array(self, name: str, dimensions: tuple[int, ...]) -> NDArray:
        if name not in self._arrays:
            raise DataError(
                f"{self.path}: has {sorted(self._arrays)} but no array {name!r}; write imgs and classes, "
                f"and contents where known."
            )
        array = self._arrays[name]
        if array.ndim not in dimensions or len(array) != len(self._arrays["imgs"]):
            raise DataError(
                f"{self.path}: {name} is {list(array.shape)}; wanted {' or '.join(map(str, dimensions))} "
                f"dimensions, the first as long as imgs, which is {list(self._arrays['imgs'].shape)}."
            )
        return array

    def _content_columns(self) -> list[NDArray]:
        if "contents" not in self._arrays:
            return []
        contents = self._array("contents", (1, 2))
        return list(contents.reshape(len(contents), -1).T) if contents.size else []

    def _content_names(self, num: int) -> tuple[str, ...]:
        names = self._arrays.get("content_names")
        if names is None:
            return ("content",) if num == 1 else tuple(f"content_{i}" for i in range(num))
        if names.shape != (num,) or len(set(names.tolist())) < num:
            raise DataError(
                f"{self.path}: content_names is {names.tolist()}; give {num} different names, one for each "
                f"column of contents."
            )
        return tuple(map(str, names.tolist()))

    def _number(self, name: str, labels: NDArray) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        if labels.dtype.kind not in "iuU":
            raise DataError(f"{self.path}: {name} is {labels.dtype}; wanted whole numbers or text.")
        known = labels != "" if labels.dtype.kind == "U" else labels >= 0
        numbers = np.full(len(labels), UNLABELLED, dtype=np.int64)
        values, numbers[known] = np.unique(labels[known], return_inverse=True)
        return numbers, tuple(map(str, values.tolist()))


def _unpacked_bytes(archive: zipfile.ZipFile, name: str) -> int:
    """The size of an array by its own header; 0 where there is no such array.

    Raises:
        ValueError: if the archive has another number of bytes for it.
    """
    if name not in archive.namelist():
        return 0
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        head = file.tell()
    num = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or head + num != archive.getinfo(name).file_size:
        raise ValueError(f"{name} is {list(shape)} {dtype}, which the file does not hold")
    return head + num


def physical_memory() -> int:
    """Bytes of this machine's memory; 64 GB where the system does not say."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 64 * 10**9
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
