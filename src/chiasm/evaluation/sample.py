"""What is measured on: held-out pictures, and the mixes of one part of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.data import UNLABELLED, ImageSet, Split
from chiasm.evaluation.classifiers import Classifier
from chiasm.evaluation.inference import draw, encode
from chiasm.evaluation.references import Indices
from chiasm.evaluation.triplets import Triplets, draw_triplets
from chiasm.networks import CrossModel

SAMPLES, CLASSES = "held_out_samples", "held_out_classes"
MAX_PROBE = 10_000
MAX_PROBE_TEST = 4_000


@dataclass(frozen=True)
class Part:
    """Held-out pictures to measure on.

    Attributes:
        name: SAMPLES or CLASSES.
        indices: the pictures.
        pool: pictures that retrieval may choose from.
        fit: pictures that probes learn from.
        test: pictures that probes are tested on.
    """

    name: str
    indices: Indices
    pool: Indices
    fit: Indices
    test: Indices


@dataclass(frozen=True)
class Bench:
    """What all measurements share."""

    model: CrossModel
    images: ImageSet
    mean: NDArray[np.float32]
    net: Classifier | None
    train: Indices
    noise_b: float
    num: int
    seed: int


@dataclass(frozen=True)
class Sample:
    """The mixes of one part."""

    bench: Bench
    part: Part

    @cached_property
    def triplets(self) -> Triplets:
        """Which pictures are mixed."""
        return draw_triplets(self.bench.images, self.part.indices, self.bench.num, self.bench.seed)

    @property
    def has_truth(self) -> bool:
        """Whether every mix has a true picture."""
        return len(self.triplets.truth) > 0 and bool((self.triplets.truth >= 0).all())

    @property
    def target(self) -> Indices:
        """The pictures to reconstruct: the true ones, or x1 where these are not known."""
        return self.triplets.truth if self.has_truth else self.triplets.a_from

    @property
    def groups(self) -> Indices:
        """[n] the class of each mix."""
        return self.bench.images.classes[self.triplets.a_from]

    @cached_property
    def drawn(self) -> tuple[Tensor, Tensor]:
        """Mixes, and reconstructions of the targets."""
        model, (x1, x2, _) = self.bench.model, self.triplets
        index, place = np.unique(np.concatenate([x1, x2, self.target]), return_inverse=True)
        a, b = encode(model, self.bench.images.gather(index))
        from_1, from_2, from_target = torch.from_numpy(place.reshape(3, -1))
        return draw(model, a[from_1], b[from_2]), draw(model, a[from_target], b[from_target])


def find_parts(images: ImageSet, split: Split, part: Literal["test", "val"], seed: int) -> list[Part]:
    """The held-out pictures, those of classes that training saw apart from those of other classes.

    An official split may hold out whole classes in its `test` too, so that the classes decide, not the split.
    Probes of unseen classes learn from half of each class's pictures and are tested on the other half.
    """
    held_out = np.concatenate([getattr(split, part), getattr(split, f"{part}_classes")])
    labels = images.classes[held_out]
    seen = np.isin(labels, images.classes[split.train]) | (labels == UNLABELLED)
    rng = np.random.default_rng([seed, 17])
    parts = []
    if seen.any():
        fit = rng.permutation(split.train)[:MAX_PROBE]
        indices = np.sort(held_out[seen])
        parts.append(Part(SAMPLES, indices, split.train, fit, rng.permutation(indices)[:MAX_PROBE_TEST]))
    if not seen.all():
        indices = rng.permutation(held_out[~seen])
        indices = indices[np.argsort(images.classes[indices], kind="stable")]
        fit, test = (rng.permutation(half)[:MAX_PROBE] for half in (indices[::2], indices[1::2]))
        parts.append(Part(CLASSES, np.sort(indices), np.sort(indices), fit, test))
    return parts
