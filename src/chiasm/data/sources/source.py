"""What a source of images must offer, so that one cache serves them all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chiasm.config import Fit
from chiasm.data.decode import Decoded, Refused
from chiasm.data.image_set import UNLABELLED

_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The images of a source by name, with their labels, before any is decoded.

    The fields are those of ImageSet.
    """

    names: tuple[str, ...]
    classes: NDArray[np.int64]
    class_names: tuple[str, ...]
    contents: NDArray[np.int64]
    content_names: tuple[str, ...] = ()
    content_values: tuple[tuple[str, ...], ...] = ()
    contents_complete: bool = True
    partition: tuple[str, ...] | None = None
    skipped: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Source(Protocol):
    """Where images come from."""

    chunk_size: int
    """How many images a worker is best given at a time."""

    def fingerprint(self) -> str:
        """Text that changes whenever the images or their labels may have changed; cheap to compute."""
        ...

    def listing(self) -> Listing:
        """Every image and its labels."""
        ...

    def decode(self, indices: Sequence[int], side_px: int, fit: Fit) -> list[Decoded | Refused]:
        """The images at these places of the listing; called from several threads at once."""
        ...


def number_labels(
    labels: Sequence[str], order: Sequence[str] | None = None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Numbers for the names of classes or of a content factor's values.

    Args:
        labels: a name for each image; "" means that it has none.
        order: the distinct names in the order wanted; natural order when not given.

    Returns:
        [n] int64 numbers, UNLABELLED for "", and the distinct names that they index.
    """
    names = tuple(order) if order is not None else tuple(sorted(set(labels) - {""}, key=natural_key))
    number = {name: i for i, name in enumerate(names)} | {"": UNLABELLED}
    return np.fromiter((number[label] for label in labels), dtype=np.int64, count=len(labels)), names


def natural_key(name: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """Sorts 'img2' before 'img10', and the same everywhere: no locale is asked."""
    # A number by its length first: those of thousands of digits are no integers of Python's.
    pieces = [piece.lstrip("0") if i % 2 else piece.casefold() for i, piece in enumerate(_DIGITS.split(name))]
    parts = [(len(piece) if i % 2 else -1, piece) for i, piece in enumerate(pieces)]
    return tuple(parts), name
