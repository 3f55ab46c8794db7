"""Pairs of images that a user knows to show the same thing, out of a CSV table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from chiasm.data.image_set import UNLABELLED, DataError

NUM_COLUMNS = 2


def read_pairs(path: Path, names: Sequence[str]) -> NDArray[np.int64]:
    """Which images show the same thing.

    What is paired with the same image is the same thing, too. A first row `file_name, same_as`, or any other of which
    no cell is an image, is a heading.

    Args:
        path: a CSV table of two columns, a pair of images in each row, named as in `names`.
        names: of all images.

    Returns:
        [n] a number for each thing, from 0, or UNLABELLED for images in no pair.

    Raises:
        DataError: naming the file, the line and the remedy.
    """
    place = {name: i for i, name in enumerate(names)}
    pairs = []
    for line, row in _rows(path):
        pair = [cell.strip().replace("\\", "/").removeprefix("./") for cell in row]
        unknown = [name for name in pair if name not in place]
        if line == 1 and len(unknown) == len(pair):
            continue
        if len(pair) != NUM_COLUMNS:
            raise DataError(f"{path}, line {line}: {len(pair)} cells; give two names of images that show the same.")
        if unknown:
            raise DataError(
                f"{path}, line {line}: there is no image {unknown[0]!r}; give its path from the folder of the images, "
                "or remove the row."
            )
        pairs.append([place[name] for name in pair])
    if not pairs:
        raise DataError(f"{path}: holds no pair; give two names of images that show the same in each row.")
    paired = np.unique(pairs)
    links = coo_array((np.ones(len(pairs)), tuple(np.transpose(pairs))), shape=(len(names), len(names)))
    things = connected_components(links, directed=False)[1]
    numbers = np.full(len(names), UNLABELLED, dtype=np.int64)
    numbers[paired] = np.unique(things[paired], return_inverse=True)[1]
    return numbers


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The number and the cells of each row that is not empty."""
    if not path.is_file():
        raise DataError(f"data.pairs: {path} is no file; give a CSV table of two columns.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            return [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV table in UTF-8 ({error}); save it as 'CSV UTF-8'.") from error
