"""Leakage: what can be read from a code that should not be in it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import Groups, interval
from chiasm.evaluation.heads import Plan, fit_heads, predict

Labels = NDArray[np.int64]
Kind = Literal["linear", "mlp"]

HIDDEN = 256
NOISE_DRAWS = 8
PIXEL_SIDE = 16
SMALLEST_VARIANCE = 1e-4
PLANS: dict[Kind, Plan] = {
    "linear": Plan(lr=1e-2),
    "mlp": Plan(lr=2e-3, decay=1e-3),
}


class Probe(nn.Module):
    """A linear softmax, or one hidden layer before it."""

    def __init__(self, kind: Kind, width: int, num_values: int) -> None:
        super().__init__()
        hidden = [nn.Linear(width, HIDDEN), nn.ReLU()] if kind == "mlp" else []
        self.layers = nn.Sequential(*hidden, nn.Linear(HIDDEN if hidden else width, num_values))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Whitened codes -> the logits of the one head."""
        return [self.layers(x)]


def probe(
    fit: Tensor, fit_labels: Labels, test: Tensor, test_labels: Labels, *, kind: Kind, noise: float, seed: int
) -> NDArray[np.float64]:
    """How often a probe reads each test label right.

    Args:
        fit: [n, width] codes to learn from; the probe's own validation split is taken from these.
        fit_labels: [n] >= 0.
        test: [m, width] codes of other pictures.
        test_labels: [m].
        kind: a logistic regression or an MLP with one hidden layer of HIDDEN units.
        noise: standard deviation of the noise that every code gets, fresh in every batch of the fit.
        seed: of the start, the split and the noise.

    Returns:
        [m] in [0, 1]: right or wrong, averaged over NOISE_DRAWS draws where there is noise.
    """
    values, dense = np.unique(fit_labels, return_inverse=True)
    mean, whiten = _whitening(fit, noise)

    def prepare(x: Tensor, training: bool, randomness: torch.Generator) -> Tensor:
        noisy = x + noise * torch.randn(x.shape, generator=randomness) if noise else x
        return (noisy - mean) @ whiten

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Probe(kind, fit.shape[1], len(values))
    fit_heads(net, fit, torch.from_numpy(dense.reshape(-1, 1)), prepare, PLANS[kind], seed)
    draws = NOISE_DRAWS if noise else 1
    right = [values[predict(net, test, prepare, seed + 1 + i)[:, 0]] == test_labels for i in range(draws)]
    return np.mean(right, axis=0)


def _whitening(codes: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Mean and matrix after which noisy codes have unit variance in every direction, so that fits converge fast."""
    mean = codes.mean(dim=0)
    variances, directions = torch.linalg.eigh((codes - mean).T @ (codes - mean) / len(codes))
    floor = float(variances.max().clamp(min=1e-12)) * SMALLEST_VARIANCE
    return mean, directions / (variances.clamp(min=floor) + noise**2).sqrt()


def pixels(pictures: NDArray[np.uint8]) -> Tensor:
    """Pictures made small and flat, as the input of the raw-pixel ceiling: [n, 3 * 16 * 16] in [-1, 1]."""
    small = [
        F.adaptive_avg_pool2d(torch.from_numpy(pictures[i : i + 512]).float().div(127.5).sub(1.0), PIXEL_SIDE)
        for i in range(0, len(pictures), 512)
    ]
    return torch.cat(small).flatten(1)


def leakage(
    fit: dict[str, tuple[Tensor, float]],
    fit_labels: Labels,
    test: dict[str, Tensor],
    test_labels: Labels,
    groups: Groups,
    seed: int = 0,
) -> dict[str, object] | str:
    """One factor read from every input, by both kinds of probe.

    Args:
        fit: for each input (`a`, `b`, `b_used`, `pixels`) the codes to learn from and the noise they get.
        fit_labels: [n] the factor's values, UNLABELLED where unknown.
        test: the same inputs of other pictures.
        test_labels: [m] likewise; pictures whose value was not learned are left out.
        groups: [m] class of each test picture, for the intervals.
        seed: of everything.

    Returns:
        `chance`, `majority`, `num_fit`, and for each input `linear` and `mlp` accuracy with interval;
        or the reason why the factor cannot be probed.
    """
    known = fit_labels != UNLABELLED
    values, counts = np.unique(fit_labels[known], return_counts=True)
    usable = np.isin(test_labels, values) & (test_labels != UNLABELLED)
    if len(values) < 2:
        return "fewer than two values to tell apart in the pictures that a probe could learn from"
    if not usable.any():
        return "no held-out picture has a value that a probe could learn"
    right = test_labels[usable]
    results: dict[str, object] = {
        "chance": 1 / len(np.unique(right)),
        "majority": float(np.mean(right == values[counts.argmax()])),
        "num_fit": int(known.sum()),
    }
    rows, test_rows = torch.from_numpy(known), torch.from_numpy(usable)
    for name, (codes, noise) in fit.items():
        results[name] = {
            kind: interval(
                probe(codes[rows], fit_labels[known], test[name][test_rows], right, kind=kind, noise=noise, seed=seed),
                groups[usable],
                seed=seed,
            )
            for kind in PLANS
        }
    return results
