"""Which images to mix, and which image shows the truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chiasm.data import UNLABELLED, ImageSet

Indices = NDArray[np.int64]
NONE: Indices = np.zeros(0, dtype=np.int64)


class Triplets(NamedTuple):
    """Images to mix: A of one, B of another, and the image that shows the result (-1: unknown)."""

    a_from: Indices
    b_from: Indices
    truth: Indices


def find_truths(images: ImageSet, indices: Indices, others: Indices = NONE, train: Indices = NONE) -> Indices:
    """Those of the given images that are the truth of a mix, see sample_triplets; none where no truth is known."""
    if not (images.content_names and images.contents_complete and images.has_classes):
        return NONE
    shown = _labelled(images, indices)
    pool = np.union1d(shown, _labelled(images, others))
    # An image of another class with the same content exists where the content occurs in two classes.
    combinations = np.unique(np.column_stack([images.contents[pool], images.classes[pool]]), axis=0)
    contents, num_classes = np.unique(combinations[:, :-1], axis=0, return_counts=True)
    common = {content for content, num in zip(map(tuple, contents.tolist()), num_classes, strict=True) if num >= 2}
    has_x2 = np.array([tuple(content) in common for content in images.contents[shown].tolist()], dtype=bool)
    class_sizes = np.bincount(images.classes[np.union1d(shown, _labelled(images, train))])
    return shown[(class_sizes[images.classes[shown]] >= 2) & has_x2]


def sample_triplets(
    images: ImageSet, indices: Indices, num: int, seed: int, others: Indices = NONE, train: Indices = NONE
) -> Triplets:
    """Sample mixes whose true result is one of the given images, where the set knows the truth.

    The truth is sampled first. Then B comes from a given image with its content and another class, or else from one of
    the `others`: x2, which brings all that a mix shows beside its class, is never an image of the training. A comes
    from another given image of its class, or, where the given ones hold none, from a training image of it: small
    classes have one held-out image, and x1 brings nothing but the class. Where no image is the truth of such a mix, A
    and B are any two of the given images and the truth is -1.

    Args:
        images: the set.
        indices: images that may be the truth (held-out ones).
        num: how many mixes.
        seed: of the sample.
        others: more images that may give B, held out too.
        train: training images, which may give A.

    Returns:
        `num` triplets; with fewer true images than that, each is the truth of several.
    """
    rng = np.random.default_rng([seed, 3])
    candidates = find_truths(images, indices, others, train)
    if len(candidates) == 0:
        pairs = rng.choice(indices, size=(num, 2), replace=True)
        return Triplets(pairs[:, 0], pairs[:, 1], np.full(num, UNLABELLED, dtype=np.int64))
    truth = rng.choice(candidates, size=num, replace=len(candidates) < num)
    given, more, known = (_labelled(images, index) for index in (indices, others, train))
    _, content_id = np.unique(images.contents, axis=0, return_inverse=True)
    a_from = _partners(images.classes, None, truth, (given, known), rng)
    return Triplets(a_from, _partners(content_id.reshape(-1), images.classes, truth, (given, more), rng), truth)


def _labelled(images: ImageSet, indices: Indices) -> Indices:
    return indices[(images.classes[indices] != UNLABELLED) & (images.contents[indices] != UNLABELLED).all(axis=1)]


def _partners(
    label: Indices, differs: Indices | None, wanted: Indices, pools: tuple[Indices, ...], rng: np.random.Generator
) -> Indices:
    """For each wanted image another one with the same label, and with a different second label if one is given.

    It comes from the first of the pools that has any.
    """
    by_label = [{value: pool[label[pool] == value] for value in np.unique(label[wanted]).tolist()} for pool in pools]
    partners = np.empty_like(wanted)
    for row, image in enumerate(wanted.tolist()):
        groups = (groups[int(label[image])] for groups in by_label)
        fits = (g[g != image] if differs is None else g[differs[g] != differs[image]] for g in groups)
        partners[row] = rng.choice(next(group for group in fits if len(group)))
    return partners
