"""How much of the labels a training may see."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.config import DataConfig
from chiasm.data.image_set import UNLABELLED, ImageSet
from chiasm.data.pairs import read_pairs


def hide_labels(images: ImageSet, config: DataConfig, among: NDArray[np.int64] | None = None) -> ImageSet:
    """The same images with the labels that data.supervision leaves visible.

    - `class`: all labels.
    - `partial`: the class of a random fraction (data.labelled) of the images.
    - `pairs`: the pairs of data.pairs, where that is given, those with an image in common being one class; else a
      random fraction of the images, in pairs known to share their class; each pair is a class of its own, for nothing
      says which pairs belong together.
    - `augmentations` and `none`: no label.

    Args:
        images: the images with all that is known.
        config: `supervision`, `labelled`, and `split_seed` for the choice.
        among: [m] indices, ascending, of those that a random choice is made of; by default all. Images that came to a
            run's folder later then change nothing.

    Returns:
        A set that differs in `classes` and `class_names` alone.
    """
    if config.supervision == "class":
        return images
    rng = np.random.default_rng([config.split_seed, 4])
    classes = np.full(len(images), UNLABELLED, dtype=np.int64)
    among = np.arange(len(images)) if among is None else among
    names: tuple[str, ...] = ()
    if config.supervision == "partial":
        shown = among[rng.random(len(among)) < config.labelled]
        classes[shown], names = images.classes[shown], images.class_names
    if config.pairs is not None:
        classes = read_pairs(Path(config.pairs), images.names)
        names = tuple(f"thing {i}" for i in range(classes.max() + 1))
    elif config.supervision == "pairs":
        pairs = among[_pairs(images.classes[among], rng)]
        pairs = pairs[rng.permutation(len(pairs))[: round(config.labelled * len(among) / 2)]]
        classes[pairs] = np.arange(len(pairs))[:, None]
        names = tuple(f"pair {i}" for i in range(len(pairs)))
    return dataclasses.replace(images, classes=classes, class_names=names)


def keep_classes(images: ImageSet, train: NDArray[np.int64]) -> ImageSet:
    """The same images with the classes of the training images alone; images of other classes become unlabelled.

    What tells classes apart must not know of classes that it never sees: an answer that is uniform over all of them
    would be asked for instead of one that tells nothing.

    Args:
        images: the images with the labels that a training may see.
        train: indices of the training images.

    Returns:
        A set that differs in `classes`, numbered anew in the same order, and in `class_names` alone.
    """
    seen = np.unique(images.classes[train])
    seen = seen[seen != UNLABELLED]
    number = np.full(len(images.class_names) + 1, UNLABELLED, dtype=np.int64)  # the last place is UNLABELLED's
    number[seen] = np.arange(len(seen))
    names = tuple(images.class_names[i] for i in seen)
    return dataclasses.replace(images, classes=number[images.classes], class_names=names)


def _pairs(classes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """[m, 2] images in random pairs of one class, no image twice."""
    shuffled = rng.permutation(np.flatnonzero(classes != UNLABELLED))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    starts = np.r_[True, np.diff(classes[by_class]) != 0]
    place = np.arange(len(by_class)) - np.maximum.accumulate(np.where(starts, np.arange(len(by_class)), 0))
    second = np.flatnonzero(place % 2 == 1)
    return np.column_stack([by_class[second - 1], by_class[second]])
