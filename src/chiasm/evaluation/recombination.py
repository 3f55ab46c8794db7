"""Swap error in several measures, beside what copying, averaging and looking up would give."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from chiasm.data import ImageSet
from chiasm.evaluation.bootstrap import Groups, interval, ratio_interval
from chiasm.evaluation.inference import BATCH, draw, encode, to_unit
from chiasm.evaluation.references import Indices, retrieve
from chiasm.evaluation.swap import l1
from chiasm.evaluation.triplets import Triplets
from chiasm.networks import CrossModel

RANGE = 2.0
MAX_PSNR_DB = 100.0
SSIM_WINDOW_PX = 11

Errors = dict[str, dict[str, NDArray]]


def picture_errors(drawn: Float[Tensor, "n 3 h w"], truth: Float[Tensor, "n 3 h w"]) -> dict[str, NDArray]:
    """How far pictures in [-1, 1] are from the true ones, each picture apart.

    Args:
        drawn: the pictures to be judged.
        truth: what they should be.

    Returns:
        `l1` on [-1, 1]; `psnr` in dB, at most MAX_PSNR_DB; and `ssim`, unless pictures are smaller than its window.
    """
    psnr = peak_signal_noise_ratio(drawn, truth, data_range=RANGE, reduction="none", dim=(1, 2, 3))
    errors = {"l1": l1(drawn, truth), "psnr": psnr.clamp(max=MAX_PSNR_DB)}
    if min(truth.shape[-2:]) >= SSIM_WINDOW_PX:
        ssim = structural_similarity_index_measure(drawn, truth, data_range=RANGE, reduction="none")
        errors["ssim"] = torch.as_tensor(ssim).reshape(-1)
    return {name: error.numpy().astype(np.float64) for name, error in errors.items()}


def recombination_errors(
    model: CrossModel, images: ImageSet, triplets: Triplets, pool: Indices, mean: NDArray[np.float32]
) -> Errors:
    """Errors of mixes and of all references against the true recombination, each picture apart.

    Args:
        model: in evaluation mode.
        images: the set that the triplets point into.
        triplets: pictures to mix; where no truth is known, only the reconstruction of x1 is measured.
        pool: pictures that retrieval may choose from.
        mean: the mean training picture, on [-1, 1].

    Returns:
        For `swap`, `reconstruction` (of the true picture itself), `copy_x1`, `copy_x2`, `mean` and `retrieval`,
        what picture_errors returns. Retrieval is missing where some class has no picture in the pool.
    """
    known = triplets.truth >= 0
    if not known.all():
        x1 = triplets.a_from
        return _collect(model, images, Triplets(x1, x1, x1), {}, None, ("reconstruction",))
    found = retrieve(images, *triplets, pool)
    sources = {"copy_x1": triplets.a_from, "copy_x2": triplets.b_from}
    if len(found) and found.min() >= 0:
        sources["retrieval"] = found
    return _collect(model, images, triplets, sources, torch.from_numpy(mean), ("swap", "reconstruction"))


def _collect(
    model: CrossModel,
    images: ImageSet,
    triplets: Triplets,
    sources: dict[str, Indices],
    mean: Tensor | None,
    drawings: tuple[str, ...],
) -> Errors:
    """Errors batch by batch, so that memory does not grow with the number of mixes."""
    parts: dict[str, dict[str, list[NDArray]]] = defaultdict(lambda: defaultdict(list))
    for start in range(0, len(triplets.truth), BATCH):
        rows = slice(start, start + BATCH)
        pictures = images.gather(triplets.truth[rows])
        truth = to_unit(torch.from_numpy(pictures))
        drawn = {name: to_unit(torch.from_numpy(images.gather(index[rows]))) for name, index in sources.items()}
        if mean is not None:
            drawn["mean"] = mean.expand_as(truth)
        if "swap" in drawings:
            a, _ = encode(model, images.gather(triplets.a_from[rows]))
            _, b = encode(model, images.gather(triplets.b_from[rows]))
            drawn["swap"] = draw(model, a, b)
        drawn["reconstruction"] = draw(model, *encode(model, pictures))
        for name, picture in drawn.items():
            for measure, error in picture_errors(picture, truth).items():
                parts[name][measure].append(error)
    return {name: {m: np.concatenate(e) for m, e in measures.items()} for name, measures in parts.items()}


def summarise(errors: Errors, groups: Groups, seed: int = 0) -> dict[str, dict]:
    """Means with intervals, and the ratio of the mixes' L1 to that of each reference.

    Args:
        errors: what recombination_errors returns.
        groups: [n] class of each true picture.
        seed: of the bootstrap.

    Returns:
        For each method `l1`, `psnr`, `ssim`; under `ratio` for each reference the swap's L1 over its L1.
    """
    results: dict[str, dict] = {
        name: {measure: interval(error, groups, seed=seed) for measure, error in measures.items()}
        for name, measures in errors.items()
    }
    if "swap" in errors:
        swap = errors["swap"]["l1"]
        others = {name: e["l1"] for name, e in errors.items() if name != "swap" and e["l1"].mean() > 0}
        results["ratio"] = {name: ratio_interval(swap, base, groups, seed=seed) for name, base in others.items()}
    return results
