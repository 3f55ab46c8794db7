"""Leakage: what can be read from a code that should not be in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import Groups, interval
from chiasm.evaluation.fitting import FitSettings, as_is, fit_heads, predict
from chiasm.evaluation.references import Indices

Labels = NDArray[np.int64]
Kind = Literal["linear", "mlp"]

HIDDEN = 512
PIXEL_SIDE = 16
SMALLEST_VARIANCE = 1e-3
"""As a share of the largest: directions with less are not blown up, which would let a probe learn mere noise."""
SETTINGS: dict[Kind, tuple[FitSettings, ...]] = {
    "linear": (FitSettings(lr=1e-2),),
    "mlp": (
        FitSettings(lr=1e-2, decay=1e-1),
        FitSettings(lr=4e-3, batch=512, min_steps=18, decay=1e-2),
    ),
}
"""How each kind of probe is fitted; where a reading matters most all are tried, otherwise the first alone."""


class Probe(nn.Module):
    """A linear softmax, or two hidden layers before it."""

    def __init__(self, kind: Kind, width: int, num_values: int) -> None:
        super().__init__()
        widths = [width, HIDDEN, HIDDEN] if kind == "mlp" else [width]
        layers: list[nn.Module] = []
        for i in range(len(widths) - 1):
            layers += [nn.Linear(widths[i], widths[i + 1], bias=False), nn.BatchNorm1d(widths[i + 1]), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], num_values))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Whitened codes -> the logits of the one head."""
        return [self.layers(x)]


@dataclass(frozen=True)
class FittedProbe:
    """A probe that has learned one factor from one kind of code.

    Attributes:
        net: its layers.
        values: [k] the factor's values that its outputs stand for.
        whiten: codes -> what its layers take.
    """

    net: Probe
    values: Labels
    whiten: Callable[[Tensor], Tensor]

    def right(self, codes: Tensor, labels: Labels) -> NDArray[np.bool_]:
        """[m] whether each label is read right."""
        return self.values[predict(self.net, self.whiten(codes), as_is)[:, 0]] == labels


def fit_probe(codes: Tensor, labels: Labels, *, kind: Kind, thorough: bool = False, seed: int = 0) -> FittedProbe:
    """Fit a probe, with early stopping on a validation split of its own.

    Args:
        codes: [n, width] codes to learn from.
        labels: [n] >= 0.
        kind: a logistic regression, or an MLP with two hidden layers of HIDDEN units.
        thorough: whether to try all SETTINGS of the kind and to keep the one with the lowest validation loss.
        seed: of the start and the split.
    """
    values, dense = np.unique(labels, return_inverse=True)
    mean, matrix = _whitening(codes)

    def whiten(x: Tensor) -> Tensor:
        return (x - mean) @ matrix

    whitened, targets = whiten(codes), torch.from_numpy(dense.reshape(-1, 1))
    fitted: list[tuple[float, Probe]] = []
    for settings in SETTINGS[kind] if thorough else SETTINGS[kind][:1]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = Probe(kind, matrix.shape[1], len(values))
        loss = fit_heads(net, whitened, targets, as_is, settings, seed)
        fitted.append((loss, net))
    return FittedProbe(min(fitted, key=lambda fit: fit[0])[1], values, whiten)


