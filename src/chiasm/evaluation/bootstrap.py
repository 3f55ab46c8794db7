"""Intervals: how far a mean could be off, by resampling its images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.data import UNLABELLED

NUM_RESAMPLES = 2000
COVERAGE = 0.95
MIN_GROUPS = 8
HOW = (
    f"{COVERAGE:.0%} percentile bootstrap of {NUM_RESAMPLES} resamples, by class of the true image (x1 where none is "
    f"known); by true image where there are fewer than {MIN_GROUPS} classes"
)

Groups = NDArray[np.int64]


def interval(values: NDArray, groups: Groups, *, seed: int = 0) -> dict[str, float]:
    """Mean of values and its bootstrap interval.

    Whole groups are resampled (cluster bootstrap), since images of one class err alike.

    Args:
        values: [n], n >= 1; of any number type, bool included.
        groups: [n] the group of each value, see groups_of().
        seed: of the resampling.

    Returns:
        `mean`, `low`, `high` and `n`.

    Raises:
        ValueError: if there are no values, or some are not finite.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13.
    """
    return ratio_interval(values, np.ones(len(values)), groups, seed=seed)


def ratio_interval(values: NDArray, base: NDArray, groups: Groups, *, seed: int = 0) -> dict[str, float]:
    """Ratio of two means over the same images and its bootstrap interval, as interval().

    Args:
        values: [n], n >= 1.
        base: [n] with a positive mean, in the order of values.
        groups: see interval().
        seed: of the resampling.

    Raises:
        ValueError: if there are no values, or some are not finite.
    """
    if len(values) == 0:
        raise ValueError("bootstrap: got no values; leave out what was not measured.")
    if not (np.isfinite(values).all() and np.isfinite(base).all()):
        raise ValueError("bootstrap: got values that are not finite; the model or its images hold NaN or infinity.")
    _, place = np.unique(groups, return_inverse=True)
    num_groups = int(place.max()) + 1
    sums = np.bincount(place, np.asarray(values, dtype=np.float64), num_groups)
    bases = np.bincount(place, np.asarray(base, dtype=np.float64), num_groups)
    resampled = np.random.default_rng([seed, 5]).integers(0, num_groups, size=(NUM_RESAMPLES, num_groups))
    ratios = sums[resampled].sum(axis=1) / np.maximum(bases[resampled].sum(axis=1), 1e-12)
    low, high = np.quantile(ratios, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    mean = sums.sum() / max(float(bases.sum()), 1e-12)
    return {"mean": float(mean), "low": float(low), "high": float(high), "n": len(values)}


def groups_of(classes: Groups, index: Groups) -> Groups:
    """What is resampled as a whole: the images of a class; with fewer than MIN_GROUPS classes, each image.

    Args:
        classes: of all images of the set, or UNLABELLED.
        index: [n] the image that each value belongs to; several values may belong to one.

    Returns:
        [n] the group of each value.
    """
    labels = classes[index]
    if len(np.unique(labels)) < MIN_GROUPS:
        return index
    return np.where(labels == UNLABELLED, len(classes) + index, labels)
