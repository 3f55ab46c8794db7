"""Swap accuracy: do classifiers that know real images only see x1's class and x2's content in a mix?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import Groups, groups_of, interval
from chiasm.evaluation.classifiers import CLASS, ByteImages, Classifier, ClassMeans, Labels, factor_labels, prepare
from chiasm.evaluation.context import CLASSES, MAX_REAL, MetricResult, MixedSet
from chiasm.evaluation.fitting import predict
from chiasm.evaluation.format import Row, percent

SHOWN = {"mix": "mixes", "ceiling": "ceiling: real images", "copy_x1": "copy x1", "copy_x2": "copy x2"}


def measure(mixed: MixedSet) -> MetricResult:
    """How often classifiers of real images see x1's class and x2's contents in the mixes.

    Returns:
        For each factor the accuracies `mix`, `ceiling`, `copy_x1` and `copy_x2` of swap_accuracy, in [0, 1]. The class
        of held-out classes is read by means of every second image; the ceiling is that of the others, and mixes and
        copies count whose x1 and x2 are among the others.

    Source: docs/method.md, section 7.
    """
    context, part, (x1, x2, _) = mixed.context, mixed.part, mixed.triplets
    if context.classifier is None:
        return "no factor has two values in the training images, so that no classifier can be trained"
    images = context.images
    factors, labels = factor_labels(images)
    wanted = np.where(np.isin(factors, of_a(images.a_contents)), labels[x1], labels[x2])
    real = np.random.default_rng([context.seed, 19]).permutation(part.indices)[:MAX_REAL]
    real_labels, means, notes = labels[real], None, {}
    if part.name == CLASSES:
        known = every_second(images.classes, real)
        means = ClassMeans(context.classifier, images.gather(known), images.classes[known])
        # What made the means is not scored by them: x1 and x2 would find themselves.
        wanted[np.isin(x1, known) | np.isin(x2, known), 0] = UNLABELLED
        wanted[~np.isin(wanted[:, 0], means.values), 0] = UNLABELLED  # of many classes some have no mean
        real_labels[np.isin(real, known), 0] = UNLABELLED
        if len(means.values) < 2:
            wanted[:, 0] = UNLABELLED
        notes = {CLASS: "fewer than two held-out classes to tell apart, or too few images of these"}
    return notes | swap_accuracy(
        context.classifier,
        mixed.generated[0],
        images.gather(x1),
        images.gather(x2),
        (images.gather(real), real_labels, groups_of(images.classes, real)),
        wanted,
        factors,
        mixed.groups,
        means,
        context.seed,
        images.a_contents,
    )


def of_a(contents: tuple[str, ...]) -> tuple[str, ...]:
    """The factors that mixes have from x1: the class, and contents that belong to code A."""
    return (CLASS, *contents)


def every_second(classes: Labels, index: Labels) -> Labels:
    """Every second image of each class, the first among them; those without a class are left out."""
    index = index[classes[index] != UNLABELLED]
    by_class = index[np.argsort(classes[index], kind="stable")]
    _, starts, sizes = np.unique(classes[by_class], return_index=True, return_counts=True)
    return by_class[(np.arange(len(by_class)) - np.repeat(starts, sizes)) % 2 == 0]


def rows(values: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each factor."""
    yield "swap accuracy %", *SHOWN.values()
    for factor, rates in values.items():
        yield f"{factor} of x{rates['image']}", *(percent(rates[key]) for key in SHOWN)


def swap_accuracy(
    net: Classifier,
    mixes: Float[Tensor, "n 3 h w"],
    x1: ByteImages,
    x2: ByteImages,
    real: tuple[ByteImages, Labels, Groups],
    wanted: Labels,
    factors: tuple[str, ...],
    groups: Groups,
    means: ClassMeans | None = None,
    seed: int = 0,
    a_contents: tuple[str, ...] = (),
) -> dict[str, dict]:
    """Share of mixes with x1's class and each of x2's content values, beside a ceiling and both copies.

    Args:
        net: trained on real training images only.
        mixes: x_a1b2, in [-1, 1].
        x1: the images that gave A.
        x2: the images that gave B.
        real: held-out images, their factors [m, factors] and groups: the accuracy on these is the ceiling.
        wanted: [n, factors] what the mixes should show.
        factors: names, in the order of the classifier's heads.
        groups: [n] what the bootstrap resamples each mix with.
        means: reads the class instead of the classifier's head, for classes that it was not trained on.
        seed: of the bootstrap.
        a_contents: factors that mixes have from x1, beside the class.

    Returns:
        For each factor `mix`, `ceiling`, `copy_x1`, `copy_x2`, and as `image` 1 or 2, of which it is; a factor
        without labels is left out.
    """
    shown = {"mix": mixes, "copy_x1": torch.from_numpy(x1), "copy_x2": torch.from_numpy(x2)}
    read = {name: _read(net, means, images) for name, images in shown.items()}
    real_images, real_labels, real_groups = real
    read_real = _read(net, means, torch.from_numpy(real_images))
    results: dict[str, dict] = {}
    for k, factor in enumerate(factors):
        known, known_real = wanted[:, k] != UNLABELLED, real_labels[:, k] != UNLABELLED
        if not (known.any() and known_real.any()):
            continue
        right_real = (read_real[:, k] == real_labels[:, k])[known_real]
        results[factor] = {
            name: interval((values[:, k] == wanted[:, k])[known], groups[known], seed=seed)
            for name, values in read.items()
        }
        results[factor]["ceiling"] = interval(right_real, real_groups[known_real], seed=seed)
        results[factor]["image"] = 1 if factor in of_a(a_contents) else 2
    return results


def _read(net: Classifier, means: ClassMeans | None, images: Tensor) -> Labels:
    read = predict(net, images, prepare)
    if means is not None:
        read[:, 0] = means.predict(images)
    return read
