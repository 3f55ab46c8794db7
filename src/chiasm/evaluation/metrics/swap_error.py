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
from torch.nn import functional as F

from chiasm.data import ImageSet
from chiasm.evaluation.bootstrap import Groups, interval, ratio_interval
from chiasm.evaluation.context import MetricResult, MixedSet
from chiasm.evaluation.format import Row, number
from chiasm.evaluation.references import Indices, median_images, most_similar, other_contents, same_class
from chiasm.evaluation.swap import difference_weighted, l1
from chiasm.evaluation.triplets import Triplets
from chiasm.inference import BATCH, to_unit

RANGE = 2.0
MAX_PSNR_DB = 100.0
SSIM_WINDOW_PX, SSIM_SIGMA_PX = 11, 1.5

METHODS = {
    "swap": "swap (the mixes)",
    "reconstruction": "reconstruction",
    "copy_x1": "copy x1",
    "copy_x2": "copy x2",
    "mean": "mean image",
    "retrieval": "retrieval",
    "oracle_median": "oracle: class and contents",
}
WITHOUT = "oracle_without_"
DIGITS = {"l1": 4, "changed": 4, "psnr": 1, "ssim": 3}
ENOUGH = 0.5
TOO_FEW = f"fewer than {ENOUGH:.0%} of the mixes have such a reference"

Generated = Float[Tensor, "n 3 h w"]
Errors = dict[str, dict[str, NDArray]]


def measure(mixed: MixedSet) -> MetricResult:
    """How far mixes are from the true recombinations, beside the references.

    Returns:
        For each method of recombination_errors `l1` and `changed` (see difference_weighted) on [-1, 1], `psnr` in dB
        and `ssim` in [-1, 1]; under `ratio` the L1 of the mixes over that of each reference, > 0: below 1 beats it.
        Without truth, of x1's `reconstruction`.

    Source: docs/method.md, section 7.
    """
    context, triplets = mixed.context, mixed.triplets
    mixes, reconstructions = mixed.generated
    if mixed.has_truth:
        errors = recombination_errors(
            context.images.by_codes, triplets, mixes, reconstructions, mixed.part.pool, context.mean
        )
        results = summarise(errors, mixed.groups, context.seed)
        return results | {name: TOO_FEW for name in errors if name not in results}
    x1 = to_unit(torch.from_numpy(context.images.gather(mixed.target)))
    results = summarise({"reconstruction": image_errors(reconstructions, x1)}, mixed.groups, context.seed)
    reason = "no held-out image is known to show the class of one and all of the content of another held-out image"
    return results | {"swap": reason if context.images.has_classes else "the images have no classes"}


