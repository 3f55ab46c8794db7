"""The one form in which every source arrives: an array of images and their labels."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

UNLABELLED = -1
IMAGES_AT_ONCE = 256
DIGEST = np.dtype("S32")


def digest_of(pixels: NDArray[np.uint8]) -> bytes:
    """A hash of an image's pixels, in DIGEST's form."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest().encode()


@runtime_checkable
class Pixels(Protocol):
    """What a memory-mapped array [n, 3, side, side] of uint8 offers here, and what decodes when it is asked, too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> NDArray[np.uint8]: ...


class DataError(ValueError):
    """Images or labels that cannot be used; the message names the file or key and the remedy."""


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images with what is known of their factors.

    Attributes:
        images: [n, 3, side, side] uint8, memory-mapped or decoded on demand.
        names: n names, unique, by which a user recognises an image (a relative path, an index).
        classes: [n] int64 index into class_names, or UNLABELLED.
        class_names: the classes.
        contents: [n, k] int64 index into content_values[k], or UNLABELLED.
        content_names: names of the k known content factors.
        content_values: for each content factor, the names of its values.
        a_contents: those of content_names that belong to code A, beside the class.
        contents_complete: whether class and contents together say all that is in an image. A few known
            attributes among many (CelebA) do not, and no image of the set is then the truth of a mix.
        partition: [n] "train", "val" or "test" where the source has an official split, else None.
        skipped: for each file that could not be used, its name and the reason.
        ignored: in words, what else lies beside the images; "" for nothing.
        sizes: [n, 2] width and height in pixels before the image became square, where known.
        known_digests: [n] digest_of each image, where known.
    """

    images: Pixels
    names: Sequence[str]
    classes: NDArray[np.int64]
    class_names: tuple[str, ...]
    contents: NDArray[np.int64]
    content_names: tuple[str, ...] = ()
    content_values: tuple[tuple[str, ...], ...] = ()
    a_contents: tuple[str, ...] = ()
    contents_complete: bool = True
    partition: tuple[str, ...] | None = None
    skipped: tuple[tuple[str, str], ...] = field(default=())
    ignored: str = ""
    sizes: NDArray[np.int64] | None = None
    known_digests: NDArray | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def has_classes(self) -> bool:
        """Whether any class has two images, so that same-class swaps are possible."""
        labelled = self.classes[self.classes != UNLABELLED]
        return len(labelled) > 0 and int(np.bincount(labelled).max()) >= 2

    @cached_property
    def by_codes(self) -> ImageSet:
        """The same images in classes of all that belongs to code A, so that contents are what belongs to code B.

        A class without a name of its own: the person with the expression, where a_contents holds the expression.
        """
        if not self.a_contents:
            return self
        of_a = np.isin(self.content_names, self.a_contents)
        labels = np.column_stack([self.classes, self.contents[:, of_a]])
        values, combination = np.unique(labels, axis=0, return_inverse=True)
        known = (labels != UNLABELLED).all(axis=1)
        kept = [name for name, ours in zip(self.content_names, of_a, strict=True) if not ours]
        return dataclasses.replace(
            self,
            classes=np.where(known, combination.reshape(-1), UNLABELLED),
            class_names=tuple(" ".join(map(str, row)) for row in values.tolist()),
            contents=np.ascontiguousarray(self.contents[:, ~of_a]),
            content_names=tuple(kept),
            content_values=tuple(v for v, ours in zip(self.content_values, of_a, strict=True) if not ours),
            a_contents=(),
        )

    def gather(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copies images out of the memory map, or decodes them.

        Args:
            index: [m] indices of images, in any order, repeated or not.

        Returns:
            [m, 3, side, side] uint8, contiguous, in the order of index.
        """
        return self.images[index]

    def parts(self) -> Iterator[NDArray[np.uint8]]:
        """All images in order, [m, 3, side, side] at a time."""
        for start in range(0, len(self), IMAGES_AT_ONCE):
            yield self.images[start : start + IMAGES_AT_ONCE]

    def digests(self) -> NDArray:
        """[n] digest_of each image: equal for equal images alone. Reads every pixel once where they are not known."""
        if self.known_digests is not None:
            return self.known_digests
        found = (digest_of(image) for part in self.parts() for image in part)
        return np.fromiter(found, dtype=DIGEST, count=len(self))

    def true_mix(self, a_from: NDArray[np.int64], b_from: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which image shows the class of one image with the content of another.

        Args:
            a_from: [m] indices of the images that give the class.
            b_from: [m] indices of the images that give the content.

        Returns:
            [m] indices of the images that are the true mixes; -1 where the set holds none.
        """
        if not (self.content_names and self.contents_complete):
            return np.full(len(a_from), -1, dtype=np.int64)
        wanted = np.column_stack([self.classes[a_from], self.contents[b_from]])
        rows = np.concatenate([np.column_stack([self.classes, self.contents]), wanted])
        known = (rows != UNLABELLED).all(axis=1)
        combination = np.zeros(len(rows), dtype=np.int64)
        for column in rows.T:
            # Numbered anew with each factor, so that no number grows beyond the number of images.
            numbers = combination * (column.max() + 2) + column + 1
            combination = np.unique(numbers, return_inverse=True)[1]
        place = np.full(len(rows), -1, dtype=np.int64)
        shown = np.flatnonzero(known[: len(self)])
        place[combination[shown]] = shown
        return np.where(known[len(self) :], place[combination[len(self) :]], -1)
