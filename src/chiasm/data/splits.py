"""Which images are trained on, and which are kept for validation and the test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from chiasm.config import DataConfig
from chiasm.data.image_set import UNLABELLED, DataError, ImageSet
from chiasm.files import write_atomically

Indices = NDArray[np.int64]

MIN_CLASSES = 10
"""With fewer classes than this, none is kept from training altogether."""


@dataclass(frozen=True)
class Split:
    """Indices into an ImageSet, ascending; every image is in exactly one part.

    Attributes:
        train: images to learn from.
        val: unseen images for choosing and watching, of classes that may be in train.
        test: unseen images for the final numbers, likewise.
        val_classes: all images of some classes that training never sees.
        test_classes: all images of other such classes.
    """

    train: Indices
    val: Indices
    test: Indices
    val_classes: Indices
    test_classes: Indices

    @property
    def all(self) -> Indices:
        """Those of all parts, ascending."""
        return np.sort(np.concatenate([getattr(self, part.name) for part in fields(self)]))


def make_split(images: ImageSet, config: DataConfig, things: Indices | None = None) -> Split:
    """Divides images by data.split_seed alone, or as the source says.

    With an official split, `held_out` and `held_out_classes` count for nothing, and `val` and `test` are
    the official parts whatever their classes; only a missing `val` is taken from the training images.

    Otherwise whole classes are held out first, then images of each remaining class. A class keeps at
    least two training images if it has them, so a class of two is never cut; a class of five or more
    gives at least one. Images without another of their class are divided as one group. Images that are equal in
    every pixel count as one and are in one part, so that none that was learned from is called unseen; but whole
    classes that are held out, and the parts of an official split, are as they are.

    Things, where they are given, stay whole, with the images equal to theirs: a fraction `held_out` of them is for
    `val` and `test`, and no class is held out. So pairs that stand in for classes are learned from, or not seen at all.

    Args:
        images: the images.
        config: fractions and seed.
        things: [n] which thing each image shows, UNLABELLED where it shows one of its own.

    Returns:
        The split; train and val are never empty.

    Raises:
        DataError: if an official split leaves nothing to learn from, or to validate with.
    """
    rng = np.random.default_rng([config.split_seed, 0x5117])
    if images.partition is not None:
        return _official_split(images, images.partition, config.held_out, rng)
    if things is not None and len(np.unique(whole := _belonging_together(things, images))) > 1:
        return _split_of_things(whole, config.held_out, rng)
    part_of_class = _hold_out_classes(images.classes, config.held_out_classes, rng)
    train, val, test = _hold_out_images(np.flatnonzero(part_of_class == 0), images, config.held_out, rng)
    return Split(train, val, test, np.flatnonzero(part_of_class == 1), np.flatnonzero(part_of_class == 2))


def _official_split(images: ImageSet, partition: Sequence[str], held_out: float, rng: np.random.Generator) -> Split:
    parts = np.array(partition)
    train, val, test = (np.flatnonzero(parts == part) for part in ("train", "val", "test"))
    if len(train) < (2 if len(val) == 0 else 1):
        few = "no usable training image" if len(train) == 0 else "one training image and none to validate with"
        raise DataError(f"data.source: its official split has {few}; check the split.")
    if len(val) == 0:
        train, val, more = _hold_out_images(train, images, held_out / 2, rng)
        val = np.sort(np.concatenate([val, more]))
    none = np.zeros(0, dtype=np.int64)
    return Split(train, val, test, none, none)


def _belonging_together(things: Indices, images: ImageSet) -> Indices:
    """[n] what each image is divided with: all images of its thing, and all that are equal to one of these."""
    n, shown = len(things), np.flatnonzero(things != UNLABELLED)
    ends = np.concatenate([np.arange(n), shown]), np.concatenate([_first_of_equals(images), n + things[shown]])
    size = n + int(things.max()) + 1
    links = coo_array((np.ones(len(ends[0])), ends), shape=(size, size))
    return connected_components(links, directed=False)[1][:n].astype(np.int64)


def _split_of_things(things: Indices, held_out: float, rng: np.random.Generator) -> Split:
    order = rng.permutation(np.unique(things))
    num = min(max(1, round(held_out * len(order))), len(order) - 1)  # one to validate with, one to learn from
    val, test = np.isin(things, order[: num - num // 2]), np.isin(things, order[num - num // 2 : num])
    none = np.zeros(0, dtype=np.int64)
    return Split(np.flatnonzero(~(val | test)), np.flatnonzero(val), np.flatnonzero(test), none, none)


def _hold_out_classes(classes: Indices, fraction: float, rng: np.random.Generator) -> Indices:
    """[n]: 1 for images of validation classes, 2 for test classes, 0 for the rest."""
    present = np.unique(classes[classes != UNLABELLED])
    part = np.zeros(len(classes), dtype=np.int64)
    if len(present) < MIN_CLASSES or fraction == 0:
        return part
    num = max(2, round(fraction * len(present)))
    chosen = rng.permutation(present)[:num]
    part[np.isin(classes, chosen[: num - num // 2])] = 1
    part[np.isin(classes, chosen[num - num // 2 :])] = 2
    return part


def _first_of_equals(images: ImageSet, rest: Indices | None = None) -> Indices:
    """[n] for each image, or each at rest, the first of these that is equal in every pixel; often itself."""
    rest = np.arange(len(images)) if rest is None else rest
    _, first, group = np.unique(images.digests()[rest], return_index=True, return_inverse=True)
    return rest[first[group]]


def _hold_out_images(
    rest: Indices, images: ImageSet, fraction: float, rng: np.random.Generator
) -> tuple[Indices, Indices, Indices]:
    """Train, val and test out of the images at rest, each with those that are equal to it."""
    first = _first_of_equals(images, rest)
    if len(np.unique(first)) < 2:  # there would be nothing to validate with
        first = rest
    train, val, test = _hold_out_each(np.unique(first), images.classes, fraction, rng)
    return rest[np.isin(first, train)], rest[np.isin(first, val)], rest[np.isin(first, test)]


def _hold_out_each(
    rest: Indices, classes: Indices, fraction: float, rng: np.random.Generator
) -> tuple[Indices, Indices, Indices]:
    """Train, val and test out of the images at rest, class by class."""
    group, sizes, alone = _groups(classes[rest])
    # Rounding up or down at random keeps the fraction right on average over many small classes.
    num_held = np.floor(sizes * fraction + rng.random(len(sizes))).astype(np.int64)
    num_held = np.maximum(num_held, sizes >= 5)
    keep = np.minimum(sizes, np.where(np.arange(len(sizes)) == alone, 1, 2))
    num_held = np.minimum(num_held, sizes - keep)
    num_val = np.floor(num_held / 2 + rng.integers(0, 2, len(sizes)) / 2).astype(np.int64)

    shuffled = rng.permutation(len(rest))
    order = shuffled[np.argsort(group[shuffled], kind="stable")]
    starts = np.cumsum(sizes) - sizes
    rank = np.empty(len(rest), dtype=np.int64)
    rank[order] = np.arange(len(rest)) - starts[group[order]]

    part = np.zeros(len(rest), dtype=np.int64)
    part[rank < num_held[group]] = 2
    part[rank < num_val[group]] = 1
    _ensure_validation(part, group, sizes, rng)
    return rest[part == 0], rest[part == 1], rest[part == 2]


def _groups(classes: Indices) -> tuple[Indices, Indices, int]:
    """Number of each image's group, the groups' sizes, and which group holds the images alone."""
    _, group, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    alone = (classes == UNLABELLED) | (sizes[group] == 1)
    if not alone.any():
        return group, sizes, -1
    first = int(group[alone][0])
    group = np.where(alone, first, group)
    _, group, sizes = np.unique(group, return_inverse=True, return_counts=True)
    return group, sizes, int(group[alone][0])


def _ensure_validation(part: Indices, group: Indices, sizes: Indices, rng: np.random.Generator) -> None:
    """Moves one image to val if there is none, from test or else from the largest group in train."""
    if (part == 1).any() or len(part) < 2:
        return
    candidates = np.flatnonzero(part == 2)
    if len(candidates) == 0:
        candidates = np.flatnonzero(group == np.argmax(sizes))
    part[rng.choice(candidates)] = 1


def split_of_new(images: ImageSet, trained: NDArray[np.bool_]) -> Split:
    """All images that a model was not trained on, as test images, apart by whether it was trained on their class.

    Args:
        images: the images.
        trained: [n] whether the model was trained on an image.

    Raises:
        DataError: if no image is new.
    """
    if trained.all():
        raise DataError(
            f"data.source: the run was trained on all of these {len(images)} images, so that none is held out; give "
            "other images, or no DATA to measure the run's own held-out ones."
        )
    known = np.isin(images.classes, [UNLABELLED, *images.classes[trained]])
    none = np.zeros(0, dtype=np.int64)
    rest = [np.flatnonzero(~trained & known), np.flatnonzero(~trained & ~known)]
    return Split(np.flatnonzero(trained), none, rest[0], none, rest[1])


def save_split(split: Split, images: ImageSet, path: Path) -> None:
    """Writes a split as JSON with the names of the images, so that it outlives the cache.

    Args:
        split: the split.
        images: the images that it divides.
        path: the file to write.
    """
    write_atomically(path, partial(_write_split, split, images))


def _write_split(split: Split, images: ImageSet, path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="surrogatepass") as file:
        for i, part in enumerate(fields(Split)):
            # A name at a time, so that memory does not grow with the set.
            names = (json.dumps(images.names[row], ensure_ascii=False) for row in getattr(split, part.name).tolist())
            file.write(f'{"," if i else "{"}\n"{part.name}": [')
            file.writelines(f"{',' if k else ''}\n{name}" for k, name in enumerate(names))
            file.write("\n]")
        file.write("\n}\n")


def load_names(path: Path) -> dict[str, list[str]]:
    """The names of the images of each part, as save_split wrote them.

    Raises:
        DataError: if the file is no split.
    """
    try:
        parts = json.loads(path.read_text(encoding="utf-8", errors="surrogatepass"))
        names = {part.name: list(parts[part.name]) for part in fields(Split)}
        if not all(isinstance(name, str) for part in names.values() for name in part):
            raise ValueError("names that are no text")
        return names
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: not a split written by chiasm ({type(error).__name__}: {error}).") from error


def load_split(path: Path, images: ImageSet) -> Split:
    """Reads what save_split wrote.

    Args:
        path: the file.
        images: the images; any that the split does not name belong to no part.

    Returns:
        The split, as indices into images.

    Raises:
        DataError: if the file is no split, or names images that the set does not hold.
    """
    named = load_names(path)
    if not (named["train"] and named["val"]):
        raise DataError(f"{path}: no image to train on or to validate with; begin the run again: --overwrite.")
    place = {name: i for i, name in enumerate(images.names)}
    missing = [name for names in named.values() for name in names if name not in place]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} images of this split are not in the data, such as {missing[:3]}; "
            f"set data.source to the images that the run was trained on."
        )
    return Split(
        **{part: np.sort(np.array([place[name] for name in names], dtype=np.int64)) for part, names in named.items()}
    )
