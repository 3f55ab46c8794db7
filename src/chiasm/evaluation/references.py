"""Images that need no model, against which a mix is to be measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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


def retrieve(images: ImageSet, a_from: Indices, b_from: Indices, truth: Indices, pool: Indices) -> Indices:
    """For each mix the image of x1's class that is nearest to x2 in pixels (L1).

    A strong reference: it generates nothing, so its images are sharp and of the right class.

    Args:
        images: the set.
        a_from: [m] the images x1, whose class is wanted.
        b_from: [m] the images x2, whose content is wanted.
        truth: [m] the images that may not be returned; -1 where there is none.
        pool: images to choose from.

    Returns:
        [m] indices; -1 where the pool holds no other image of the class.
    """
    by_class = {c: pool[images.classes[pool] == c] for c in np.unique(images.classes[a_from]).tolist()}
    found = np.full(len(a_from), -1, dtype=np.int64)
    wanted = images.gather(b_from).astype(np.int16)
    for row, label in enumerate(images.classes[a_from].tolist()):
        candidates = by_class[label][by_class[label] != truth[row]]
        if len(candidates):
            distance = np.abs(images.gather(candidates) - wanted[row]).sum(axis=(1, 2, 3), dtype=np.int64)
            found[row] = candidates[np.argmin(distance)]
    return found
