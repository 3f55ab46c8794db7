"""Each topic of the evaluation: the mixes of one part in, results out, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import groups_of, interval, ratio_interval
from chiasm.evaluation.cheats import alarms, cheat_ratios, copies, ratio
from chiasm.evaluation.classifiers import CLASS, ClassMeans, factor_labels, swap_accuracy
from chiasm.evaluation.inference import to_unit
from chiasm.evaluation.probes import fit_factor, read_factor
from chiasm.evaluation.realism import MIN_PICTURES, realism
from chiasm.evaluation.recombination import picture_errors, recombination_errors, summarise
from chiasm.evaluation.references import Indices
from chiasm.evaluation.sample import CLASSES, Bench, Sample
from chiasm.evaluation.swap import l1

Answer = dict[str, Any] | str
"""Results, or the reason why there are none; such reasons may stand in for any of the results too."""

MAX_REAL = 4_000
MAX_PAIRS = 256


def measure_swap(sample: Sample) -> Answer:
    """Errors against the true recombination, beside the references."""
    bench, triplets = sample.bench, sample.triplets
    mixes, reconstructions = sample.drawn
    if sample.has_truth:
        errors = recombination_errors(bench.images, triplets, mixes, reconstructions, sample.part.pool, bench.mean)
        missing = {} if "retrieval" in errors else {"retrieval": "some class has no other picture to choose from"}
        return summarise(errors, sample.groups, bench.seed) | missing
    x1 = to_unit(torch.from_numpy(bench.images.gather(sample.target)))
    results = summarise({"reconstruction": picture_errors(reconstructions, x1)}, sample.groups, bench.seed)
    reason = "what a picture shows beside its class is not known, or not completely"
    return results | {"swap": reason if bench.images.has_classes else "the pictures have no classes"}


def measure_leakage(sample: Sample) -> Answer:
    """What probes read from the codes, factor by factor.

    Probes learn from training pictures; those of classes that these do not show, from half of the held-out pictures.
    """
    bench, part = sample.bench, sample.part
    factors, labels = factor_labels(bench.images)
    if (labels == UNLABELLED).all():
        return "the pictures have neither classes nor known contents"
    index = np.random.default_rng([bench.seed, 31]).permutation(part.indices)[:MAX_REAL]
    inputs, groups = bench.inputs(index), groups_of(bench.images.classes, index)
    results: dict[str, Any] = {}
    for k, factor in enumerate(factors):
        wanted, test = labels[index, k], np.arange(len(index))
        if factor == CLASS and part.name == CLASSES:
            by_class = np.argsort(wanted, kind="stable")
            fit, test = by_class[::2], by_class[1::2]
            fitted = fit_factor(_rows(inputs, fit), bench.noises, wanted[fit], bench.seed)
        else:
            fitted = bench.probes(k)
        results[factor] = (
            fitted
            if isinstance(fitted, str)
            else read_factor(fitted, _rows(inputs, test), wanted[test], groups[test], bench.seed)
        )
        if not bench.noises and isinstance(results[factor], dict):
            results[factor]["b_used"] = results[factor]["b"]
    return results


def measure_swap_accuracy(sample: Sample) -> Answer:
    """What classifiers of real pictures see in the mixes."""
    bench, part, (x1, x2, _) = sample.bench, sample.part, sample.triplets
    if bench.net is None:
        return "no factor has two values in the training pictures, so that no classifier can be trained"
    images = bench.images
    factors, labels = factor_labels(images)
    wanted = np.column_stack([labels[x1, :1], labels[x2, 1:]])
    means, notes = None, {}
    if part.name == CLASSES:
        if len(np.unique(images.classes[part.indices])) > 1:
            means = ClassMeans(bench.net, images.gather(part.indices), images.classes[part.indices])
        else:
            wanted[:, 0] = UNLABELLED
            notes = {CLASS: "fewer than two held-out classes to tell apart"}
    real = np.random.default_rng([bench.seed, 19]).permutation(part.indices)[:MAX_REAL]
    return notes | swap_accuracy(
        bench.net,
        sample.drawn[0],
        images.gather(x1),
        images.gather(x2),
        (images.gather(real), labels[real], groups_of(images.classes, real)),
        wanted,
        factors,
        sample.groups,
        means,
        bench.seed,
    )


def measure_cheats(sample: Sample) -> Answer:
    """Copy-through, use of the codes, hidden signals; and the alarms that these sound."""
    bench, (x1, x2, _) = sample.bench, sample.triplets
    classes = bench.images.classes
    differ = np.flatnonzero((classes[x1] != classes[x2]) | ((classes[x1] == UNLABELLED) & (x1 != x2)))[:MAX_PAIRS]
    if len(differ) == 0:
        return "no two mixed pictures differ in class"
    ratios = cheat_ratios(bench.model, bench.images.gather(x1[differ]), bench.images.gather(x2[differ]))
    results: dict[str, Any] = {
        name: ratio_interval(*pair, sample.groups[differ], seed=bench.seed) for name, pair in ratios.items()
    }
    if sample.has_truth:
        results |= _true_copies(bench, *(index[differ] for index in sample.triplets))
    return results | {"alarms": alarms({name: ratio(*pair) for name, pair in ratios.items()})}


def _true_copies(bench: Bench, x1: Indices, x2: Indices, truth: Indices) -> dict[str, dict[str, float]]:
    """The share of copies among the true mixes: what an honest model would score.

    Where x1 has x2's content but for a detail, the true mix is nearly x1.
    """
    first, second, true = (to_unit(torch.from_numpy(bench.images.gather(index))) for index in (x1, x2, truth))
    groups, apart = groups_of(bench.images.classes, truth), l1(first, second)
    return {
        f"copy_{name}_true": interval(copies(l1(true, x), apart).numpy(), groups, seed=bench.seed)
        for name, x in (("x1", first), ("x2", second))
    }


def measure_realism(sample: Sample) -> Answer:
    """Distances of mixes and reconstructions to held-out pictures, as sets."""
    bench, images = sample.bench, sample.bench.images
    if bench.net is None:
        return "its features are those of a classifier, which needs classes or known contents"
    rng = np.random.default_rng([bench.seed, 23])
    real, train = (rng.permutation(index)[: bench.num] for index in (sample.part.indices, bench.train))
    if min(len(real), len(train), len(sample.triplets.truth)) < MIN_PICTURES:
        return f"fewer than {MIN_PICTURES} pictures"
    mixes, reconstructions = sample.drawn
    drawn = {"mixes": mixes, "reconstructions": reconstructions}
    real_pictures, train_pictures = (torch.from_numpy(images.gather(index)) for index in (real, train))
    truth = torch.from_numpy(images.gather(sample.triplets.truth)) if sample.has_truth else None
    return realism(bench.net, drawn, real_pictures, train_pictures, truth, bench.seed)


def _rows(inputs: dict[str, Tensor], rows: Indices) -> dict[str, Tensor]:
    return {name: x[torch.from_numpy(rows)] for name, x in inputs.items()}


TOPICS: dict[str, Callable[[Sample], Answer]] = {
    "swap": measure_swap,
    "leakage": measure_leakage,
    "swap_accuracy": measure_swap_accuracy,
    "cheats": measure_cheats,
    "realism": measure_realism,
}
