"""Any folder of images: the class is the subfolder, or stands in metadata.csv."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chiasm.config import Fit
from chiasm.data.decode import Decoded, Refused
from chiasm.data.files import Found, decode_files, find_images, fingerprint_files, tell_ignored
from chiasm.data.image_set import DataError
from chiasm.data.sources.source import Listing, natural_key, number_labels
from chiasm.data.written import WRITTEN, is_written

METADATA = "metadata.csv"
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class Folder:
    """A tree of image files.

    - The class of an image is its first-level subfolder. Images outside of any subfolder have no class.
    - A single subfolder that holds everything (`images/`) is looked through: its subfolders are the classes.
    - Subfolders `train`, `val` and `test` (at least two of them, and nothing else) are an official split;
      the classes are their subfolders.
    - `metadata.csv` at the root adds labels: `file_name`, optionally `class`, and any further columns,
      each a content factor. Where it has a `class` column, subfolders say nothing. Empty cells and files
      that it does not list are unlabelled.

    Runs, sweeps and images that chiasm has written are left out.
    """

    chunk_size = 64

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _found(self) -> Found:
        found = find_images(self.root)
        if not found.images:
            ignored = tell_ignored(found.ignored)
            raise DataError(
                f"{self.root}: no image in this folder or below{' but ' if ignored else ''}{ignored}; give a folder of "
                ".jpg, .png or other image files."
            )
        return found

    @property
    def ignored(self) -> str:
        """What lies beside the images, in words."""
        return tell_ignored(self._found.ignored - Counter({".csv": (self.root / METADATA).is_file()}))

    @cached_property
    def _written(self) -> frozenset[str]:
        return frozenset(path for path, _, _ in self._found.images if is_written(self.root / path))

    @cached_property
    def _names(self) -> tuple[str, ...]:
        names = sorted((path for path, _, _ in self._found.images if path not in self._written), key=natural_key)
        if not names:
            raise DataError(f"{self.root}: all of its images were written by chiasm; give a folder of images.")
        return tuple(names)

    def fingerprint(self) -> str:
        """Path, size and time of every image and of metadata.csv."""
        return "folder " + fingerprint_files(self.root, self._found.images, [self.root / METADATA])

    def listing(self) -> Listing:
        """All images in natural order."""
        return labelled_listing(self._names, self._names, self.root, tuple((n, WRITTEN) for n in sorted(self._written)))

    def decode(self, indices: Sequence[int], side_px: int, fit: Fit) -> list[Decoded | Refused]:
        """Reads the files."""
        return decode_files([self.root / self._names[i] for i in indices], side_px, fit)


def labelled_listing(
    names: Sequence[str],
    paths: Sequence[str],
    root: Path,
    skipped: tuple[tuple[str, str], ...],
    classes: Sequence[str] | None = None,
) -> Listing:
    """Images with the labels that their paths and root/metadata.csv give them.

    Args:
        names: of the images; metadata.csv lists these.
        paths: of the images, whose folders are classes and parts of a split.
        root: the folder of metadata.csv.
        skipped: what cannot be used, with the reason.
        classes: for each image its class, "" for none, in the place of folders.
    """
    classes_of_folders, partition = _classes_and_split(paths)
    table = _read_metadata(root / METADATA, names)
    numbers, class_names = number_labels(table.classes or classes or classes_of_folders)
    columns = zip(table.content_names, table.contents, strict=True)
    numbered = [(name, *number_labels(column)) for name, column in columns if any(column)]
    no_contents = np.zeros((len(names), 0), dtype=np.int64)
    return Listing(
        names=tuple(names),
        classes=numbers,
        class_names=class_names,
        contents=np.column_stack([column for _, column, _ in numbered]) if numbered else no_contents,
        content_names=tuple(name for name, _, _ in numbered),
        content_values=tuple(values for _, _, values in numbered),
        partition=partition,
        skipped=skipped,
    )


def _classes_and_split(names: Sequence[str]) -> tuple[list[str], tuple[str, ...] | None]:
    """The class of each path ("" for none) and its part of an official split."""
    paths = [name.split("/") for name in names]
    paths = _look_through(paths)
    tops = {path[0] for path in paths}
    partition = None
    if all(len(path) > 1 for path in paths) and len(tops) >= 2 and tops <= SPLIT_NAMES.keys():
        partition = tuple(SPLIT_NAMES[path[0]] for path in paths)
        paths = [path[1:] for path in paths]
    return [path[0] if len(path) > 1 else "" for path in paths], partition


def _look_through(paths: list[list[str]]) -> list[list[str]]:
    """Drops leading folders that all paths share."""
    while all(len(path) > 1 for path in paths) and len({path[0] for path in paths}) == 1:
        paths = [path[1:] for path in paths]
    return paths


class _Metadata(NamedTuple):
    classes: list[str] | None
    content_names: tuple[str, ...]
    contents: list[list[str]]


def _read_metadata(path: Path, names: Sequence[str]) -> _Metadata:
    """The labels of metadata.csv, one row for each name, "" where there is none."""
    if not path.exists():
        return _Metadata(None, (), [])
    if not path.is_file():
        raise DataError(f"{path}: not a file; give a CSV table, or take it away.")
    header, rows = _read_csv(path)
    content_names = tuple(column for column in header if column not in ("file_name", "class"))
    row_of = _rows_by_name(path, rows, header.index("file_name"), set(names))
    nothing = [""] * len(header)
    in_order = [row_of.get(name, nothing) for name in names]
    columns = dict(zip(header, map(list, zip(*in_order, strict=True)), strict=True))
    for name in content_names:
        _require_few_values(path, name, columns[name])
    return _Metadata(columns.get("class"), content_names, [columns[name] for name in content_names])


def _read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the number and cells of each row that follows."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            table = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV table in UTF-8 ({error}); save it as 'CSV UTF-8'.") from error
    header = [_column(cell) for cell in table[0][1]] if table else []
    if "file_name" not in header:
        raise DataError(f"{path}: its columns are {header}; a column 'file_name' is needed.")
    if len(set(header)) < len(header) or "" in header:
        raise DataError(f"{path}: its columns are {header}; give each a name of its own.")
    for line, row in table[1:]:
        if len(row) != len(header):
            raise DataError(
                f"{path}, line {line}: {len(row)} cells where the header has {len(header)}; "
                f"leave a cell empty where nothing is known, and quote commas."
            )
    return header, table[1:]


def _column(name: str) -> str:
    """The name of a column, `class` and `file_name` in any spelling."""
    plain = re.sub(r"[\s_-]+", "", name).casefold()
    return {"class": "class", "filename": "file_name", "file": "file_name"}.get(plain, name)


def _rows_by_name(
    path: Path, rows: Sequence[tuple[int, list[str]]], column: int, known: set[str]
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line, row in rows:
        name = row[column].replace("\\", "/").removeprefix("./")
        if name not in known:
            raise DataError(
                f"{path}, line {line}: there is no image {name!r} in {path.parent}; "
                f"give the path from that folder, or remove the row."
            )
        if name in found:
            raise DataError(f"{path}, line {line}: {name!r} is listed twice; remove one of the rows.")
        found[name] = row
    return found


def _require_few_values(path: Path, column: str, values: Sequence[str]) -> None:
    """A caption or an identifier is no factor that could be recombined."""
    distinct = set(values) - {""}
    if len(distinct) > max(50, len(values) // 2):
        raise DataError(
            f"{path}: column {column!r} has {len(distinct)} different values for {len(values)} images, so "
            f"it is no factor that images share; remove the column."
        )
