"""Each topic of the evaluation: the mixes of one part in, results out, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import ratio_interval
from chiasm.evaluation.cheats import alarms, cheat_ratios, ratio
from chiasm.evaluation.classifiers import CLASS, ClassMeans, factor_labels, swap_accuracy
from chiasm.evaluation.inference import encode, to_unit
from chiasm.evaluation.probes import leakage, pixels
from chiasm.evaluation.realism import MIN_PICTURES, realism
from chiasm.evaluation.recombination import picture_errors, recombination_errors, summarise
from chiasm.evaluation.references import Indices
from chiasm.evaluation.sample import CLASSES, Bench, Sample

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
    reason = "the set does not say completely what is in a picture beside its class"
    return results | {"swap": reason if bench.images.has_classes else "the pictures have no classes"}


def measure_leakage(sample: Sample) -> Answer:
    """What probes read from the codes, factor by factor."""
    bench, part = sample.bench, sample.part
    factors, labels = factor_labels(bench.images)
    if (labels == UNLABELLED).all():
        return "the pictures have neither classes nor known contents"
    if len(part.fit) < 2 or len(part.test) == 0:
        return "too few pictures for a probe"
    (fit_a, fit_b), fit_pixels = _codes_and_pixels(bench, part.fit)
    (a, b), small = _codes_and_pixels(bench, part.test)
    fit = {"a": (fit_a, 0.0), "b": (fit_b, 0.0), "b_used": (fit_b, bench.noise_b), "pixels": (fit_pixels, 0.0)}
    test = {"a": a, "b": b, "b_used": b, "pixels": small}
    groups = bench.images.classes[part.test]
    return {
        factor: leakage(fit, labels[part.fit, k], test, labels[part.test, k], groups, bench.seed)
        for k, factor in enumerate(factors)
    }


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
        (images.gather(real), labels[real], images.classes[real]),
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
    return results | {"alarms": alarms({name: ratio(*pair) for name, pair in ratios.items()})}


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


def _codes_and_pixels(bench: Bench, index: Indices) -> tuple[tuple[Tensor, Tensor], Tensor]:
    pictures = bench.images.gather(index)
    return encode(bench.model, pictures), pixels(pictures)


TOPICS: dict[str, Callable[[Sample], Answer]] = {
    "swap": measure_swap,
    "leakage": measure_leakage,
    "swap_accuracy": measure_swap_accuracy,
    "cheats": measure_cheats,
    "realism": measure_realism,
}
