"""CelebA as its authors distribute it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.config import Fit
from chiasm.data.decode import Decoded, Refused
from chiasm.data.files import FileState, decode_files, find_images, fingerprint_files
from chiasm.data.image_set import UNLABELLED, DataError
from chiasm.data.sources.source import Listing, number_labels

IMAGES = "img_align_celeba"
# Of the forty attributes, those that change from one image of a person to the next.
ATTRIBUTES = ("Smiling", "Mouth_Slightly_Open", "Eyeglasses", "Wearing_Hat")
PARTS = {"0": "train", "1": "val", "2": "test"}


class CelebA:
    """`img_align_celeba/` with the lists beside it.

    - `list_eval_partition.txt` (or .csv): the official split, needed.
    - `identity_CelebA.txt`: the classes; without it the images are unlabelled.
    - `list_attr_celeba.txt` (or .csv): four attributes that belong to B become known contents. They say
      little of all that is in a photograph, so no image is the truth of a mix.

    Images on disk that the split does not list are left out, and so are listed images that are missing.
    """

    chunk_size = 64

    def __init__(self, root: Path) -> None:
        self.root = root
        nested = root / IMAGES / IMAGES
        self._folder = nested if nested.is_dir() else root / IMAGES

    @cached_property
    def _files(self) -> list[FileState]:
        return find_images(self._folder).images

    @cached_property
    def _names(self) -> list[str]:
        return [name for name, _, _ in self._files if name in self._parts]

    @cached_property
    def _parts(self) -> dict[str, str]:
        path = self._find("list_eval_partition")
        if path is None:
            raise DataError(
                f"{self.root}: list_eval_partition.txt is missing; put the official file of CelebA there "
                f"(without it, name {self._folder} itself as data.source)."
            )
        rows = [row for row in _rows(path) if row != ["image_id", "partition"]]
        for line, row in enumerate(rows, start=1):
            if len(row) != 2 or row[1] not in PARTS:
                raise DataError(f"{path}, row {line}: got {' '.join(row)!r}; wanted a name and 0, 1 or 2.")
        return {name: PARTS[part] for name, part in rows}

    def fingerprint(self) -> str:
        """Path, size and time of every image and list."""
        lists = [self._find(n) for n in ("list_eval_partition", "identity_CelebA", "list_attr_celeba")]
        return "celeba " + fingerprint_files(self._folder, self._files, [p for p in lists if p is not None])

    def listing(self) -> Listing:
        """All listed images that are on disk."""
        names = self._names
        if not names:
            raise DataError(
                f"{self._folder}: none of its {len(self._files)} images is in the list of the split; "
                f"unpack img_align_celeba.zip there, names such as 000001.jpg."
            )
        classes, class_names = self._identities()
        contents, content_names = self._attributes()
        return Listing(
            names=tuple(names),
            classes=classes,
            class_names=class_names,
            contents=contents,
            content_names=content_names,
            content_values=(("no", "yes"),) * len(content_names),
            contents_complete=False,
            partition=tuple(self._parts[name] for name in names),
        )

    def decode(self, indices: Sequence[int], side_px: int, fit: Fit) -> list[Decoded | Refused]:
        """Reads the files."""
        return decode_files([self._folder / self._names[i] for i in indices], side_px, fit)

    def _find(self, stem: str) -> Path | None:
        candidates = (self.root / f"{stem}{ending}" for ending in (".txt", ".csv"))
        return next((path for path in candidates if path.is_file()), None)

    def _identities(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        path = self._find("identity_CelebA")
        if path is None:
            return np.full(len(self._names), UNLABELLED, dtype=np.int64), ()
        rows = _rows(path)
        bad = next((row for row in rows if len(row) != 2), None)
        if bad is not None:
            raise DataError(f"{path}: got the row {' '.join(bad)!r}; wanted a name and a number.")
        identity = dict(rows)
        return number_labels([identity.get(name, "") for name in self._names])

    def _attributes(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """[n, 4] of 0 and 1, and their names; nothing without the list."""
        path = self._find("list_attr_celeba")
        if path is None:
            return np.zeros((len(self._names), 0), dtype=np.int64), ()
        rows = _rows(path)
        if len(rows) > 1 and len(rows[0]) == 1:
            rows = rows[1:]  # the .txt begins with the number of images
        header = [name for name in rows[0] if name != "image_id"] if rows else []
        missing = [name for name in ATTRIBUTES if name not in header]
        if missing:
            raise DataError(f"{path}: has no attribute {missing}; use the official file of CelebA.")
        bad = next((row for row in rows[1:] if len(row) != len(header) + 1), None)
        if bad is not None:
            raise DataError(f"{path}: {bad[0]!r} has {len(bad) - 1} values; wanted {len(header)}.")
        columns = [1 + header.index(name) for name in ATTRIBUTES]
        values = {row[0]: [int(row[column] == "1") for column in columns] for row in rows[1:]}
        unknown = [UNLABELLED] * len(ATTRIBUTES)
        return np.array([values.get(name, unknown) for name in self._names], dtype=np.int64), ATTRIBUTES


def _rows(path: Path) -> list[list[str]]:
    """The cells of a list, whose columns are parted by blanks or commas."""
    separator = "," if path.suffix == ".csv" else None
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line.split(separator) for line in text.splitlines() if line.strip()]
