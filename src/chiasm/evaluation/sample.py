"""What is measured on: held-out pictures, and the mixes of one part of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.data import UNLABELLED, ImageSet, Split
from chiasm.evaluation.bootstrap import groups_of
from chiasm.evaluation.classifiers import Classifier, factor_labels
from chiasm.evaluation.inference import draw, encode
from chiasm.evaluation.probes import FactorProbes, fit_factor, pixels
from chiasm.evaluation.references import Indices
from chiasm.evaluation.triplets import Triplets, draw_triplets
from chiasm.networks import CrossModel

SAMPLES, CLASSES = "held_out_samples", "held_out_classes"
MAX_PROBE = 10_000


@dataclass(frozen=True)
class Part:
    """Held-out pictures to measure on.

    Attributes:
        name: SAMPLES or CLASSES.
        indices: the pictures.
        pool: pictures that retrieval may choose from.
    """

    name: str
    indices: Indices
    pool: Indices


@dataclass(frozen=True)
class Bench:
    """What all measurements share.

    Attributes:
        model: the model to be measured.
        images: the set.
        train: the model's training pictures.
        mean: their mean, on [-1, 1].
        net: a classifier of real pictures; None where there is nothing to classify.
        noise_b: standard deviation of the noise on code B in training.
        num: mixes in each part.
        seed: of everything.
    """

    model: CrossModel
    images: ImageSet
    train: Indices
    mean: NDArray[np.float32]
    net: Classifier | None
    noise_b: float
    num: int
    seed: int
    _probes: dict[int, FactorProbes | str] = field(default_factory=dict)

    @property
    def noises(self) -> dict[str, float]:
        """The inputs of probes that get noise."""
        return {"b_used": self.noise_b} if self.noise_b > 0 else {}

    def inputs(self, index: Indices) -> dict[str, Tensor]:
        """What probes read, [n, width] each: codes A and B, code B to be used with noise, small pictures."""
        pictures = self.images.gather(index)
        a, b = encode(self.model, pictures)
        return {"a": a, "b": b, **dict.fromkeys(self.noises, b), "pixels": pixels(pictures)}

    @cached_property
    def _fit(self) -> tuple[Indices, dict[str, Tensor]]:
        fit = np.random.default_rng([self.seed, 29]).permutation(self.train)[:MAX_PROBE]
        return fit, self.inputs(fit)

    def probes(self, factor: int) -> FactorProbes | str:
        """Probes of a factor (see factor_labels), fitted on training pictures the first time they are asked for."""
        if factor not in self._probes:
            fit, inputs = self._fit
            labels = factor_labels(self.images)[1][fit, factor]
            self._probes[factor] = fit_factor(inputs, self.noises, labels, self.seed)
        return self._probes[factor]


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
        """[n] what the bootstrap draws each mix with."""
        return groups_of(self.bench.images.classes, self.target)

    @cached_property
    def drawn(self) -> tuple[Tensor, Tensor]:
        """Mixes, and reconstructions of the targets."""
        model, (x1, x2, _) = self.bench.model, self.triplets
        index, place = np.unique(np.concatenate([x1, x2, self.target]), return_inverse=True)
        a, b = encode(model, self.bench.images.gather(index))
        from_1, from_2, from_target = torch.from_numpy(place.reshape(3, -1))
        return draw(model, a[from_1], b[from_2]), draw(model, a[from_target], b[from_target])


def find_parts(images: ImageSet, split: Split, part: Literal["test", "val"]) -> list[Part]:
    """The held-out pictures, those of classes that training saw apart from those of other classes.

    An official split may hold out whole classes in its `test` too, so that the classes decide, not the split.
    """
    held_out = np.sort(np.concatenate([getattr(split, part), getattr(split, f"{part}_classes")]))
    labels = images.classes[held_out]
    seen = np.isin(labels, images.classes[split.train]) | (labels == UNLABELLED)
    parts = [Part(SAMPLES, held_out[seen], split.train), Part(CLASSES, held_out[~seen], held_out[~seen])]
    return [p for p in parts if len(p.indices)]
