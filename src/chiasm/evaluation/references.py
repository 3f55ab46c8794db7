"""Images that need no model, against which a mix is to be measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from chiasm.data import ImageSet

Indices = NDArray[np.int64]
ByteImages = NDArray[np.uint8]

MAX_MEAN = 20_000
CHUNK = 256


def mean_image(images: ImageSet, indices: Indices, seed: int = 0) -> NDArray[np.float32]:
    """The mean of images, [3, side, side] on [-1, 1].

    Args:
        images: the set.
        indices: of the training images; of more than MAX_MEAN, that many are sampled.
        seed: of that sample.
    """
    if len(indices) > MAX_MEAN:
        indices = np.random.default_rng([seed, 7]).choice(indices, MAX_MEAN, replace=False)
    total = np.zeros(images.images.shape[1:], dtype=np.float64)
    for start in range(0, len(indices), CHUNK):
        total += images.gather(indices[start : start + CHUNK]).sum(axis=0, dtype=np.float64)
    return (total / (127.5 * max(1, len(indices))) - 1.0).astype(np.float32)


def same_class(
    images: ImageSet, a_from: Indices, b_from: Indices, truth: Indices, pool: Indices, matched: Sequence[int] = ()
) -> list[Indices]:
    """For each mix the images of x1's class that share some of x2's contents.

    Args:
        images: the set.
        a_from: [m] the images x1, whose class is wanted.
        b_from: [m] the images x2, whose contents are wanted.
        truth: [m] the images that are left out; -1 where there is none.
        pool: images to choose from.
        matched: columns of the contents that must be x2's.

    Returns:
        m arrays of indices, of any length.
    """
    columns = list(matched)
    groups = defaultdict(list)
    shown = np.column_stack([images.classes[pool], images.contents[pool][:, columns]]).tolist()
    for image, shows in zip(pool.tolist(), shown, strict=True):
        groups[tuple(shows)].append(image)
    by_factors = {shows: np.array(group) for shows, group in groups.items()}
    wanted = np.column_stack([images.classes[a_from], images.contents[b_from][:, columns]]).tolist()
    found = (by_factors.get(tuple(shows), truth[:0]) for shows in wanted)
    return [group[group != true] for group, true in zip(found, truth.tolist(), strict=True)]


def most_similar(images: ImageSet, wanted: Indices, candidates: Sequence[Indices]) -> list[Indices]:
    """For each wanted image the candidate nearest to it in pixels (L1), in an array of one; of none where none is."""
    found = []
    for image, group in zip(images.gather(wanted).astype(np.int16), candidates, strict=True):
        distance = np.abs(images.gather(group) - image).sum(axis=(1, 2, 3), dtype=np.int64)
        found.append(group[np.argsort(distance, kind="stable")[:1]])
    return found


def other_contents(images: ImageSet, truth: Indices, candidates: Sequence[Indices]) -> list[Indices]:
    """Those of the candidates that do not show the same contents as the true image."""
    pairs = zip(images.contents[truth], candidates, strict=True)
    return [group[(images.contents[group] != contents).any(axis=1)] for contents, group in pairs]


def median_images(images: ImageSet, groups: Sequence[Indices]) -> Float[Tensor, "m 3 h w"]:
    """The pixelwise median of each group of images, on [-1, 1]; NaN for a group of none.

    The median has the smallest L1 to the group that a single image can have: the best guess where no more is known.
    """
    medians = np.full((len(groups), *images.images.shape[1:]), np.nan, dtype=np.float32)
    for row, group in enumerate(groups):
        if len(group):
            medians[row] = np.median(images.gather(group), axis=0)
    return torch.from_numpy(medians / 127.5 - 1.0)
