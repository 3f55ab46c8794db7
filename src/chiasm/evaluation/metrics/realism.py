"""Realism: do the mixes look like held-out images, as a whole?"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from chiasm.evaluation.bootstrap import Groups, interval
from chiasm.evaluation.classifiers import Classifier, features
from chiasm.evaluation.context import MetricResult, MixedSet
from chiasm.evaluation.fitting import EVAL_BATCH
from chiasm.evaluation.format import Row, number, percent
from chiasm.inference import BATCH, to_bytes, to_unit

PerImage = Float[Tensor, "n"]

NUM_SUBSETS = 50
MIN_IMAGES = 20
TINY = 1e-12
FID_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"


def measure(mixed: MixedSet) -> MetricResult:
    """Distances of mixes and reconstructions to held-out images, as sets.

    Returns:
        `kid`, `detail`, `fid` and `lpips` of realism().

    Source: Binkowski et al. 2018 (KID), Heusel et al. 2017 (FID), Zhang et al. 2018 (LPIPS).
    """
    context, images = mixed.context, mixed.context.images
    if context.classifier is None:
        return "its features are those of a classifier, which needs classes or known contents"
    rng = np.random.default_rng([context.seed, 23])
    real, train = (rng.permutation(index)[: context.num] for index in (mixed.part.indices, context.train))
    if min(len(real), len(train), len(mixed.triplets.truth)) < MIN_IMAGES:
        return f"fewer than {MIN_IMAGES} images"
    mixes, reconstructions = mixed.generated
    generated = {"mixes": mixes, "reconstructions": reconstructions}
    real_images, train_images = (torch.from_numpy(images.gather(index)) for index in (real, train))
    truth = torch.from_numpy(images.gather(mixed.triplets.truth)) if mixed.has_truth else None
    return realism(context.classifier, generated, real_images, train_images, mixed.groups, truth, context.seed)


def rows(values: Mapping[str, Any]) -> Iterator[Row]:
    """The KID of each set of images, then what else was measured."""
    yield "realism", "KID", "std"
    for name, kid in values["kid"].items():
        cells = (f"{kid[key]:.4f}" if key in kid else "" for key in ("mean", "std"))
        yield {"real": "training images (floor)"}.get(name, name), *cells
    for name, detail in values.get("detail", {}).items():
        yield f"high-frequency power of {name}, % of real images'", percent(detail)
    for metric in ("fid", "lpips"):
        if mixes := values.get(metric, {}).get("mixes"):
            yield f"{metric.upper()} of mixes", number(mixes, 3) if isinstance(mixes, dict) else f"{mixes:.2f}"


class _Given(nn.Module):
    """Features that were computed before."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def kernel_distance(real: Tensor, generated: Tensor, seed: int = 0) -> dict[str, float]:
    """KID between two sets of features: 0 for images of one distribution, up to the sign of its noise.

    Args:
        real: [n, features].
        generated: [m, features].
        seed: of the subsets.

    Returns:
        `mean` and `std` over NUM_SUBSETS subsets of half of the smaller set, and its size `n`.

    Source: Binkowski et al. 2018, Demystifying MMD GANs, through torchmetrics.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(real), len(generated))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the features are kept in memory
        metric = KernelInceptionDistance(feature=_Given(), subsets=NUM_SUBSETS, subset_size=max(2, size // 2))
    metric.update(real, real=True)
    metric.update(generated, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, std = metric.compute()
    return {"mean": float(mean), "std": float(std), "n": size}


def realism(
    net: Classifier,
    generated: dict[str, Tensor],
    real: Tensor,
    train: Tensor,
    groups: Groups,
    truth: Tensor | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """KID of generated images to held-out ones, on features that need no download.

    The features are those of the classifier's trunk, which was trained on real images of this very set: they see what
    tells its images apart, and work offline. The numbers compare models on one set; they are not the KID of papers,
    which is measured on an Inception network.

    Args:
        net: a fitted classifier.
        generated: sets of generated images by name, floats in [-1, 1], `mixes` among them.
        real: [n, 3, side, side] held-out images, bytes.
        train: training images, bytes; their distance to the held-out ones is the floor.
        groups: [m] what the bootstrap resamples each generated image with.
        truth: the true images of the mixes, bytes, where these are known.
        seed: of the subsets.

    Returns:
        `kid` for each set of generated images and for `real` ones, about 0 or more; `detail`, the high-frequency power
        of generated images as a share of that of real held-out ones, 1 is right; `fid` and `lpips` of the mixes, >= 0,
        or why these cannot be measured.
    """
    known, sets = directions(net, real), generated | {"real": train}
    kid = {name: kernel_distance(known, directions(net, x), seed) for name, x in sets.items()}
    fid = missing_weights("torch_fidelity", FID_WEIGHTS)
    lpips = "the true mixes are not known" if truth is None else missing_weights("torchvision", LPIPS_WEIGHTS)
    return {
        "kid": kid,
        "detail": _detail(generated, real, groups, seed),
        "fid": fid or {"mixes": inception_distance(real, generated["mixes"])},
        "lpips": lpips or {"mixes": perceptual_distance(generated["mixes"], truth, groups, seed)},
    }


def _detail(generated: dict[str, Tensor], real: Tensor, groups: Groups, seed: int) -> MetricResult:
    """High-frequency power of generated images as a share of that of real ones."""
    sharp = float(high_frequency_power(to_unit(real)).mean())
    if sharp < TINY:
        return "the held-out images have no high-frequency power"
    shares = {name: (high_frequency_power(x) / sharp).numpy() for name, x in generated.items()}
    return {name: interval(share, groups, seed=seed) for name, share in shares.items()}


def high_frequency_power(x: Float[Tensor, "n 3 side side"]) -> PerImage:
    """Mean power of an image's grey values, any range, at frequencies above half of the highest one."""
    side = x.shape[-1]
    frequency = torch.fft.fftfreq(side)
    high = (frequency[:, None] ** 2 + frequency[None, :] ** 2).sqrt() > 0.25  # in periods a pixel; the highest is 0.5
    power = torch.fft.fft2(x.mean(dim=1)).abs().square() / side**2
    return power[:, high].mean(dim=1)


