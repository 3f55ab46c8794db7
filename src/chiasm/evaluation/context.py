"""What is measured on: held-out images, and the mixes of one part of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.data import UNLABELLED, ImageSet, Split
from chiasm.evaluation.bootstrap import groups_of
from chiasm.evaluation.classifiers import Classifier, factor_labels, fit_classifier
from chiasm.evaluation.probes import FactorProbes, fit_factor, pixels
from chiasm.evaluation.references import Indices, mean_image
from chiasm.evaluation.triplets import NONE, Triplets, find_truths, sample_triplets
from chiasm.inference import encode, generate, hand_out, read_codes
from chiasm.networks import CrossModel

SAMPLES, CLASSES = "held_out_samples", "held_out_classes"
MAX_PROBE = 10_000
MAX_PROBE_CONTENT = 4_000
MAX_REAL = 4_000

MetricResult = dict[str, Any] | str
"""Results, or the reason why there are none; such reasons may stand in for any of the results too."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out images to measure on.

    Attributes:
        name: SAMPLES or CLASSES.
        indices: the images.
        pool: images that retrieval may choose from.
        others: the other held-out images, which give code B where no image of `indices` has the content.
    """

    name: str
    indices: Indices
    pool: Indices
    others: Indices = field(default_factory=lambda: NONE)


@dataclass(frozen=True)
class EvaluationContext:
    """What all metrics share; what takes long is made the first time that one asks for it.

    Attributes:
        model: the model to be measured.
        images: the set.
        train: the model's training images.
        num: mixes in each part.
        seed: of everything.
    """

    model: CrossModel
    images: ImageSet
    train: Indices
    num: int
    seed: int
    _probes: dict[int, FactorProbes | str] = field(default_factory=dict)

    @cached_property
    def mean(self) -> NDArray[np.float32]:
        """The mean training image, on [-1, 1]."""
        return mean_image(self.images, self.train, self.seed)

    @cached_property
    def classifier(self) -> Classifier | None:
        """A classifier of real images; None where there is nothing to classify."""
        return fit_classifier(self.images, self.train, self.seed)

    def inputs(self, index: Indices) -> dict[str, Tensor]:
        """What probes read, [n, width] each: both codes as handed out, code B as the encoder gives it, small images."""
        images = self.images.gather(index)
        a_exact, b_exact = read_codes(self.model, images)
        _require_finite("codes", a_exact, b_exact)
        a, b = hand_out(self.model, a_exact, b_exact)
        changed = self.model.noise_b > 0 or self.model.codes_b is not None
        return {"a": a, "b": b, **({"b_exact": b_exact} if changed else {}), "pixels": pixels(images)}

    @cached_property
    def _fit(self) -> tuple[Indices, dict[str, Tensor]]:
        fit = np.random.default_rng([self.seed, 29]).permutation(self.train)[:MAX_PROBE]
        return fit, self.inputs(fit)

    def probes(self, factor: int) -> FactorProbes | str:
        """Probes of a factor (see factor_labels), fitted on training images the first time they are asked for."""
        if factor not in self._probes:
            num = MAX_PROBE if factor == 0 else MAX_PROBE_CONTENT
            labels = factor_labels(self.images)[1][self._fit[0][:num], factor]
            # What the encoder wrote below the noise matters for the class alone, and each probe takes seconds.
            inputs = {name: x[:num] for name, x in self._fit[1].items() if factor == 0 or name != "b_exact"}
            self._probes[factor] = fit_factor(inputs, labels, thorough=factor == 0, seed=self.seed)
        return self._probes[factor]


@dataclass(frozen=True)
class MixedSet:
    """The mixes of one part."""

    context: EvaluationContext
    part: HeldOut

    @cached_property
    def triplets(self) -> Triplets:
        """Which images are mixed."""
        context, part = self.context, self.part
        return sample_triplets(
            context.images.by_codes, part.indices, context.num, context.seed, part.others, context.train
        )

    @property
    def num_left_out(self) -> int:
        """How many images are the truth of no mix; 0 where no truth is known at all."""
        context, part = self.context, self.part
        if not self.has_truth:
            return 0
        return len(part.indices) - len(find_truths(context.images.by_codes, part.indices, part.others, context.train))

    @property
    def has_truth(self) -> bool:
        """Whether every mix has a true image."""
        return bool((self.triplets.truth >= 0).all())

    @property
    def target(self) -> Indices:
        """The images to reconstruct: the true ones, or x1 where these are not known."""
        return self.triplets.truth if self.has_truth else self.triplets.a_from

    @property
    def groups(self) -> Indices:
        """[n] what the bootstrap resamples each mix with."""
        return groups_of(self.context.images.classes, self.target)

    @cached_property
    def generated(self) -> tuple[Tensor, Tensor]:
        """Mixes, and reconstructions of the targets."""
        model, (x1, x2, _) = self.context.model, self.triplets
        index, place = np.unique(np.concatenate([x1, x2, self.target]), return_inverse=True)
        a, b = encode(model, self.context.images.gather(index))
        from_1, from_2, from_target = torch.from_numpy(place.reshape(3, -1))
        mixes, reconstructions = generate(model, a[from_1], b[from_2]), generate(model, a[from_target], b[from_target])
        _require_finite("generated images", mixes, reconstructions)
        return mixes, reconstructions


def _require_finite(name: str, *tensors: Tensor) -> None:
    broken = sum(int((~x.flatten(1).isfinite().all(dim=1)).sum()) for x in tensors)
    if broken:
        raise ValueError(f"{broken} of {sum(map(len, tensors))} {name} hold NaN or infinity; train the model anew.")


def find_held_out(images: ImageSet, split: Split, part: Literal["test", "val"]) -> list[HeldOut]:
    """The held-out images, those of classes that training saw apart from those of other classes.

    An official split may hold out whole classes in its `test` too, so that the classes decide, not the split.
    """
    held_out = np.sort(np.concatenate([getattr(split, part), getattr(split, f"{part}_classes")]))
    labels = images.classes[held_out]
    seen = np.isin(labels, images.classes[split.train]) | (labels == UNLABELLED)
    samples, classes = held_out[seen], held_out[~seen]
    parts = [HeldOut(SAMPLES, samples, split.train, classes), HeldOut(CLASSES, classes, classes, samples)]
    return [p for p in parts if len(p.indices)]
