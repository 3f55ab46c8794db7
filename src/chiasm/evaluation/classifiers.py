"""Classifiers of real images, which read the factors of mixes and whose features compare sets of images."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.data import UNLABELLED, ImageSet
from chiasm.evaluation.fitting import EVAL_BATCH, FitSettings, fit_heads
from chiasm.evaluation.references import Indices
from chiasm.inference import to_unit

ByteImages = NDArray[np.uint8]
Labels = NDArray[np.int64]

CLASS = "class"
WIDTHS = (16, 32, 96, 128)
MAX_SIDE_PX = 64
SHIFT_PX = 2
MAX_FIT = 20_000
SETTINGS = FitSettings(lr=3e-3, batch=64, min_steps=100, max_rounds=6, patience=3, decay=1e-2, val_fraction=0.1)


class Classifier(nn.Module):
    """One convolutional trunk that halves the side at each block, one linear head for each factor.

    Args:
        num_values: for each head how many values it tells apart.
        side_px: height and width of the images.
    """

    def __init__(self, num_values: tuple[int, ...], side_px: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        shrink = max(1, side_px // MAX_SIDE_PX)
        blocks += [nn.AvgPool2d(shrink)] if shrink > 1 else []
        channels, side = 3, side_px // shrink
        for width in WIDTHS:
            stride = 2 if side >= 4 else 1
            blocks += [nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels, side = width, -(-side // stride)
        blocks += [nn.AdaptiveAvgPool2d(min(side, 4)), nn.Flatten(), nn.Dropout(0.2)]
        self.num_features = channels * min(side, 4) ** 2
        self.trunk = nn.Sequential(*blocks)
        self.heads = nn.ModuleList(nn.Linear(self.num_features, num) for num in num_values)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Images in [-1, 1] -> logits of each head."""
        features = self.trunk(x)
        return [head(features) for head in self.heads]


def factor_labels(images: ImageSet) -> tuple[tuple[str, ...], Labels]:
    """The factors of a set, the class first, and the value of each in each image, [n, factors]."""
    return (CLASS, *images.content_names), np.column_stack([images.classes, images.contents])


def fit_classifier(images: ImageSet, indices: Indices, seed: int = 0) -> Classifier | None:
    """Learn every factor of real images, lightly shifted, with early stopping.

    Args:
        images: the set.
        indices: training images; of more than MAX_FIT, that many are sampled.
        seed: of the sample, the weights and the order; the result is a function of it.

    Returns:
        A classifier in evaluation mode whose heads are in the order of factor_labels, or None where no factor has two
        values among the images.
    """
    _, labels = factor_labels(images)
    if len(indices) > MAX_FIT:
        indices = np.random.default_rng([seed, 13]).choice(indices, MAX_FIT, replace=False)
    labels = labels[indices]
    if all(len(np.unique(column[column != UNLABELLED])) < 2 for column in labels.T):
        return None
    num_values = (max(1, len(images.class_names)), *map(len, images.content_values))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Classifier(num_values, images.images.shape[-1])
        fit_heads(net, torch.from_numpy(images.gather(indices)), torch.from_numpy(labels), prepare, SETTINGS, seed)
    return net


def prepare(images: Tensor, training: bool, randomness: torch.Generator) -> Tensor:
    """Bytes or floats -> floats in [-1, 1]; in training the whole batch is shifted by up to SHIFT_PX pixels."""
    x = to_unit(images) if images.dtype == torch.uint8 else images
    if not training:
        return x
    top, left = torch.randint(0, 2 * SHIFT_PX + 1, (2,), generator=randomness).tolist()
    padded = F.pad(x, (SHIFT_PX,) * 4, mode="replicate")
    return padded[:, :, top : top + x.shape[2], left : left + x.shape[3]]


@torch.no_grad()
def features(net: Classifier, images: Tensor) -> Float[Tensor, "n features"]:
    """The trunk's features of images, bytes or floats in [-1, 1]."""
    still = torch.Generator()
    return torch.cat([net.trunk(prepare(chunk, False, still)) for chunk in images.split(EVAL_BATCH)])


class ClassMeans(nn.Module):
    """Tells classes apart that the classifier never saw: the nearest mean of a class in the trunk's features.

    Args:
        net: a fitted classifier.
        images: [n, 3, side, side] real images of the classes.
        classes: [n] their classes.
    """

    def __init__(self, net: Classifier, images: ByteImages, classes: Labels) -> None:
        super().__init__()
        known = F.normalize(features(net, torch.from_numpy(images)), dim=1)
        self.values = np.unique(classes)
        self.means = F.normalize(torch.stack([known[torch.from_numpy(classes == c)].mean(0) for c in self.values]))
        self.net = net

    def predict(self, images: Tensor) -> Labels:
        """The class of each image, bytes or floats in [-1, 1]."""
        return self.values[(features(self.net, images) @ self.means.T).argmax(dim=1).numpy()]
