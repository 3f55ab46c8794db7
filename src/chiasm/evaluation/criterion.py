"""What a sweep minimises and a report chooses by: one number of the last validation."""

from __future__ import annotations

from collections.abc import Mapping

SWAP = "swap/swap"
RECONSTRUCTION = "swap/reconstruction"
COPIES = ("shortcut/copy_x1", "shortcut/copy_x2")
COPY_PENALTY = 1.0

WITH_TRUTH = "held-out swap error: L1, on [-1, 1], of mixes from the images that show the true recombinations"
WITHOUT_TRUTH = (
    "label-free criterion: L1 of held-out reconstructions, on [-1, 1], plus the share of mixes that copy x1 and the "
    "share that copy x2; a model that copies reconstructs well and mixes nothing"
)


def has_truth(metrics: Mapping[str, float]) -> bool:
    """Whether the true recombinations were known to a validation."""
    return SWAP in metrics


def score(metrics: Mapping[str, float], truth: bool) -> float | None:
    """How bad a run is by its last validation; None where that was not measured.

    With truth, the swap error. Without, the reconstruction error plus COPY_PENALTY times the shares of mixes that
    copy x1 and x2 (see evaluation.metrics.shortcuts.copies): the naive objective is minimised by copying, and no
    label is needed to see that a mix is a copy.

    Args:
        metrics: columns of metrics.csv and their last values.
        truth: whether the swap error is known.
    """
    if truth:
        return metrics.get(SWAP)
    if RECONSTRUCTION not in metrics:
        return None
    return metrics[RECONSTRUCTION] + COPY_PENALTY * sum(metrics.get(name, 0.0) for name in COPIES)


def criterion(truth: bool) -> str:
    """The criterion in words."""
    return WITH_TRUTH if truth else WITHOUT_TRUTH
