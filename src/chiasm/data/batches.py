"""Batches, and for each image a partner of its class; a pure function of seed, step and rank."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from chiasm.data.image_set import UNLABELLED, ImageSet
from chiasm.data.negatives import NegativeBank, most_similar
from chiasm.data.permutation import permutation
from chiasm.data.prefetch import prefetch

Indices = NDArray[np.int64]

# Purposes of random streams. They come before all else in a seed, for NumPy reads [s, 3] as [s, 3, 0].
_EPOCH, _PARTNER, _SMALL, _SIMILAR, _ALIKE = 1, 2, 3, 4, 5

NUM_CANDIDATES = 16
"""Candidates of a class among which the positive is the most similar one."""
STEPS_AT_ONCE = 32


@dataclass(frozen=True)
class BatchIndices:
    """One step's images on one device.

    Attributes:
        index: [n] indices of the images.
        partner: [k n] for each image another one of its class; itself if there is no other. Then for each a second
            one, and so on.
        alike: [n] for each image another one of its group; itself where there are no groups, or no other.
    """

    index: Indices
    partner: Indices
    alike: Indices

    @property
    def has_partner(self) -> NDArray[np.bool_]:
        """[n] which images have partners that are not the image itself."""
        return self.index != self.partner[: len(self.index)]


@dataclass(frozen=True)
class LoadedBatch:
    """A batch with its pixels.

    Attributes:
        index: [n] indices of the images.
        partner: [k n] indices of their partners, as in BatchIndices.
        x: [n, 3, side, side] uint8, the images.
        x_partner: the partners likewise, or None where they were not asked for.
        has_partner: [n] which images have partners that are not the image itself.
        x_positive: [n / 2, 3, side, side] for each image at an even place the most similar one of its class, or None
            likewise; where no image of the set has a class, one of the most similar ones.
        x_negative: for each image at an odd place one of the most similar of other classes, or None likewise.
        is_negative: [n / 2] which x_negative are labelled with another class than their image, or None likewise.
        x_alike: [n, 3, side, side] for each image another one of its group; None where there are no groups.
    """

    index: Indices
    partner: Indices
    x: NDArray[np.uint8]
    x_partner: NDArray[np.uint8] | None
    has_partner: NDArray[np.bool_]
    x_positive: NDArray[np.uint8] | None = None
    x_negative: NDArray[np.uint8] | None = None
    is_negative: NDArray[np.bool_] | None = None
    x_alike: NDArray[np.uint8] | None = None


class Batches:
    """An endless, reproducible stream of batches.

    Each epoch is a permutation of the images, dealt out over steps and ranks; a batch at the end of an
    epoch goes on into the next. Where only few images are labelled, these come up again and again in an epoch,
    about as often as unlabelled ones. Sets smaller than a batch are sampled with repetition.

    Several devices share out the batch that one device with as many images would have, so that the number of devices
    changes nothing but the order of sums (for positives and negatives where a device has a multiple of four images).
    """

    def __init__(
        self,
        images: ImageSet,
        indices: Indices,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        num_partners: int = 1,
        groups: Indices | None = None,
    ) -> None:
        """Prepares the sampling.

        Args:
            images: all images.
            indices: [m] those to sample from, each once.
            batch_size: images of a batch on each device.
            seed: seed of order and partners, >= 0.
            rank: number of this device, from 0.
            world_size: number of devices.
            num_partners: of each image.
            groups: [m] a number for each of indices, equal where images show about the same; none by default.

        Raises:
            ValueError: if there is nothing to sample, or a number is out of its range.
        """
        if len(indices) == 0:
            raise ValueError("indices: got none; a batch needs at least one image.")
        if batch_size < 1 or seed < 0 or not 0 <= rank < world_size:
            raise ValueError(
                f"batch_size, seed, rank, world_size: got {batch_size}, {seed}, {rank}, {world_size}; "
                f"wanted batch_size >= 1, seed >= 0 and 0 <= rank < world_size."
            )
        self.images = images
        self.indices = np.asarray(indices, dtype=np.int64)
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.num_partners = num_partners
        classes = images.classes[self.indices]
        self._table = _ClassTable(classes)
        self._groups = None if groups is None else _ClassTable(groups)
        num_labelled = int(np.count_nonzero(classes != UNLABELLED))
        times = max(1, round((len(classes) - num_labelled) / max(1, num_labelled)))
        self._again = np.flatnonzero(classes != UNLABELLED) if times > 1 else np.zeros(0, dtype=np.int64)
        self._num_samples = len(classes) + (times - 1) * len(self._again)
        self._searched = slice(1, None, 2) if num_labelled > 0 else slice(None)
        self._find_negatives = lru_cache(maxsize=2)(self._negatives_of_block)
        # Negatives are searched for a block of steps ahead.
        self._choose = lru_cache(maxsize=2 * STEPS_AT_ONCE)(self._sample)

    @property
    def steps_per_epoch(self) -> float:
        """Steps of an epoch; rarely a whole number."""
        return self._num_samples / (self.batch_size * self.world_size)

    def at(self, step: int) -> BatchIndices:
        """The images of a step and their partners; the same whenever and wherever they are asked for."""
        chosen = self._choose(step)
        rng = np.random.default_rng([_PARTNER, self.seed, step])
        partners = [self._own(self._table.others(chosen, rng)) for _ in range(self.num_partners)]
        alike = chosen
        if self._groups is not None:
            alike = self._groups.others(chosen, np.random.default_rng([_ALIKE, self.seed, step]))
        return BatchIndices(
            self.indices[self._own(chosen)], self.indices[np.concatenate(partners)], self.indices[self._own(alike)]
        )

    def load(self, step: int, partners: bool = True, similar: bool = False) -> LoadedBatch:
        """The batch of a step with its pixels.

        Args:
            step: number of the step, from 0.
            partners: whether to read the partners too.
            similar: whether to read positives and negatives too.
        """
        batch = self.at(step)
        x = self.images.gather(batch.index)
        x_partner = self.images.gather(batch.partner) if partners else None
        x_alike = None if self._groups is None else self.images.gather(batch.alike)
        loaded = LoadedBatch(batch.index, batch.partner, x, x_partner, batch.has_partner, x_alike=x_alike)
        if not similar:
            return loaded
        negative = self._find_negatives(step // STEPS_AT_ONCE)[step % STEPS_AT_ONCE]
        if self._searched == slice(None):
            positive, negative = negative[::2], negative[1::2]
        else:
            positive = self._find_positives(step, x[::2])
        own, others = self.images.classes[batch.index[1::2]], self.images.classes[negative]
        is_negative = (own != UNLABELLED) & (others != UNLABELLED) & (own != others)
        pixels = self.images.gather(np.concatenate([positive, negative]))
        return replace(
            loaded,
            x_positive=pixels[: len(positive)],
            x_negative=pixels[len(positive) :],
            is_negative=is_negative,
        )

    def iterate(
        self, start_step: int, stop_step: int, partners: bool = True, similar: bool = False
    ) -> Generator[LoadedBatch, None, None]:
        """Batches of consecutive steps, read in a background thread; see load and prefetch."""
        return prefetch(partial(self.load, partners=partners, similar=similar), start_step, stop_step)

    def _find_positives(self, step: int, x: NDArray[np.uint8]) -> Indices:
        """For each image at an even place of a step the most similar one among NUM_CANDIDATES of its class."""
        rng = np.random.default_rng([_SIMILAR, self.seed, step])
        candidates = self._table.others(np.repeat(self._choose(step)[::2], NUM_CANDIDATES), rng)
        return most_similar(self.images, x, self.indices[self._own(candidates.reshape(-1, NUM_CANDIDATES))])

    def _negatives_of_block(self, block: int) -> Indices:
        """[STEPS_AT_ONCE, m] for the searched places of some steps one of the most similar of other classes.

        For many steps at once, since a large matrix product now and then disturbs a training less than a small one
        at every step.
        """
        steps = range(block * STEPS_AT_ONCE, (block + 1) * STEPS_AT_ONCE)
        index = self.indices[np.concatenate([self._own(self._choose(step)[self._searched]) for step in steps])]
        rng = np.random.default_rng([_SIMILAR, self.seed, block, 0, 1])
        num = len(range(self.batch_size * self.world_size)[self._searched])
        choice = rng.integers(0, self._bank.num_similar, (len(steps), num))
        own = np.concatenate([self._own(row) for row in choice])
        found = self._bank.most_similar(self.images.gather(index), self.images.classes[index], own)
        return found.reshape(len(steps), -1)

    @cached_property
    def _bank(self) -> NegativeBank:
        """Training images among which negatives are searched."""
        return NegativeBank(self.images, self.indices, np.random.default_rng([_SIMILAR, self.seed]))

    def _sample(self, step: int) -> Indices:
        """Places in self.indices of the images of a step on all devices."""
        num, wanted = self._num_samples, self.batch_size * self.world_size
        if num < wanted:
            rng = np.random.default_rng([_SMALL, self.seed, step])
            return self._place(rng.integers(0, num, wanted))
        epoch, place = divmod(step * wanted, num)
        here = np.arange(place, min(place + wanted, num))
        chosen = permutation(here, num, [_EPOCH, self.seed, epoch])
        if len(chosen) < wanted:
            more = permutation(np.arange(wanted - len(chosen)), num, [_EPOCH, self.seed, epoch + 1])
            chosen = np.concatenate([chosen, more])
        return self._place(chosen)

    def _own(self, rows: Indices) -> Indices:
        """This device's share of what all devices have: of each half of the pairs, so that pairs stay together."""
        if self.world_size == 1:
            return rows
        halves = np.array_split(rows, 2)
        return np.concatenate([np.array_split(half, self.world_size)[self.rank] for half in halves])

    def _place(self, samples: Indices) -> Indices:
        """The places in self.indices of an epoch's samples: each once, few labelled ones again after these."""
        if len(self._again) == 0:
            return samples
        return np.where(
            samples < len(self.indices), samples, self._again[(samples - len(self.indices)) % len(self._again)]
        )


class _ClassTable:
    """Which images are of one class, or of one group, in twelve bytes an image.

    Args:
        classes: [m] class of each image, or UNLABELLED.
    """

    def __init__(self, classes: Indices) -> None:
        self.row = classes.astype(np.int32) + 1  # 0 for unlabelled images
        self.by_class = np.argsort(classes, kind="stable").astype(np.int32)
        self.rank = np.empty_like(self.by_class)
        self.rank[self.by_class] = np.arange(len(classes), dtype=np.int32)
        self.size = np.bincount(self.row)
        self.start = np.cumsum(self.size) - self.size

    def others(self, chosen: Indices, rng: np.random.Generator) -> Indices:
        """For each of some images another one of its class; itself if there is no other, or it has no class."""
        row = self.row[chosen]
        size, start = self.size[row], self.start[row]
        turn = 1 + rng.integers(0, np.maximum(size - 1, 1))
        other = self.by_class[start + (self.rank[chosen] - start + turn) % size]
        return np.where(row == 0, chosen, other)
