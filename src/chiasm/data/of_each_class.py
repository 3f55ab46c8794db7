"""Some images of every class, for what must know all classes of the training."""

import numpy as np
from numpy.typing import NDArray

from chiasm.data.batches import Indices
from chiasm.data.image_set import UNLABELLED, ImageSet

NUM_CLASSES = 256
NUM_EACH = 32
"""Images of a class: enough for one with about any content."""


def of_each_class(images: ImageSet, indices: Indices, seed: int) -> Indices:
    """Images of every class, as many of each; those of classes that have fewer come several times.

    Args:
        images: with the labels that training may see.
        indices: those to choose from.
        seed: of the choice, where there are more than NUM_CLASSES classes or NUM_EACH images of one.

    Returns:
        [classes, each] indices.
    """
    rng = np.random.default_rng([seed, 53])
    shuffled = rng.permutation(indices)
    classes = images.classes[shuffled]
    present = rng.permutation(np.unique(classes[classes != UNLABELLED]))[:NUM_CLASSES]
    each = [shuffled[classes == c] for c in np.sort(present)]
    size = min(NUM_EACH, max(map(len, each), default=0))
    return np.array([np.resize(of_class, size) for of_class in each], dtype=np.int64).reshape(len(each), size)


def come_first(index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[classes, each] whether an image of of_each_class comes for the first time: copies follow all of a class."""
    num_images = np.array([len(np.unique(of_class)) for of_class in index], dtype=np.int64)
    return np.arange(index.shape[1]) < num_images[:, None]
