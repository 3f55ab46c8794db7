"""What is measured and shown while a model trains, always on the same held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from chiasm.batch import Batch
from chiasm.config import Augmentation
from chiasm.cross import disassemble, mix, reassemble
from chiasm.data import UNLABELLED, Batches, ImageSet, Split, save_image
from chiasm.evaluation.metrics.invariance import distances
from chiasm.evaluation.metrics.shortcuts import ratio, shortcut_values
from chiasm.evaluation.swap import swap_errors
from chiasm.evaluation.triplets import sample_triplets
from chiasm.inference import encode, generate, to_bytes, to_unit
from chiasm.objective import Objective
from chiasm.plots import strip, swap_matrix
from chiasm.runs import MATRIX_FILE, STRIP_FILE

NUM_STRIP_PAIRS = 6
NUM_MATRIX = 8
NUM_SHORTCUT_PAIRS = 32


class Validation:
    """The frozen validation of one run.

    Args:
        images: the whole set.
        split: its split.
        num_pairs: pairs to measure.
        seed: of the choice of images.
        ignored: the changes that a code must not tell of; how far both codes move under each is measured.
    """

    def __init__(
        self, images: ImageSet, split: Split, num_pairs: int, seed: int, ignored: Sequence[Augmentation] = ()
    ) -> None:
        self.images, self.ignored = images, ignored
        self.split = split
        self.batch = Batches(images, split.val, batch_size=2 * num_pairs, seed=seed).at(0)
        self.triplets = sample_triplets(images.by_codes, split.val, 4 * num_pairs, seed, train=split.train)
        self.shortcut_pairs = self._choose_shortcut_pairs()

    @torch.inference_mode()
    def measure(self, objective: Objective, device: torch.device) -> dict[str, float]:
        """The training's terms and the swap error, without noise and with frozen statistics."""
        x = self._load(self.batch.index, device)
        partners = self._load(self.batch.partner, device) if self.images.has_classes else None
        has_partner = torch.from_numpy(self.batch.has_partner).to(device)
        terms = objective(Batch(x, partners, has_partner), 1.0).terms
        values = {f"val/{name}": float(value) for name, value in terms.items()}
        values["val/loss"] = sum(values.values())
        errors = swap_errors(objective.model, self.images, self.triplets)
        values |= {f"swap/{name}": value for name, value in errors.items()}
        if len(self.shortcut_pairs[0]) == 0:
            return values
        shortcuts = shortcut_values(objective.model, *self.shortcut_pairs)
        moved = distances(objective.model, self.shortcut_pairs[0], self.ignored, seed=0)
        values |= {f"moves/{c}_{name}": ratio(*pair) for name, codes in moved.items() for c, pair in codes.items()}
        return values | {f"shortcut/{name}": value for name, value in shortcuts.items()}

    @torch.inference_mode()
    def strip(self, objective: Objective, device: torch.device) -> Image.Image:
        """Held-out pairs mixed and mixed again, see plots.strip."""
        half = len(self.batch.index) // 2
        pairs = min(NUM_STRIP_PAIRS, half)
        index = np.concatenate([self.batch.index[:pairs], self.batch.index[half : half + pairs]])
        x = self._load(index, device)
        x_mix = mix(objective.model, disassemble(objective.model, x))
        x_rec = reassemble(objective.model, disassemble(objective.model, x_mix))
        return strip(self.images.images[index], to_bytes(x_mix), to_bytes(x_rec))

    def swap_matrix(self, objective: Objective) -> Image.Image:
        """A of some held-out images (rows) with B of others (columns)."""
        a_from, b_from = choose_matrix(self.images.by_codes, self.split.val, NUM_MATRIX)
        bytes_a, bytes_b = self.images.images[a_from], self.images.images[b_from]
        a, _ = encode(objective.model, bytes_a)
        _, b = encode(objective.model, bytes_b)
        grid = generate(objective.model, a.repeat_interleave(len(b), dim=0), b.repeat(len(a), 1))
        mixes = to_bytes(grid).reshape(len(a), len(b), *bytes_a.shape[1:])
        return swap_matrix(bytes_a, bytes_b, mixes)

    def _choose_shortcut_pairs(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Pairs of images of different classes: of one class, x2 would be the right answer. None of a single image."""
        first, second = self.batch.index.reshape(2, -1)
        classes = self.images.by_codes.classes
        differ = (classes[first] != classes[second]) | (classes[first] == UNLABELLED)
        differ &= first != second
        chosen = np.flatnonzero(differ if differ.any() else first != second)[:NUM_SHORTCUT_PAIRS]
        return self.images.gather(first[chosen]), self.images.gather(second[chosen])

    def _load(self, index: NDArray[np.int64], device: torch.device) -> torch.Tensor:
        return to_unit(torch.from_numpy(self.images.images[index]).to(device))


def choose_matrix(
    images: ImageSet, indices: NDArray[np.int64], num: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Images for the rows and the columns of a swap matrix: different classes, different contents.

    Args:
        images: the set.
        indices: images to choose from.
        num: rows and columns at most.
    """
    shuffled = np.random.default_rng(0).permutation(indices)
    _, first_of_class = np.unique(images.classes[shuffled], return_index=True)
    by_class = shuffled[np.sort(first_of_class)] if images.has_classes else shuffled
    rest = shuffled[~np.isin(shuffled, by_class[:num])]
    _, first_of_content = np.unique(images.contents[rest], axis=0, return_index=True)
    by_content = rest[np.sort(first_of_content)] if images.content_names else rest
    return by_class[:num], by_content[:num] if len(by_content) else by_class[:num]


def save_figures(validation: Validation, objective: Objective, device: torch.device, folder: Path) -> list[Path]:
    """Write the strip and the swap matrix of the current model; returns their paths."""
    paths = [folder / STRIP_FILE, folder / MATRIX_FILE]
    save_image(validation.strip(objective, device), paths[0])
    save_image(validation.swap_matrix(objective), paths[1])
    return paths
