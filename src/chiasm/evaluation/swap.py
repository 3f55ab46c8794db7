"""Swap error: how far a mix is from the image that shows the true recombination."""

from __future__ import annotations

import numpy as np
import torch

from chiasm.data import ImageSet
from chiasm.evaluation.triplets import Triplets
from chiasm.inference import encode, generate, to_unit
from chiasm.networks import CrossModel


def l1(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of each image, [n], on the scale of the images ([-1, 1])."""
    return (x - y).abs().flatten(1).mean(dim=1)


def difference_weighted(x: torch.Tensor, truth: torch.Tensor, similar: torch.Tensor) -> torch.Tensor:
    """L1 of each image to the true one where this differs from a similar one, [n], on [-1, 1].

    Each pixel is weighted by the mean absolute difference of its channels between truth and similar image; NaN where
    the two are equal or there is no similar one (NaN).

    Source: as losses.difference_weighted_l1, docs/method.md, eq. 10, for each image alone.
    """
    weights, errors = ((image - truth).abs().mean(dim=1).flatten(1) for image in (similar, x))
    return (weights * errors).sum(dim=1) / weights.sum(dim=1)


def swap_errors(model: CrossModel, images: ImageSet, triplets: Triplets) -> dict[str, float]:
    """L1 of mixes and of plain reconstruction, beside those of copying.

    Args:
        model: in evaluation mode.
        images: the set that the triplets point into.
        triplets: images to mix; where no truth is known, only the reconstruction is measured.

    Returns:
        `reconstruction`, and where the truth is known `swap`, `copy_x1` and `copy_x2`: L1 on [-1, 1].
    """
    bytes_a, bytes_b = images.images[triplets.a_from], images.images[triplets.b_from]
    a_of_1, b_of_1 = encode(model, bytes_a)
    _, b_of_2 = encode(model, bytes_b)
    x1 = to_unit(torch.from_numpy(bytes_a))
    errors = {"reconstruction": float(l1(generate(model, a_of_1, b_of_1), x1).mean())}
    if np.any(triplets.truth >= 0):
        known = triplets.truth >= 0
        truth = to_unit(torch.from_numpy(images.images[triplets.truth[known]]))
        x2 = to_unit(torch.from_numpy(bytes_b))[known]
        errors["swap"] = float(l1(generate(model, a_of_1[known], b_of_2[known]), truth).mean())
        errors["copy_x1"] = float(l1(x1[known], truth).mean())
        errors["copy_x2"] = float(l1(x2, truth).mean())
    return errors