def _whitening(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [width] and matrix [width, k] after which codes have unit variance, so that fits converge fast.

    At most half as many directions are kept as there are codes, those of the greatest variance: n whitened codes in
    n directions are all equally far apart and tell nothing, and thousands of directions take most of the time.
    In float64: in float32 the decomposition of codes that hardly vary may not converge.

    Source: Raudys & Duin 1998, Expected classification error of the Fisher linear classifier with pseudo-inverse
    covariance matrix.
    """
    exact = codes.double()
    mean = exact.mean(dim=0)
    _, deviations, directions = torch.linalg.svd((exact - mean) / len(codes) ** 0.5, full_matrices=False)
    variances = deviations.square()
    floor = float(variances.max().clamp(min=1e-12)) * SMALLEST_VARIANCE
    matrix = directions.T / variances.clamp(min=floor).sqrt()
    return mean.float(), matrix[:, : max(len(codes) // 2, 1)].float()


def pixels(images: NDArray[np.uint8]) -> Tensor:
    """Images made small and flat, as the input of the raw-pixel ceiling: [n, 3 * 16 * 16] in [-1, 1]."""
    small = [
        F.adaptive_avg_pool2d(torch.from_numpy(images[i : i + 512]).float().div(127.5).sub(1.0), PIXEL_SIDE)
        for i in range(0, len(images), 512)
    ]
    return torch.cat(small).flatten(1)


@dataclass(frozen=True)
class FactorProbes:
    """All probes of one factor, and what they learned from.

    Attributes:
        probes: by input and kind.
        control: an MLP that learned permuted labels from code B: what a probe reads where there is nothing to read.
        values: the factor's values.
        commonest: the one that most images have.
        num_fit: how many images the probes learned from.
    """

    probes: dict[str, dict[Kind, FittedProbe]]
    control: FittedProbe | None
    values: Labels
    commonest: int
    num_fit: int

    def right(self, codes: dict[str, Tensor], labels: Labels) -> Iterator[tuple[tuple[str, ...], NDArray[np.bool_]]]:
        """[m] whether each label is read right, by input and kind, by `control`, and by the commonest value alone."""
        for name, by_kind in self.probes.items():
            for kind, probe in by_kind.items():
                yield (name, kind), probe.right(codes[name], labels)
        if self.control is not None:
            yield ("control",), self.control.right(codes["b"], labels)
        yield ("majority",), labels == self.commonest


def fit_factor(
    codes: dict[str, Tensor], labels: Labels, *, thorough: bool = False, seed: int = 0
) -> FactorProbes | str:
    """Fit both kinds of probe on every input for one factor.

    Args:
        codes: for each input (`a`, `b`, ...) the codes to learn from, [n, width].
        labels: [n] the factor's values, UNLABELLED where unknown.
        thorough: whether to search for the best probe of each code, and to fit a control.
        seed: of everything.

    Returns:
        The probes, or the reason why the factor cannot be probed.
    """
    known = np.flatnonzero(labels != UNLABELLED)
    values, counts = np.unique(labels[known], return_counts=True)
    if len(values) < 2:
        return "fewer than two values to tell apart among the images that a probe could learn from"
    rows, wanted = torch.from_numpy(known), labels[known]
    probes = {
        name: {
            kind: fit_probe(x[rows], wanted, kind=kind, thorough=thorough and name != "pixels", seed=seed)
            for kind in SETTINGS
        }
        for name, x in codes.items()
    }
    permuted = np.random.default_rng([seed, 37]).permutation(wanted)
    control = fit_probe(codes["b"][rows], permuted, kind="mlp", seed=seed) if thorough and "b" in codes else None
    return FactorProbes(probes, control, values, int(values[counts.argmax()]), len(known))


def read_factor(
    folds: Sequence[tuple[FactorProbes | str, Indices]],
    codes: dict[str, Tensor],
    labels: Labels,
    groups: Groups,
    seed: int = 0,
) -> dict[str, object] | str:
    """How well one factor can be read from the codes of images that the probes did not learn from.

    Args:
        folds: results of fit_factor, each with the rows of codes that it reads; a row that several read counts as the
            mean of what they say.
        codes: the inputs that the probes were fitted on, [m, width].
        labels: [m] the factor's values; images whose value was not learned are left out.
        groups: [m] what the bootstrap resamples each image with.
        seed: of the bootstrap.

    Returns:
        `chance` (1 / values present), `majority` (rate of the commonest learned value), `num_fit`, for each input
        `linear` and `mlp`, accuracy with interval, and `control` likewise, where there is one; or the reason why there
        are none.
    """
    times = np.zeros(len(labels))
    right: dict[tuple[str, ...], NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(labels)))
    num_fit = 0
    for probes, test in folds:
        if isinstance(probes, str):
            return probes
        num_fit = max(num_fit, probes.num_fit)
        rows = test[np.isin(labels[test], probes.values)]
        times[rows] += 1
        for key, found in probes.right({name: x[torch.from_numpy(rows)] for name, x in codes.items()}, labels[rows]):
            right[key][rows] += found
    read = np.flatnonzero(times)
    if len(read) == 0:
        return "no held-out image has a value that a probe could learn"
    shares = {key: found[read] / times[read] for key, found in right.items()}
    results: dict[str, Any] = {
        "chance": 1 / len(np.unique(labels[read])),
        "majority": float(shares.pop(("majority",)).mean()),
        "num_fit": num_fit,
    }
    for (name, *kind), share in shares.items():
        accuracy = interval(share, groups[read], seed=seed)
        results[name] = {**results.get(name, {}), kind[0]: accuracy} if kind else accuracy
    return results
