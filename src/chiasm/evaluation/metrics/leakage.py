"""Leakage: what probes read from a code that should not be in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import groups_of
from chiasm.evaluation.classifiers import CLASS, factor_labels
from chiasm.evaluation.context import CLASSES, MAX_REAL, MetricResult, MixedSet
from chiasm.evaluation.format import Row, percent
from chiasm.evaluation.probes import FactorProbes, Labels, fit_factor, read_factor
from chiasm.evaluation.references import Indices

INPUTS = {"a": "code A", "b": "code B", "b_exact": "code B as encoded", "pixels": "pixels"}
NUM_HALVINGS = 3


def measure(mixed: MixedSet) -> MetricResult:
    """How often probes read each factor from each code of held-out images.

    Probes learn from training images; those of classes that these do not show, from halves of the held-out images
    (NUM_HALVINGS times, each half from the other), for one half alone would be read by chance some percent better or
    worse.

    Returns:
        For each factor `chance`, `majority` and `num_fit` (see read_factor), and for code `a`, code `b` as it is
        handed out and, for the class where that differs, as the encoder gives it (`b_exact`), and small images
        (`pixels`) the accuracies `linear` and `mlp`, in [0, 1]; for the class also `control`, what an MLP reads from
        code B that has learned permuted labels.

    Source: Alain & Bengio 2016, Understanding intermediate layers using linear classifier probes.
    """
    context, part = mixed.context, mixed.part
    factors, labels = factor_labels(context.images)
    if (labels == UNLABELLED).all():
        return "the images have neither classes nor known contents"
    index = np.random.default_rng([context.seed, 31]).permutation(part.indices)[:MAX_REAL]
    inputs, groups = context.inputs(index), groups_of(context.images.classes, index)
    results: dict[str, Any] = {}
    for k, factor in enumerate(factors):
        wanted = labels[index, k]
        unseen = factor == CLASS and part.name == CLASSES
        folds = _of_halves(inputs, wanted, context.seed) if unseen else [(context.probes(k), np.arange(len(index)))]
        results[factor] = read_factor(folds, inputs, wanted, groups, context.seed)
    return results


def _of_halves(inputs: dict[str, Tensor], classes: Labels, seed: int) -> list[tuple[FactorProbes | str, Indices]]:
    """Probes of the class, each fitted on one half of the images of every class, with the rows of the other half."""
    folds = []
    for i in range(NUM_HALVINGS):
        order = np.random.default_rng([seed, 43, i]).permutation(len(classes))
        by_class = order[np.argsort(classes[order], kind="stable")]
        for fit, test in ((by_class[::2], by_class[1::2]), (by_class[1::2], by_class[::2])):
            codes = {name: x[torch.from_numpy(fit)] for name, x in inputs.items()}
            folds.append((fit_factor(codes, classes[fit], thorough=True, seed=seed + i), test))
    return folds


def rows(values: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each input of each factor."""
    yield "leakage", "read from", "linear %", "MLP %", "chance %", "majority %"
    for factor, probes in values.items():
        for i, (key, name) in enumerate((k, n) for k, n in INPUTS.items() if k in probes):
            kinds = [percent(probes[key][kind]) for kind in ("linear", "mlp")]
            bounds = [f"{100 * probes[k]:.1f}" for k in ("chance", "majority")] if i == 0 else ["", ""]
            yield factor if i == 0 else "", name, *kinds, *bounds
        if "control" in probes:
            yield "", "code B, labels permuted", "", percent(probes["control"])
