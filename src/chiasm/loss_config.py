"""The settings of the losses and when which of them learn: the weights, the noise, the stages of a training."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from chiasm.checks import check_numbers, number, require

Need = Literal["classes", "partners", "similar"]
"""What a term of the loss may need beside the images: labels, partners of the same class, positives and negatives."""


def _weight(default: float, *needs: Need) -> Any:
    """The weight of a term that needs these data."""
    return field(default=default, metadata={"needs": needs, "range": (0, math.inf)})


class Stage(NamedTuple):
    """A part of the training: who learns in it, and how much of it is over."""

    name: Literal["all", "inversion", "refinement"]
    """Everybody learns; encoder A alone; the generator alone."""
    progress: float
    """The fraction of it that is over, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The weight of every term; 0 switches a term off and saves its work."""

    weight_rec: float = number(0.0, 0)
    """Cycle consistency: crossing twice returns the originals (eq. 1). Needs 2.5 x the work of a step."""
    gamma: float = number(0.0, 0)
    """Weight of both cycle losses on the codes (eq. 4)."""
    gamma_a: float | None = number(None, 0)
    """Weight of the cycle loss on code A (eq. 2); as gamma when not given."""
    gamma_b: float | None = number(None, 0)
    """Weight of the cycle loss on code B (eq. 3); as gamma when not given."""
    cross_start: float = number(0.0, 0)
    """Fraction of the training after which the crossing terms begin."""
    noise_mix: float = number(0.0, 0)
    """Standard deviation of noise on the mixed images before they are encoded again, against hidden signals."""
    weight_swap: float = _weight(1.0, "classes", "partners")
    """Same-class swap: the code A of another image of the class must reconstruct this one (eq. 5). Needs classes."""
    weight_direct: float = number(0.0, 0)
    """Direct reconstruction, G(E_A(x), E_B(x)) (eq. 6)."""
    weight_topk: float = number(0.0, 0)
    """Weight of the mean over the k worst pixels of an image, inside the swap and direct terms (eq. 8)."""
    topk_fraction: float = number(0.05, 0)
    """The fraction of an image's pixels that counts as worst."""
    weight_perceptual: float = number(0.0, 0)
    """Weight of the perceptual loss, likewise: how far features of photographs are off (eq. 22). Needs the extra
    'perceptual'."""
    weight_spread: float = number(0.0, 0)
    """Weight of how far the spread of these features over an image is off, as a share of weight_perceptual, in the
    inversion and the refinement alone (eq. 30)."""
    weight_squared: float = number(2.0, 0)
    """Weight of the mean squared error, likewise (eq. 9)."""
    weight_difference: float = _weight(1.0, "similar")
    """Weight of the difference-weighted L1, the error where an image differs from a similar one, likewise (eq. 10)."""
    noise_b: float = number(1.0, 0)
    """Standard deviation of the noise that is added to code B in training."""
    shift_b: float = number(0.0, 0, 0.5)
    """Largest shift of the images that encoder B gets in training, as a fraction of the side: for images in
    which things stand a little elsewhere every time, which no mix can know."""
    weight_consistency: float = number(0.0, 0)
    """Weight of the consistency loss, with shift_b: the squared distance between codes B of an image shifted and as it
    is (eq. 13). The adversary then gets both; otherwise the class is hidden in shifted ones only."""
    decay_b: float = number(1e-3, 0)
    """Weight of the squared length of code B (eq. 11)."""
    weight_contrastive: float = _weight(1.0, "classes", "partners")
    """Weight of the contrastive loss on codes B of two images of a class (eq. 12). Needs classes."""
    weight_contrastive_a: float | None = number(None, 0)
    """Its weight on codes A of two similar images of different classes, with weight_difference; as weight_contrastive
    when not given."""
    weight_adversary: float = _weight(0.1, "classes")
    """Weight of hiding the class in code B from an adversary that learns it from there (eq. 16). Needs classes."""
    weight_classifier: float = _weight(0.0, "classes")
    """Weight of a classifier, trained on real images, that must find x1's class in the mix (eq. 18). Needs classes."""
    weight_variance: float = number(0.0, 0)
    """Weight of the variance loss, a hinge that keeps both codes from being constant (eq. 14)."""
    inversion_start: float = number(1.0, 0, 1)
    """Fraction of the training after which encoder A alone learns on, to invert the generator as it is by then, with a
    schedule of its own (eq. 27); 1 for never."""
    refinement_start: float = number(1.0, 0, 1)
    """Fraction of the training after which the generator alone learns on, to draw from the codes as they are by then,
    with a schedule of its own (eq. 28); 1 for never."""

    def __post_init__(self) -> None:
        check_numbers("loss", self)
        require(0 < self.topk_fraction <= 1, "loss.topk_fraction", self.topk_fraction, "give a fraction in (0, 1]")
        late = 0 < self.cross_start < 1 and max(self.weight_swap, self.weight_direct) > 0
        remedy = "give 0, or a fraction below 1 where loss.weight_swap or loss.weight_direct trains until then"
        require(self.cross_start == 0 or late, "loss.cross_start", self.cross_start, remedy)
        remedy = "give a fraction of the training above 0, or 1 for no inversion"
        require(self.inversion_start > 0, "loss.inversion_start", self.inversion_start, remedy)
        before = self.inversion_start if self.inversion_start < 1 else 0.0
        remedy = f"give a fraction above {before:g}, or 1 for no refinement"  # the inversion comes first
        require(self.refinement_start > before, "loss.refinement_start", self.refinement_start, remedy)
        require(
            max(self.weight_rec, self.weight_swap, self.weight_direct) > 0,
            "loss.weight_rec, loss.weight_swap, loss.weight_direct",
            (self.weight_rec, self.weight_swap, self.weight_direct),
            "no term compares images; give at least one of them a weight",
        )

    @classmethod
    def only(cls, **given: float) -> LossConfig:
        """The settings given, and all other terms, the noise and the decay switched off."""
        off = [f.name for f in dataclasses.fields(cls) if f.name.startswith(("weight_", "noise_", "decay_"))]
        return cls(**dict.fromkeys(off, 0.0) | given)

    def keys_that_need(self, data: Need) -> list[str]:
        """The terms in use that need these data, by the names of their weights."""
        used = (f for f in dataclasses.fields(self) if (getattr(self, f.name) or 0) > 0)
        return [f.name for f in used if data in f.metadata.get("needs", ())]

    def stage(self, progress: float) -> Stage:
        """What learns when a fraction of the training is over."""
        inversion, refinement = self.inversion_start, self.refinement_start
        if refinement <= progress and refinement < 1:
            return Stage("refinement", (progress - refinement) / (1 - refinement))
        if inversion <= progress and inversion < 1:
            return Stage("inversion", (progress - inversion) / (refinement - inversion))
        return Stage("all", progress / min(inversion, refinement))

    @property
    def cycle_a(self) -> float:
        """The weight of eq. 2."""
        return self.gamma if self.gamma_a is None else self.gamma_a

    @property
    def cycle_b(self) -> float:
        """The weight of eq. 3."""
        return self.gamma if self.gamma_b is None else self.gamma_b

    @property
    def contrastive_a(self) -> float:
        """The weight of eq. 12 on codes A."""
        return self.weight_contrastive if self.weight_contrastive_a is None else self.weight_contrastive_a

    @property
    def crosses(self) -> bool:
        """Whether any term needs the mixed images disassembled again."""
        return max(self.weight_rec, self.cycle_a, self.cycle_b) > 0
