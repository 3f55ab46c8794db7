"""Similar images: the most similar of the same class (positives) and of other classes (negatives)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.data.image_set import UNLABELLED, ImageSet

Indices = NDArray[np.int64]

PIXEL_STRIDE = 4
"""Of every so many rows and columns one is compared with the candidates of the same class."""
BANK_SIZE = 16_384
BANK_CHUNK = 512
NUM_SIMILAR = 4
SMALL_PX = 8


def most_similar(images: ImageSet, x: NDArray[np.uint8], candidates: Indices) -> Indices:
    """For each image the most similar one, by L1, of its own candidates.

    Args:
        images: the set that the candidates are of.
        x: [n, 3, side, side] the images.
        candidates: [n, m] indices of images.

    Returns:
        [n] indices.
    """
    few = np.s_[..., ::PIXEL_STRIDE, ::PIXEL_STRIDE]
    seen = images.gather(candidates.ravel())[few].reshape(*candidates.shape, -1).astype(np.int16)
    distance = np.abs(seen - x[few].reshape(len(x), 1, -1)).sum(axis=2)
    return candidates[np.arange(len(x)), distance.argmin(axis=1)]


class NegativeBank:
    """Small versions of some images, among which similar ones of other classes are searched.

    Args:
        images: all images.
        indices: [m] those to search; of more than BANK_SIZE, that many are sampled.
        rng: of the sample.
    """

    def __init__(self, images: ImageSet, indices: Indices, rng: np.random.Generator) -> None:
        self.index = indices if len(indices) <= BANK_SIZE else np.sort(rng.choice(indices, BANK_SIZE, replace=False))
        chunks = [self.index[start : start + BANK_CHUNK] for start in range(0, len(self.index), BANK_CHUNK)]
        self.small = np.concatenate([_small(images.gather(chunk)) for chunk in chunks])
        self.square = (self.small**2).sum(axis=1)
        self.classes = images.classes[self.index]
        self.num_similar = min(NUM_SIMILAR, len(self.index))

    def most_similar(self, x: NDArray[np.uint8], classes: Indices, choice: Indices) -> Indices:
        """For each image one of the num_similar most similar to it among those of other classes.

        Args:
            x: [n, 3, side, side] the images.
            classes: [n] of theirs; of an unlabelled image only the most similar of all, itself, is left out.
            choice: [n] which of the most similar ones, from 0 to num_similar - 1.

        Returns:
            [n] indices.
        """
        distance = self.square - 2 * _small(x) @ self.small.T  # n, bank; less a constant of each image
        unlabelled = np.flatnonzero(classes == UNLABELLED)
        distance[unlabelled, distance[unlabelled].argmin(axis=1)] = np.inf
        distance[(self.classes == classes[:, None]) & (classes[:, None] != UNLABELLED)] = np.inf
        nearest = np.argpartition(distance, self.num_similar - 1, axis=1)[:, : self.num_similar]
        return self.index[nearest[np.arange(len(x)), choice]]


def shrink(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[n, 3, side, side] bytes -> means over blocks of at least 8 x 8 pixels, [n, 3, height, width], about [-1, 1]."""
    num, channels, side, _ = images.shape
    block = max(1, side // SMALL_PX)
    kept = side // block * block
    blocks = images[:, :, :kept, :kept].reshape(num, channels, kept // block, block, kept // block, block)
    return blocks.mean(axis=(3, 5), dtype=np.float32) / 127.5 - 1


def _small(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Likewise, flat."""
    return shrink(images).reshape(len(images), -1)
