"""Realism: do the mixes look like held-out pictures, as a whole?"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.evaluation.classifiers import Classifier, features
from chiasm.evaluation.heads import EVAL_BATCH

NUM_SUBSETS = 50
MIN_PICTURES = 20
FID_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"


class _Given(nn.Module):
    """Features that were computed before."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def kernel_distance(real: Tensor, drawn: Tensor, seed: int = 0) -> dict[str, float]:
    """KID between two sets of features: 0 for pictures of one distribution, up to the sign of its noise.

    Args:
        real: [n, features].
        drawn: [m, features].
        seed: of the subsets.

    Returns:
        `mean` and `std` over NUM_SUBSETS subsets of half of the smaller set, and its size `n`.

    Source: Binkowski et al. 2018, Demystifying MMD GANs, through torchmetrics.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(real), len(drawn))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the features are kept in memory
        metric = KernelInceptionDistance(feature=_Given(), subsets=NUM_SUBSETS, subset_size=max(2, size // 2))
    metric.update(real, real=True)
    metric.update(drawn, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, std = metric.compute()
    return {"mean": float(mean), "std": float(std), "n": size}


def realism(net: Classifier, real: Tensor, drawn: dict[str, Tensor], train: Tensor, seed: int = 0) -> dict[str, Any]:
    """KID of drawn pictures to held-out ones, on features that need no download.

    The features are those of the classifier's trunk, which was trained on real pictures of this very set: they see what
    tells its pictures apart, and work offline. The numbers compare models on one set; they are not the KID of papers,
    which is measured on an Inception network.

    Args:
        net: a fitted classifier.
        real: [n, 3, side, side] held-out pictures, bytes or floats in [-1, 1].
        drawn: sets of drawn pictures by name, floats in [-1, 1].
        train: training pictures, whose distance to the held-out ones is the floor.
        seed: of the subsets.

    Returns:
        `kid` for each set of drawn pictures and for `real` ones; `fid` of the mixes where its weights are there.
    """
    scale = features(net, train).std(dim=0).clamp(min=1e-3)
    known = features(net, real) / scale
    sets = drawn | {"real": train}
    results: dict[str, Any] = {
        "kid": {name: kernel_distance(known, features(net, x) / scale, seed) for name, x in sets.items()}
    }
    if missing_weights(FID_WEIGHTS) is None:
        results["fid"] = {name: inception_distance(real, x) for name, x in drawn.items()}
    return results


def missing_weights(file: str) -> str | None:
    """Why a metric with pretrained weights cannot be measured offline; None where it can."""
    package = "torch_fidelity" if file == FID_WEIGHTS else "torchvision"
    if importlib.util.find_spec(package) is None:
        return f"the package {package} is not installed"
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    return None if path.is_file() else f"{path} is missing, and nothing is downloaded"


def inception_distance(real: Tensor, drawn: Tensor) -> float:
    """FID on Inception's features, through torchmetrics; pictures in bytes or floats in [-1, 1]."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    weights = str(Path(torch.hub.get_dir()) / "checkpoints" / FID_WEIGHTS)
    metric = FrechetInceptionDistance(feature_extractor_weights_path=weights)
    for pictures, is_real in ((real, True), (drawn, False)):
        for chunk in pictures.split(EVAL_BATCH):
            as_bytes = chunk if chunk.dtype == torch.uint8 else chunk.add(1).mul(127.5).round().clamp(0, 255).byte()
            metric.update(as_bytes, real=is_real)
    return float(metric.compute())
