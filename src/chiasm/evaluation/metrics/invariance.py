"""What each code tells of the changes that an image may be asked to be blind to; no label is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.augment import change
from chiasm.config import Augmentation, StrengthConfig
from chiasm.evaluation.bootstrap import groups_of, ratio_interval
from chiasm.evaluation.context import MetricResult, MixedSet
from chiasm.evaluation.format import Row, percent
from chiasm.evaluation.references import ByteImages
from chiasm.inference import encode, to_bytes, to_unit
from chiasm.networks import CrossModel

MAX_IMAGES = 256
HELD = 2.0
"""So many times as far as the other one a code moves that holds what was changed."""

Ratio = tuple[NDArray, NDArray]


def measure(mixed: MixedSet) -> MetricResult:
    """How far both codes move when an image is changed, beside how far they move from image to image.

    Returns:
        For each change, at the strengths of StrengthConfig, under `a` and `b` the ratio of these two mean distances,
        >= 0: 0 for a code that does not tell of the change.

    Source: docs/method.md, section 7.
    """
    context, part = mixed.context, mixed.part
    chosen = np.random.default_rng([context.seed, 31]).permutation(part.indices)[:MAX_IMAGES]
    if len(chosen) < 2:
        return "fewer than two held-out images"
    found = distances(context.model, context.images.gather(chosen), get_args(Augmentation), context.seed)
    groups = groups_of(context.images.classes, chosen)
    return {
        name: {code: ratio_interval(*pair, groups, seed=context.seed) for code, pair in codes.items()}
        for name, codes in found.items()
    }


def rows(values: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each change."""
    yield "moves under a change, % of between images", "code A", "code B"
    for name, codes in values.items():
        yield name, percent(codes["a"]), percent(codes["b"])


def distances(
    model: CrossModel, images: ByteImages, names: Sequence[Augmentation], seed: int
) -> dict[str, dict[str, Ratio]]:
    """For each change and each code how far it moves, and how far it is to the code of the next image.

    Args:
        model: in evaluation mode.
        images: [n, 3, side, side] at least two.
        names: of the changes, each at its strength in StrengthConfig.
        seed: of the changes.
    """
    codes = dict(zip("ab", encode(model, images), strict=True))
    apart = {code: _apart(c, c.roll(1, 0)) for code, c in codes.items()}
    found: dict[str, dict[str, Ratio]] = {}
    for name in names:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            changed = change(to_unit(torch.from_numpy(images)), (name,), StrengthConfig())
        moved = zip("ab", encode(model, to_bytes(changed)), strict=True)
        found[name] = {code: (_apart(c, codes[code]), apart[code]) for code, c in moved}
    return found


def told(name: str, a: float, b: float) -> str:
    """In words which code holds what a change changes.

    Args:
        name: of the change.
        a: how far code A moves, as a share of how far it is from image to image.
        b: likewise code B.
    """
    holds = "code B holds it" if b > HELD * a else "code A holds it" if a > HELD * b else "both tell of it"
    return f"{name}: code A moves by {a:.0%} of what it differs between images, code B by {b:.0%}; {holds}"


def _apart(first: Tensor, second: Tensor) -> NDArray[np.float64]:
    return (first - second).norm(dim=1).double().numpy()
