"""Disentanglement: the field's scores, DCI and SAP, of the two codes and of their dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import groups_of, interval
from chiasm.evaluation.classifiers import factor_labels
from chiasm.evaluation.context import CLASSES, MAX_REAL, MetricResult, MixedSet
from chiasm.evaluation.format import Row, percent
from chiasm.evaluation.references import Indices

Importances = Float[NDArray, "inputs factors"]

MAX_FIT = 2_000
NUM_STEPS = 200
SPARSITY = 0.1
"""Weight of the L1 norm, divided by the number of values: what a dimension must tell to get any weight at all."""
TINY = 1e-12
INPUTS = {"a": "code A", "b": "code B", "both": "both codes"}


class Regression(NamedTuple):
    """A sparse multinomial logistic regression on standardised codes."""

    mean: Float[Tensor, " width"]
    scale: Float[Tensor, " width"]
    weights: Float[Tensor, "width values"]
    bias: Float[Tensor, " values"]
    values: Indices

    def predict(self, codes: Float[Tensor, "n width"]) -> Indices:
        """The likeliest value of each code."""
        logits = (codes - self.mean) * self.scale @ self.weights + self.bias
        return self.values[logits.argmax(dim=1).numpy()]


def measure(mixed: MixedSet) -> MetricResult:
    """How apart class and contents lie, in the two codes and in all their dimensions.

    The regressions learn from training images, those of held-out classes from half of the held-out ones, and are tested
    on held-out images.

    Returns:
        `codes` and `dimensions`: `disentanglement` and `completeness` of dci(), in [0, 1], 1 is best. The codes are two
        blocks of dimensions, and all contents together the one factor that B should carry. `accuracy`: for each factor
        how often it is read from code `a`, from `b` and from `both` (informativeness); `sap`: for each factor the gap
        between the two codes' accuracies, in [0, 1].

    Source: Eastwood & Williams 2018, A framework for the quantitative evaluation of disentangled representations (DCI);
        Kumar et al. 2018, Variational inference of disentangled latent concepts (SAP).
    """
    context, part = mixed.context, mixed.part
    factors, labels = factor_labels(context.images)
    rng = np.random.default_rng([context.seed, 37])
    test = rng.permutation(part.indices)[:MAX_REAL]
    fit, test = (test[::2], test[1::2]) if part.name == CLASSES else (rng.permutation(context.train), test)
    fit = fit[:MAX_FIT]
    usable = [k for k in range(len(factors)) if _is_told_apart(labels[fit, k], labels[test, k])]
    if len(usable) < 2 or usable[0] != 0:
        return "needs a class and a content with two values each among the images"
    columns, accuracy = [], {}
    to_fit, to_test = _codes(mixed, fit), _codes(mixed, test)
    for k in usable:
        known, asked = (np.flatnonzero(labels[index, k] != UNLABELLED) for index in (fit, test))
        found = {name: regress(x[known], labels[fit[known], k]) for name, x in to_fit.items()}
        columns.append(found["both"].weights.abs().sum(dim=1).double().numpy())
        groups, wanted = groups_of(context.images.classes, test[asked]), labels[test[asked], k]
        right = {name: found[name].predict(x[asked]) == wanted for name, x in to_test.items()}
        accuracy[factors[k]] = {name: interval(r, groups, seed=context.seed) for name, r in right.items()}
    gaps = {factor: abs(read["a"]["mean"] - read["b"]["mean"]) for factor, read in accuracy.items()}
    importances = per_factor(np.column_stack(columns))
    by_code = of_codes(importances, to_fit["a"].shape[1])
    return {"codes": dci(by_code), "dimensions": dci(importances), "sap": gaps, "accuracy": accuracy}


def rows(values: Mapping[str, Any]) -> Iterator[Row]:
    """DCI of codes and dimensions, then what a regression reads of each factor and the gap."""
    yield "disentanglement", "DCI disentanglement", "DCI completeness"
    for name in ("codes", "dimensions"):
        yield f"of the {name}", *(f"{values[name][score]:.3f}" for score in ("disentanglement", "completeness"))
    yield "informativeness %", *INPUTS.values(), "SAP of the codes"
    for factor, read in values["accuracy"].items():
        yield factor, *(percent(read[name]) for name in INPUTS), f"{values['sap'][factor]:.3f}"


def dci(importances: Importances) -> dict[str, float]:
    """Disentanglement and completeness of DCI.

    Args:
        importances: >= 0, of each input (a dimension, a code) for each factor, at least two of both.

    Returns:
        `disentanglement`: 1 if every input serves one factor, 0 if all serve all alike; inputs count by their
        importance. `completeness`: 1 if every factor is served by one input, 0 if by all alike.

    Source: Eastwood & Williams 2018, section 2.
    """
    total = max(float(importances.sum()), TINY)
    by_input, by_factor = importances.sum(axis=1) / total, importances.sum(axis=0) / total
    return {
        "disentanglement": float(by_input @ (1 - _entropy(importances))),
        "completeness": float(by_factor @ (1 - _entropy(importances.T))),
    }


def per_factor(importances: Importances) -> Importances:
    """Importances of which every factor has the same sum, however many values it has."""
    return importances / np.maximum(importances.sum(axis=0), TINY)


def of_codes(importances: Importances, width_a: int) -> Float[NDArray, "2 2"]:
    """The importances of codes A and B (rows) for the class and for the contents together (columns)."""
    by_code = np.stack([importances[:width_a].sum(axis=0), importances[width_a:].sum(axis=0)])
    return np.column_stack([by_code[:, 0], by_code[:, 1:].mean(axis=1)])


def regress(codes: Float[Tensor, "n width"], labels: Indices) -> Regression:
    """Fit a multinomial logistic regression with an L1 penalty by accelerated proximal gradient steps.

    Dimensions without variance get no weight.

    Source: Beck & Teboulle 2009, A fast iterative shrinkage-thresholding algorithm (FISTA), with a constant step.
    """
    values, wanted = np.unique(labels, return_inverse=True)
    mean, deviation = codes.mean(dim=0), codes.std(dim=0, correction=0)
    scale = torch.where(deviation > 1e-6 * (1 + mean.abs()), 1 / deviation.clamp(min=TINY), 0)
    x = F.pad((codes - mean) * scale, (0, 1), value=1.0)  # the last weight is the bias
    one_hot = F.one_hot(torch.from_numpy(wanted.reshape(-1)), len(values)).to(x.dtype)
    step = 2 * len(x) / _largest(x)
    shrink = step * SPARSITY / len(values)
    weights = ahead = x.new_zeros(x.shape[1], len(values))
    momentum = 1.0
    for _ in range(NUM_STEPS):
        moved = ahead - step * x.T @ ((x @ ahead).softmax(dim=1) - one_hot) / len(x)
        moved[:-1] = moved[:-1].sign() * (moved[:-1].abs() - shrink).clamp(min=0)
        faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = moved + (momentum - 1) / faster * (moved - weights)
        weights, momentum = moved, faster
    return Regression(mean, scale, weights[:-1], weights[-1], values)


def _largest(x: Tensor) -> float:
    """An upper bound, and nearly the value, of the largest squared singular value, by power iterations."""
    vector = torch.ones(x.shape[1], dtype=x.dtype)
    for _ in range(20):
        vector = F.normalize(x.T @ (x @ vector), dim=0)
    return 1.1 * float((x @ vector).square().sum())


def _entropy(importances: NDArray) -> NDArray:
    """Of each row's shares, 1 where all columns share alike."""
    shares = importances / np.maximum(importances.sum(axis=1, keepdims=True), TINY)
    return -(shares * np.log(np.maximum(shares, TINY))).sum(axis=1) / np.log(shares.shape[1])


def _is_told_apart(fit: Indices, test: Indices) -> bool:
    return len(np.unique(fit[fit != UNLABELLED])) >= 2 and bool((test != UNLABELLED).any())


def _codes(mixed: MixedSet, index: Indices) -> dict[str, Tensor]:
    inputs = mixed.context.inputs(index)
    return {"a": inputs["a"], "b": inputs["b"], "both": torch.cat([inputs["a"], inputs["b"]], dim=1)}
