"""Whether a mirror shows a thing of the same class, as far as the images tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.data.image_set import UNLABELLED, ImageSet
from chiasm.data.negatives import shrink

MAX_CLASSES, MAX_PER_CLASS = 64, 32
MIN_PER_CLASS = 4
MAX_SHARE = 0.03
"""Avatars have 0 or less, CelebA and typefaces 0.02 to 0.08, cmu-faces 0.1 to 0.15, hands that sign digits over 0.5."""


def tells_no_side(images: ImageSet, train: NDArray[np.int64]) -> bool:
    """Whether classes can hardly be told by what differs between left and right.

    Each class's images are cut into two halves. What the mean image of a half has of its own, beside the mean over all
    classes, is the class as far as the halves agree on it: its scalar product between the halves. That of the part
    that a mirror turns round must be at most MAX_SHARE of that of the part which it leaves as it is.

    Args:
        images: with the labels that training may see.
        train: those that it learns from.

    Returns:
        False also where fewer than two classes have MIN_PER_CLASS images.
    """
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(train[images.classes[train] != UNLABELLED])
    values, counts = np.unique(images.classes[shuffled], return_counts=True)
    halves = []
    for value in rng.permutation(values[counts >= MIN_PER_CLASS])[:MAX_CLASSES]:
        x = shrink(images.gather(shuffled[images.classes[shuffled] == value][:MAX_PER_CLASS]))
        halves.append([x[::2].mean(axis=0), x[1::2].mean(axis=0)])
    if len(halves) < 2:
        return False
    of_class = np.array(halves)  # classes, 2 halves, 3, height, width
    of_class -= of_class.mean(axis=0)
    mirrored = of_class[..., ::-1]
    turned, kept = ((part[:, 0] * part[:, 1]).sum() for part in (of_class - mirrored, of_class + mirrored))
    return bool(turned <= MAX_SHARE * kept)
