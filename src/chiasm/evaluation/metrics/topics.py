"""Each metric of the evaluation: the mixes of one part in, results out, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import groups_of, interval, ratio_interval
from chiasm.evaluation.classifiers import CLASS, ClassMeans, factor_labels, swap_accuracy
from chiasm.evaluation.context import CLASSES, EvaluationContext, MixedSet
from chiasm.evaluation.metrics.realism import MIN_IMAGES, realism
from chiasm.evaluation.metrics.shortcuts import alarms, copies, ratio, shortcut_ratios
from chiasm.evaluation.metrics.swap_error import image_errors, recombination_errors, summarise
from chiasm.evaluation.probes import fit_factor, read_factor
from chiasm.evaluation.references import Indices
from chiasm.evaluation.swap import l1
from chiasm.inference import to_unit

Answer = dict[str, Any] | str
"""Results, or the reason why there are none; such reasons may stand in for any of the results too."""

MAX_REAL = 4_000
MAX_PAIRS = 256


def measure_swap(mixed: MixedSet) -> Answer:
    """Errors against the true recombination, beside the references."""
    context, triplets = mixed.context, mixed.triplets
    mixes, reconstructions = mixed.generated
    if mixed.has_truth:
        errors = recombination_errors(context.images, triplets, mixes, reconstructions, mixed.part.pool, context.mean)
        missing = {} if "retrieval" in errors else {"retrieval": "some class has no other image to choose from"}
        return summarise(errors, mixed.groups, context.seed) | missing
    x1 = to_unit(torch.from_numpy(context.images.gather(mixed.target)))
    results = summarise({"reconstruction": image_errors(reconstructions, x1)}, mixed.groups, context.seed)
    reason = "what an image shows beside its class is not known, or not completely"
    return results | {"swap": reason if context.images.has_classes else "the images have no classes"}


def measure_leakage(mixed: MixedSet) -> Answer:
    """What probes read from the codes, factor by factor.

    Probes learn from training images; those of classes that these do not show, from half of the held-out images.
    """
    context, part = mixed.context, mixed.part
    factors, labels = factor_labels(context.images)
    if (labels == UNLABELLED).all():
        return "the images have neither classes nor known contents"
    index = np.random.default_rng([context.seed, 31]).permutation(part.indices)[:MAX_REAL]
    inputs, groups = context.inputs(index), groups_of(context.images.classes, index)
    results: dict[str, Any] = {}
    for k, factor in enumerate(factors):
        wanted, test = labels[index, k], np.arange(len(index))
        if factor == CLASS and part.name == CLASSES:
            by_class = np.argsort(wanted, kind="stable")
            fit, test = by_class[::2], by_class[1::2]
            fitted = fit_factor(_rows(inputs, fit), context.noises, wanted[fit], context.seed)
        else:
            fitted = context.probes(k)
        results[factor] = (
            fitted
            if isinstance(fitted, str)
            else read_factor(fitted, _rows(inputs, test), wanted[test], groups[test], context.seed)
        )
        if not context.noises and isinstance(results[factor], dict):
            results[factor]["b_used"] = results[factor]["b"]
    return results


def measure_swap_accuracy(mixed: MixedSet) -> Answer:
    """What classifiers of real images see in the mixes."""
    context, part, (x1, x2, _) = mixed.context, mixed.part, mixed.triplets
    if context.net is None:
        return "no factor has two values in the training images, so that no classifier can be trained"
    images = context.images
    factors, labels = factor_labels(images)
    wanted = np.column_stack([labels[x1, :1], labels[x2, 1:]])
    means, notes = None, {}
    if part.name == CLASSES:
        if len(np.unique(images.classes[part.indices])) > 1:
            means = ClassMeans(context.net, images.gather(part.indices), images.classes[part.indices])
        else:
            wanted[:, 0] = UNLABELLED
            notes = {CLASS: "fewer than two held-out classes to tell apart"}
    real = np.random.default_rng([context.seed, 19]).permutation(part.indices)[:MAX_REAL]
    return notes | swap_accuracy(
        context.net,
        mixed.generated[0],
        images.gather(x1),
        images.gather(x2),
        (images.gather(real), labels[real], groups_of(images.classes, real)),
        wanted,
        factors,
        mixed.groups,
        means,
        context.seed,
    )


def measure_shortcuts(mixed: MixedSet) -> Answer:
    """Copy-through, use of the codes, hidden signals; and the alarms that these sound."""
    context, (x1, x2, _) = mixed.context, mixed.triplets
    classes = context.images.classes
    differ = np.flatnonzero((classes[x1] != classes[x2]) | ((classes[x1] == UNLABELLED) & (x1 != x2)))[:MAX_PAIRS]
    if len(differ) == 0:
        return "no two mixed images differ in class"
    ratios = shortcut_ratios(context.model, context.images.gather(x1[differ]), context.images.gather(x2[differ]))
    results: dict[str, Any] = {
        name: ratio_interval(*pair, mixed.groups[differ], seed=context.seed) for name, pair in ratios.items()
    }
    if mixed.has_truth:
        results |= _true_copies(context, *(index[differ] for index in mixed.triplets))
    return results | {"alarms": alarms({name: ratio(*pair) for name, pair in ratios.items()})}


def _true_copies(context: EvaluationContext, x1: Indices, x2: Indices, truth: Indices) -> dict[str, dict[str, float]]:
    """The share of copies among the true mixes: what an honest model would score.

    Where x1 has x2's content but for a detail, the true mix is nearly x1.
    """
    first, second, true = (to_unit(torch.from_numpy(context.images.gather(index))) for index in (x1, x2, truth))
    groups, apart = groups_of(context.images.classes, truth), l1(first, second)
    return {
        f"copy_{name}_true": interval(copies(l1(true, x), apart).numpy(), groups, seed=context.seed)
        for name, x in (("x1", first), ("x2", second))
    }


def measure_realism(mixed: MixedSet) -> Answer:
    """Distances of mixes and reconstructions to held-out images, as sets."""
    context, images = mixed.context, mixed.context.images
    if context.net is None:
        return "its features are those of a classifier, which needs classes or known contents"
    rng = np.random.default_rng([context.seed, 23])
    real, train = (rng.permutation(index)[: context.num] for index in (mixed.part.indices, context.train))
    if min(len(real), len(train), len(mixed.triplets.truth)) < MIN_IMAGES:
        return f"fewer than {MIN_IMAGES} images"
    mixes, reconstructions = mixed.generated
    generated = {"mixes": mixes, "reconstructions": reconstructions}
    real_images, train_images = (torch.from_numpy(images.gather(index)) for index in (real, train))
    truth = torch.from_numpy(images.gather(mixed.triplets.truth)) if mixed.has_truth else None
    return realism(context.net, generated, real_images, train_images, truth, context.seed)


def _rows(inputs: dict[str, Tensor], rows: Indices) -> dict[str, Tensor]:
    return {name: x[torch.from_numpy(rows)] for name, x in inputs.items()}


METRICS: dict[str, Callable[[MixedSet], Answer]] = {
    "swap": measure_swap,
    "leakage": measure_leakage,
    "swap_accuracy": measure_swap_accuracy,
    "shortcuts": measure_shortcuts,
    "realism": measure_realism,
}
