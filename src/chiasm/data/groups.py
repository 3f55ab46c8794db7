"""Groups of images that show about the same, found without labels of it; of a class about one image is in each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from chiasm.data.batches import Indices
from chiasm.data.image_set import UNLABELLED, ImageSet

Vectors = NDArray[np.float32]

# All chosen by how often images of a group of typefaces show the same character, see docs/lab-notes.md.
NUM_DIRECTIONS, SHARPNESS, CELLS = 4, 4, 8
NUM_STYLES, RIDGE = 8, 20.0
NUM_STARTS, NUM_ROUNDS, NUM_STYLED = 3, 20, 10
SURE = 0.75
CHUNK = 1024


def content_groups(images: ImageSet, indices: Indices, num: int, seed: int) -> Indices:
    """The group of each of some images.

    K-means on how edges run in each place, where an image goes to the nearest mean that no other image of its class has
    taken: images of a class show different things. Then again with means that follow how a class looks as a whole.

    Args:
        images: with the labels that training may see.
        indices: [m] those to group.
        num: how many groups; of a class with more images than that, several share one.
        seed: of the start, which are the images of large classes.

    Returns:
        [m] numbers from 0 to num - 1, or UNLABELLED for images without a class and for the least sure quarter.

    Source: docs/method.md, section 4.3; k-means under constraints, Wagstaff et al. 2001, whose "cannot link" holds
    within a class and is kept exactly by an assignment (Kuhn 1955).
    """
    classes = images.classes[indices]
    of_class = [np.flatnonzero(classes == label) for label in np.unique(classes[classes != UNLABELLED])]
    if not of_class:
        return np.full(len(indices), UNLABELLED)
    seen = _edges(images, indices)
    styles = _styles(np.stack([seen[rows].mean(axis=0) for rows in of_class]))
    for rows in of_class:
        seen[rows] -= seen[rows].mean(axis=0)
        seen[rows] /= np.sqrt(np.square(seen[rows]).mean()) + np.float32(1e-6)
    rng = np.random.default_rng([seed, 59])
    starts = [_start(seen, of_class, num, rng) for _ in range(NUM_STARTS)]
    tries = [_rounds(seen, of_class, styles[:, :1], means, NUM_ROUNDS) for means in starts]
    means = min(tries, key=lambda found: found.total).weights
    weights = np.concatenate([means, np.zeros((num, styles.shape[1] - 1, seen.shape[1]), dtype=np.float32)], axis=1)
    found = _rounds(seen, of_class, styles, weights, NUM_STYLED)
    labelled = found.group != UNLABELLED
    return np.where(found.doubt <= np.quantile(found.doubt[labelled], SURE), found.group, UNLABELLED)


def _edges(images: ImageSet, indices: Indices) -> Vectors:
    """[m, directions x cells x cells] how much edge of each direction is about each place.

    Source: histograms of oriented gradients, Dalal & Triggs 2005, with soft bins.
    """
    chunks = [indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)]
    return np.concatenate([_edges_of(images.gather(chunk)) for chunk in chunks])


def _edges_of(pixels: NDArray[np.uint8]) -> Vectors:
    grey = pixels.mean(axis=1, dtype=np.float32) / 127.5 - 1
    side = grey.shape[1]
    down, across = np.gradient(gaussian_filter(grey, (0, side / 48, side / 48)), axis=(1, 2))
    strength, angle = np.hypot(down, across), np.arctan2(down, across)
    turns = np.arange(NUM_DIRECTIONS, dtype=np.float32) * np.float32(np.pi / NUM_DIRECTIONS)
    along = np.abs(np.cos(angle[:, None] - turns[:, None, None])) ** SHARPNESS * strength[:, None]
    step = max(1, side // CELLS)
    return gaussian_filter(along, (0, 0, side / 16, side / 16))[:, :, ::step, ::step].reshape(len(pixels), -1)


def _styles(looks: Vectors) -> Vectors:
    """[classes, 1 + styles] a one, and how each class looks as a whole: its principal components, of unit variance."""
    looks = looks / (np.linalg.norm(looks, axis=1, keepdims=True) + np.float32(1e-6))
    left = np.linalg.svd(looks - looks.mean(axis=0), full_matrices=False)[0]
    ones = np.ones((len(looks), 1), dtype=np.float32)
    return np.concatenate([ones, left[:, :NUM_STYLES] * np.float32(np.sqrt(len(looks)))], axis=1)


def _start(seen: Vectors, of_class: list[Indices], num: int, rng: np.random.Generator) -> Vectors:
    """[num, 1, features] the first means: images of large classes, one class after the other."""
    largest = sorted(of_class, key=len)[-max(1, len(of_class) // 4) :]
    images = np.concatenate([largest[i] for i in rng.permutation(len(largest))])
    return seen[np.resize(images, num)][:, None]


class _Found(NamedTuple):
    """Groups by given means.

    Attributes:
        weights: [num, 1 + styles, features] what turns a class's styles into the means.
        group: [m] of each image.
        doubt: [m] its squared distance from its mean, as a share of that from the nearest other one.
        total: the sum of the squared distances.
    """

    weights: Vectors
    group: Indices
    doubt: Vectors
    total: float


def _rounds(seen: Vectors, of_class: list[Indices], styles: Vectors, weights: Vectors, num: int) -> _Found:
    """Groups and means in turns."""
    style_of = np.zeros((len(seen), styles.shape[1]), dtype=np.float32)
    for rows, style in zip(of_class, styles, strict=True):
        style_of[rows] = style
    for _ in range(num - 1):
        weights = _fit(seen, style_of, _assign(seen, of_class, styles, weights).group, weights)
    return _assign(seen, of_class, styles, weights)


def _assign(seen: Vectors, of_class: list[Indices], styles: Vectors, weights: Vectors) -> _Found:
    """The nearest groups for all images of a class together."""
    total, num = 0.0, len(weights)
    group, doubt = np.full(len(seen), UNLABELLED), np.zeros(len(seen), dtype=np.float32)
    for rows, style in zip(of_class, styles, strict=True):
        distance = cdist(seen[rows], np.tensordot(weights, style, axes=(1, 0)), "sqeuclidean")
        chosen = linear_sum_assignment(np.tile(distance, -(-len(rows) // num)))[1] % num
        place = np.arange(len(rows)), chosen
        own = distance[place]
        distance[place] = np.inf
        group[rows], doubt[rows] = chosen, own / distance.min(axis=1).clip(min=1e-6)
        total += float(own.sum())
    return _Found(weights, group, doubt, total)


def _fit(seen: Vectors, style_of: Vectors, group: Indices, weights: Vectors) -> Vectors:
    """[num, 1 + styles, features] by ridge regression what turns a class's styles into the mean of each group."""
    fitted = weights.copy()
    ridge = RIDGE * np.eye(style_of.shape[1], dtype=np.float32)
    ridge[0, 0] = 1e-6
    for k in np.unique(group[group != UNLABELLED]):
        styles = style_of[group == k]
        fitted[k] = np.linalg.solve(styles.T @ styles + ridge, styles.T @ seen[group == k])
    return fitted