def directions(net: Classifier, images: Tensor) -> Tensor:
    """The trunk's features, see unit_power."""
    return unit_power(features(net, images))


def unit_power(found: Tensor) -> Tensor:
    """Features, their mean square brought to 1, so that the kernel is bounded: (cosine + 1) cubed."""
    return found / found.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)


def missing_weights(package: str, file: str) -> str | None:
    """Why a metric with pretrained weights cannot be measured offline; None where it can."""
    if importlib.util.find_spec(package) is None:
        return f"the package {package} is not installed"
    path = _weights(file)
    return None if path.is_file() else f"{path} is missing, and nothing is downloaded"


def inception_distance(real: Tensor, generated: Tensor) -> float:
    """FID on Inception's features; real images in bytes, generated ones in [-1, 1]."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature_extractor_weights_path=str(_weights(FID_WEIGHTS)))
    for chunk in real.split(EVAL_BATCH):
        metric.update(chunk, real=True)
    for chunk in generated.split(EVAL_BATCH):
        metric.update(torch.from_numpy(to_bytes(chunk)), real=False)
    return float(metric.compute())


def perceptual_distance(generated: Tensor, truth: Tensor | None, groups: Groups, seed: int = 0) -> dict[str, float]:
    """LPIPS (AlexNet) of generated images in [-1, 1] to the true ones in bytes, with its interval."""
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity as lpips

    assert truth is not None
    pairs = zip(generated.split(BATCH), truth.split(BATCH), strict=True)
    distances = [lpips(x.clamp(-1, 1), to_unit(y), "alex", reduction="none").reshape(-1) for x, y in pairs]
    return interval(torch.cat(distances).numpy(), groups, seed=seed)


def _weights(file: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / file
