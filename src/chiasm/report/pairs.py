"""Held-out pairs mixed and mixed again by every run's saved model, and the best pair of all."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.checkpoint import CheckpointError, load_model
from chiasm.config import ConfigError, DataConfig
from chiasm.cross import Codes, disassemble, generate, mix, reassemble
from chiasm.data import UNLABELLED, Batches, ImageSet, Split, load_split, open_data
from chiasm.data.image_set import DataError
from chiasm.evaluation.criterion import COPY_PENALTY
from chiasm.evaluation.metrics.shortcuts import copies
from chiasm.evaluation.swap import l1
from chiasm.inference import to_bytes, to_unit
from chiasm.networks import CrossModel
from chiasm.plots import ByteImages
from chiasm.report.read import Run

NUM_PAIRS = 6
NUM_CANDIDATES = 64
WITH_TRUTH = (
    "smallest sum of the L1 to the originals after crossing twice and the L1 of the mixes to the true recombinations"
)
WITHOUT_TRUTH = "smallest L1 to the originals after crossing twice, plus the share of its two mixes that are copies"


@dataclass(frozen=True)
class Strip:
    """The pairs of one run.

    Attributes:
        x: [2 n, 3, side, side] the first images of all pairs, then the second ones.
        x_mix: x_a1b2 of all pairs, then x_a2b1.
        x_rec: the originals after crossing twice.
        cycle: [n] L1 of x_rec to x, mean of the two images.
        swap: [n] L1 of the mixes to the true ones, NaN where these are not known.
        copied: [n] share of the two mixes that are copies of x1 or x2.
    """

    x: ByteImages
    x_mix: ByteImages
    x_rec: ByteImages
    cycle: NDArray[np.float64]
    swap: NDArray[np.float64]
    copied: NDArray[np.float64]

    @property
    def has_truth(self) -> bool:
        """Whether all true mixes are known."""
        return bool(np.isfinite(self.swap).all())

    def scores(self, truth: bool) -> NDArray[np.float64]:
        """How bad each pair is, see WITH_TRUTH and WITHOUT_TRUTH."""
        return self.cycle + (self.swap if truth else COPY_PENALTY * self.copied)


def generate_strips(runs: Sequence[Run]) -> tuple[dict[str, Strip], dict[str, str]]:
    """Generate the same pairs with every run's model.

    Returns:
        For each run's path its strip; and for each run that has none, the reason.
    """
    opened: dict[tuple[DataConfig, int], ImageSet] = {}
    strips: dict[str, Strip] = {}
    reasons: dict[str, str] = {}
    for run in runs:
        try:
            model = load_model(run.folder.path)
            key = dataclasses.replace(run.config.data, fit=model.fit), model.config.side_px
            if key not in opened:
                opened[key] = open_data(*key, progress_bar=False)
            images = opened[key]
            strips[str(run.folder.path)] = generate_strip(model, images, load_split(run.folder.split, images))
        except (CheckpointError, ConfigError, DataError, OSError) as error:
            reasons[str(run.folder.path)] = str(error)
    return strips, reasons


@torch.inference_mode()
def generate_strip(model: CrossModel, images: ImageSet, split: Split) -> Strip:
    """Mix some held-out pairs with a model, mix the mixes again, and measure each pair."""
    images = images.by_codes
    first, second = choose_pairs(images, split)
    index = np.concatenate([first, second])
    x = to_unit(torch.from_numpy(images.gather(index)))
    codes = disassemble(model, x)
    x_mix = mix(model, codes)
    x_rec = reassemble(model, disassemble(model, x_mix))
    truth = np.concatenate([images.true_mix(first, second), images.true_mix(second, first)])
    errors = l1(x_mix, to_unit(torch.from_numpy(images.gather(np.maximum(truth, 0))))).double().numpy()
    rec_1, rec_2 = generate(model, Codes(codes.a, codes.b)).chunk(2)
    distance = l1(rec_1, rec_2).repeat(2)
    copied = torch.maximum(*(copies(l1(x_mix, other.repeat(2, 1, 1, 1)), distance) for other in (rec_1, rec_2)))
    return Strip(
        images.gather(index),
        to_bytes(x_mix),
        to_bytes(x_rec),
        _of_pairs(l1(x_rec, x).double().numpy()),
        _of_pairs(np.where(truth >= 0, errors, np.nan)),
        _of_pairs(copied.double().numpy()),
    )


def choose_pairs(images: ImageSet, split: Split) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Up to NUM_PAIRS held-out pairs, the same for every run: of two classes and with known mixes where there are."""
    candidates = min(NUM_CANDIDATES, max(1, len(split.val) // 2))
    first, second = Batches(images, split.val, batch_size=2 * candidates, seed=0).at(0).index.reshape(2, -1)
    classes = images.classes
    differ = (classes[first] != classes[second]) | (classes[first] == UNLABELLED)
    known = (images.true_mix(first, second) >= 0) & (images.true_mix(second, first) >= 0)
    differ_in_b = (
        images.contents[first] != images.contents[second] if images.content_names else np.ones((len(first), 1))
    )
    order = np.argsort(-(4 * differ + 2 * known + differ_in_b.any(axis=1)), kind="stable")[:NUM_PAIRS]
    return first[order], second[order]


def find_best(strips: dict[str, Strip]) -> tuple[str, int, bool] | None:
    """The best pair of all: the path of its run, its place in the strip, and whether the truth was used."""
    if not strips:
        return None
    truth = all(strip.has_truth for strip in strips.values())
    lowest = {path: strip.scores(truth) for path, strip in strips.items()}
    path = min(lowest, key=lambda p: lowest[p].min())
    return path, int(lowest[path].argmin()), truth


def _of_pairs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.reshape(2, -1).mean(axis=0)
