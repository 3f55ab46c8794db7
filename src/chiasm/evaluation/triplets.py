"""Which images to mix, and which image shows the truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chiasm.data import UNLABELLED, ImageSet

Indices = NDArray[np.int64]


class Triplets(NamedTuple):
    """Images to mix: A of one, B of another, and the image that shows the result (-1: unknown)."""

    a_from: Indices
    b_from: Indices
    truth: Indices


def sample_triplets(images: ImageSet, indices: Indices, num: int, seed: int) -> Triplets:
    """Sample mixes whose true result is one of the given images, where the set knows the truth.

    The truth is sampled first. Then A comes from another image of its class, B from an image with its content and
    another class; both from the given images where these have one, otherwise from the whole set. Where the contents
    are unknown or do not say all, A and B are any two of the given images and the truth is -1.

    Args:
        images: the set.
        indices: images that may be the truth (held-out ones).
        num: how many mixes at most.
        seed: of the sample.

    Returns:
        `num` triplets, or fewer where images lack a partner.
    """
    rng = np.random.default_rng([seed, 3])
    if not (images.content_names and images.contents_complete and images.has_classes):
        pairs = rng.choice(indices, size=(num, 2), replace=True)
        return Triplets(pairs[:, 0], pairs[:, 1], np.full(num, UNLABELLED, dtype=np.int64))
    labelled = (images.classes != UNLABELLED) & (images.contents != UNLABELLED).all(axis=1)
    candidates = indices[labelled[indices]]
    if len(candidates) == 0:
        return Triplets(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
    _, content_id = np.unique(images.contents, axis=0, return_inverse=True)
    truth = rng.choice(candidates, size=num, replace=len(candidates) < num)
    a_from = _partners(images.classes, None, truth, indices, labelled, rng)
    b_from = _partners(content_id.reshape(-1), images.classes, truth, indices, labelled, rng)
    found = (a_from >= 0) & (b_from >= 0)
    return Triplets(a_from[found], b_from[found], truth[found])


def _partners(
    label: Indices,
    differs: Indices | None,
    wanted: Indices,
    preferred: Indices,
    usable: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Indices:
    """For each wanted image another one with the same label (and, if asked, a different second label)."""
    is_preferred = np.zeros(len(label), dtype=bool)
    is_preferred[preferred] = True
    groups = {value: np.flatnonzero((label == value) & usable) for value in np.unique(label[wanted]).tolist()}
    partners = np.full(len(wanted), -1, dtype=np.int64)
    for row, image in enumerate(wanted.tolist()):
        group = groups[int(label[image])]
        group = group[group != image] if differs is None else group[differs[group] != differs[image]]
        pool = group[is_preferred[group]]
        pool = pool if len(pool) else group
        if len(pool):
            partners[row] = rng.choice(pool)
    return partners