def rows(values: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each method."""
    yield "swap error", "L1", "L1 where changed", "PSNR dB", "SSIM", "swap / this"
    oracles = {key: f"oracle: all but {key.removeprefix(WITHOUT)}" for key in values if key.startswith(WITHOUT)}
    for key, name in (METHODS | oracles).items():
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
    from torchmetrics.functional.image import peak_signal_noise_ratio

    psnr = peak_signal_noise_ratio(generated, truth, data_range=RANGE, reduction="none", dim=(1, 2, 3))
    errors = {"l1": l1(generated, truth), "psnr": psnr.clamp(max=MAX_PSNR_DB)}
    if min(truth.shape[-2:]) >= SSIM_WINDOW_PX:
        errors["ssim"] = structural_similarity(generated, truth)
    return {name: error.numpy().astype(np.float64) for name, error in errors.items()}


def structural_similarity(x: Generated, truth: Generated) -> Float[Tensor, " n"]:
    """SSIM of each image in [-1, 1], the mean over Gaussian windows around every pixel; edges are reflected.

    The windows are applied along rows, then along columns, as products of matrices: several times faster than the
    same by convolution.

    Source: Wang et al. 2004, Image quality assessment: from error visibility to structural similarity.
    """
    x, truth = (F.pad(image, (SSIM_WINDOW_PX // 2,) * 4, mode="reflect") for image in (x, truth))
    down, across = (_windows(side) for side in x.shape[-2:])
    moments = torch.stack([x, truth, x * x, truth * truth, x * truth])
    mean_x, mean_y, square_x, square_y, product = down @ moments @ across.T
    variances = (square_x - mean_x**2).clamp(min=0) + (square_y - mean_y**2).clamp(min=0)
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * (product - mean_x * mean_y) + c2) / (variances + c2)).flatten(1).mean(dim=1)


def _windows(side: int) -> Float[Tensor, "windows side"]:
    """A Gaussian window in each row, one pixel further than in the row before."""
    place = torch.arange(side) - torch.arange(side - SSIM_WINDOW_PX + 1)[:, None] - SSIM_WINDOW_PX // 2
    weights = torch.exp(-((place / SSIM_SIGMA_PX) ** 2) / 2) * (place.abs() <= SSIM_WINDOW_PX // 2)
    return weights / weights.sum(dim=1, keepdim=True)


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
        pool: images that retrieval and oracles may choose from, and the similar images; never the true one.
        mean: the mean training image, on [-1, 1].

    Returns:
        For `swap`, `reconstruction`, `mean` and what find_references returns the errors of image_errors; NaN where a
        mix has no such reference.
    """
    references = find_references(images, triplets, pool)
    candidates = other_contents(images, triplets.truth, same_class(images, *triplets, pool))
    similar = most_similar(images, triplets.truth, candidates)
    parts: dict[str, list[dict[str, NDArray]]] = defaultdict(list)
    for start in range(0, len(mixes), BATCH):
        rows = slice(start, start + BATCH)
        truth = to_unit(torch.from_numpy(images.gather(triplets.truth[rows])))
        generated = {"swap": mixes[rows], "reconstruction": reconstructions[rows]}
        generated |= {name: median_images(images, groups[rows]) for name, groups in references.items()}
        generated["mean"] = torch.from_numpy(mean).expand_as(truth)
        beside = median_images(images, similar[rows])
        for name, image in generated.items():
            errors = image_errors(image, truth)
            parts[name].append(errors | {"changed": difference_weighted(image, truth, beside).numpy()})
    return {name: {m: np.concatenate([e[m] for e in batch]) for m in batch[0]} for name, batch in parts.items()}


def find_references(images: ImageSet, triplets: Triplets, pool: Indices) -> dict[str, list[Indices]]:
    """For each reference and each mix the images whose median it is.

    Returns:
        `copy_x1`, `copy_x2`; `retrieval`, the image of x1's class most similar to x2; and the oracles, which know the
        labels: `oracle_median` of the images of x1's class with all of x2's contents, and `oracle_without_<factor>` of
        those with all of them but one.
    """
    one_by_one = {"copy_x1": triplets.a_from, "copy_x2": triplets.b_from}
    references = {name: list(index[:, None]) for name, index in one_by_one.items()}
    references["retrieval"] = most_similar(images, triplets.b_from, same_class(images, *triplets, pool))
    columns = range(len(images.content_names))
    references["oracle_median"] = same_class(images, *triplets, pool, columns)
    for k, factor in enumerate(images.content_names):
        others = [c for c in columns if c != k]
        references[f"{WITHOUT}{factor}"] = same_class(images, *triplets, pool, others)
    return references


def summarise(errors: Errors, groups: Groups, seed: int = 0) -> dict[str, dict]:
    """Means with intervals, and the ratio of the mixes' L1 to that of each reference.

    Args:
        errors: what recombination_errors returns.
        groups: [n] what the bootstrap resamples each image with.
        seed: of the bootstrap.

    Returns:
        For each method `l1`, `changed`, `psnr`, `ssim` over the images that have them; under `ratio` for each reference
        the swap's L1 over its L1, on the same images. What fewer than ENOUGH of the images have is left out.
    """
    usable = {
        name: {kind: known for kind, error in kinds.items() if (known := ~np.isnan(error)).mean() >= ENOUGH}
        for name, kinds in errors.items()
    }
    results: dict[str, dict] = {
        name: {kind: interval(errors[name][kind][k], groups[k], seed=seed) for kind, k in kinds.items()}
        for name, kinds in usable.items()
        if kinds
    }
    if "swap" in errors:
        swap = errors["swap"]["l1"]
        others = {name: errors[name]["l1"] for name in results if name != "swap" and results[name]["l1"]["mean"] > 0}
        results["ratio"] = {
            name: ratio_interval(swap[k], base[k], groups[k], seed=seed)
            for name, base in others.items()
            for k in (usable[name]["l1"],)
        }
    return results
