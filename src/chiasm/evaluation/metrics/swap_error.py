"""Swap error in several measures, beside what copying, averaging and looking up would give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from chiasm.data import ImageSet
from chiasm.evaluation.bootstrap import Groups, interval, ratio_interval
from chiasm.evaluation.context import MetricResult, MixedSet
from chiasm.evaluation.format import Row, number
from chiasm.evaluation.references import Indices, retrieve
from chiasm.evaluation.swap import l1
from chiasm.evaluation.triplets import Triplets
from chiasm.inference import BATCH, to_unit

RANGE = 2.0
MAX_PSNR_DB = 100.0
SSIM_WINDOW_PX = 11

METHODS = {
    "swap": "swap (the mixes)",
    "reconstruction": "reconstruction",
    "copy_x1": "copy x1",
    "copy_x2": "copy x2",
    "mean": "mean image",
    "retrieval": "retrieval",
}
DIGITS = {"l1": 4, "psnr": 1, "ssim": 3}

Generated = Float[Tensor, "n 3 h w"]
Errors = dict[str, dict[str, NDArray]]


def measure(mixed: MixedSet) -> MetricResult:
    """How far mixes are from the true recombinations, beside the references.

    Returns:
        For each method of recombination_errors `l1` on [-1, 1], `psnr` in dB and `ssim` in [-1, 1]; under `ratio` the
        L1 of the mixes over that of each reference, > 0: below 1 beats it. Without truth, of x1's `reconstruction`.

    Source: docs/method.md, section 7.
    """
    context, triplets = mixed.context, mixed.triplets
    mixes, reconstructions = mixed.generated
    if mixed.has_truth:
        errors = recombination_errors(context.images, triplets, mixes, reconstructions, mixed.part.pool, context.mean)
        missing = {} if "retrieval" in errors else {"retrieval": "some class has no other image to choose from"}
        return summarise(errors, mixed.groups, context.seed) | missing
    x1 = to_unit(torch.from_numpy(context.images.gather(mixed.target)))
    results = summarise({"reconstruction": image_errors(reconstructions, x1)}, mixed.groups, context.seed)
    reason = "no held-out image is known to show the class of one and all of the content of another held-out image"
    return results | {"swap": reason if context.images.has_classes else "the images have no classes"}


def rows(values: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each method."""
    yield "swap error", "L1", "PSNR dB", "SSIM", "swap / this"
    for key, name in METHODS.items():
        if key in values:
            cells = [number(values[key].get(error), digits) for error, digits in DIGITS.items()]
            yield name, *cells, number(values.get("ratio", {}).get(key), 2)


def image_errors(generated: Generated, truth: Generated) -> dict[str, NDArray]:
    """How far images in [-1, 1] are from the true ones, each image apart.

    Args:
        generated: the images to be judged.
        truth: what they should be.

    Returns:
        `l1` on [-1, 1]; `psnr` in dB, at most MAX_PSNR_DB; and `ssim`, unless images are smaller than its window.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    psnr = peak_signal_noise_ratio(generated, truth, data_range=RANGE, reduction="none", dim=(1, 2, 3))
    errors = {"l1": l1(generated, truth), "psnr": psnr.clamp(max=MAX_PSNR_DB)}
    if min(truth.shape[-2:]) >= SSIM_WINDOW_PX:
        ssim = structural_similarity_index_measure(generated, truth, data_range=RANGE, reduction="none")
        errors["ssim"] = torch.as_tensor(ssim).reshape(-1)
    return {name: error.numpy().astype(np.float64) for name, error in errors.items()}


def recombination_errors(
    images: ImageSet,
    triplets: Triplets,
    mixes: Generated,
    reconstructions: Generated,
    pool: Indices,
    mean: Float[NDArray, "3 h w"],
) -> Errors:
    """Errors of mixes and of all references against the true recombination, each image apart.

    Args:
        images: the set that the triplets point into.
        triplets: which images were mixed, and the true ones, all known.
        mixes: x_a1b2 of each triplet.
        reconstructions: the true image of each triplet, taken apart and put together again.
        pool: images that retrieval may choose from.
        mean: the mean training image, on [-1, 1].

    Returns:
        For `swap`, `reconstruction`, `copy_x1`, `copy_x2`, `mean` and `retrieval` what image_errors returns.
        Retrieval is missing where some class has no other image in the pool.
    """
    found = retrieve(images, *triplets, pool)
    sources = {"copy_x1": triplets.a_from, "copy_x2": triplets.b_from} | (
        {"retrieval": found} if min(found) >= 0 else {}
    )
    parts: dict[str, list[dict[str, NDArray]]] = defaultdict(list)
    for start in range(0, len(mixes), BATCH):
        rows = slice(start, start + BATCH)
        truth = to_unit(torch.from_numpy(images.gather(triplets.truth[rows])))
        generated = {"swap": mixes[rows], "reconstruction": reconstructions[rows]}
        generated |= {name: to_unit(torch.from_numpy(images.gather(index[rows]))) for name, index in sources.items()}
        generated["mean"] = torch.from_numpy(mean).expand_as(truth)
        for name, image in generated.items():
            parts[name].append(image_errors(image, truth))
    return {name: {m: np.concatenate([e[m] for e in batch]) for m in batch[0]} for name, batch in parts.items()}


def summarise(errors: Errors, groups: Groups, seed: int = 0) -> dict[str, dict]:
    """Means with intervals, and the ratio of the mixes' L1 to that of each reference.

    Args:
        errors: what recombination_errors returns.
        groups: [n] what the bootstrap resamples each image with.
        seed: of the bootstrap.

    Returns:
        For each method `l1`, `psnr`, `ssim`; under `ratio` for each reference the swap's L1 over its L1.
    """
    results: dict[str, dict] = {
        name: {kind: interval(error, groups, seed=seed) for kind, error in kinds.items()}
        for name, kinds in errors.items()
    }
    if "swap" in errors:
        swap = errors["swap"]["l1"]
        others = {name: e["l1"] for name, e in errors.items() if name != "swap" and e["l1"].mean() > 0}
        results["ratio"] = {name: ratio_interval(swap, base, groups, seed=seed) for name, base in others.items()}
    return results
