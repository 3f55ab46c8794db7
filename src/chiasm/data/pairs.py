"""Batches, and for each picture a partner of its class; a pure function of seed, step and rank."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from chiasm.data.image_set import UNLABELLED, ImageSet
from chiasm.data.order import shuffle

Indices = NDArray[np.int64]

# Purposes of random streams. They come before all else in a seed, for NumPy reads [s, 3] as [s, 3, 0].
_EPOCH, _PARTNER, _SMALL, _NEAR = 1, 2, 3, 4

NUM_CANDIDATES = 16
"""Pictures of a class among which the one most like another is looked for."""
PIXEL_STRIDE = 4
"""Of every so many rows and columns one is compared."""
STEPS_AT_ONCE = 32
BANK_SIZE = 16_384
BANK_CHUNK = 512
NUM_ALIKE = 4
SMALL_PX = 8


@dataclass(frozen=True)
class Batch:
    """One step's pictures on one device.

    Attributes:
        index: [n] indices of the pictures.
        partner: [n] for each, another picture of its class; itself if there is no other.
    """

    index: Indices
    partner: Indices


@dataclass(frozen=True)
class LoadedBatch:
    """A batch with its pixels.

    Attributes:
        index: [n] indices of the pictures.
        partner: [n] indices of their partners.
        x: [n, 3, side, side] uint8, the pictures.
        x_partner: the partners likewise, or None where they were not asked for.
        x_near: for each picture one that is much like it, of its class at even places, of another at odd ones, or
            None likewise.
        others: [n] which of x_near bear the label of another class than their picture, or None likewise.
    """

    index: Indices
    partner: Indices
    x: NDArray[np.uint8]
    x_partner: NDArray[np.uint8] | None
    x_near: NDArray[np.uint8] | None = None
    others: NDArray[np.bool_] | None = None


class Batches:
    """An endless, reproducible stream of batches.

    Each epoch is a permutation of the pictures, dealt out over steps and ranks; a batch at the end of an
    epoch goes on into the next. Where only few pictures are labelled, these come up again and again in an epoch,
    about as often as unlabelled ones. Sets smaller than a batch are drawn from with repetition.
    """

    def __init__(
        self,
        images: ImageSet,
        indices: Indices,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Prepares the draw.

        Args:
            images: all pictures.
            indices: [m] those to draw from, each once.
            batch_size: pictures of a batch on each device.
            seed: seed of order and partners, >= 0.
            rank: number of this device, from 0.
            world_size: number of devices.

        Raises:
            ValueError: if there is nothing to draw, or a number is out of its range.
        """
        if len(indices) == 0:
            raise ValueError("indices: got none; a batch needs at least one picture.")
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
        classes = images.classes[self.indices]
        self._table = _ClassTable(classes)
        num_labelled = int(np.count_nonzero(classes != UNLABELLED))
        times = max(1, round((len(classes) - num_labelled) / max(1, num_labelled)))
        self._again = np.flatnonzero(classes != UNLABELLED) if times > 1 else np.zeros(0, dtype=np.int64)
        self._num_draws = len(classes) + (times - 1) * len(self._again)
        self._others_alike = lru_cache(maxsize=2)(self._find_others_alike)
        # Pictures that are much alike are looked for a block of steps ahead.
        self._choose = lru_cache(maxsize=2 * STEPS_AT_ONCE)(self._draw)

    @property
    def steps_per_epoch(self) -> float:
        """Steps of an epoch; rarely a whole number."""
        return self._num_draws / (self.batch_size * self.world_size)

    def at(self, step: int) -> Batch:
        """The batch of a step.

        Args:
            step: number of the step, from 0.

        Returns:
            The batch; the same whenever and wherever it is asked for.
        """
        chosen = self._choose(step)
        partner = self._table.others(chosen, np.random.default_rng([_PARTNER, self.seed, step, self.rank]))
        return Batch(self.indices[chosen], self.indices[partner])

    def _find_near(self, step: int, x: NDArray[np.uint8]) -> Indices:
        """For each picture one much like it: of its class at even places, of another class at odd ones."""
        rng = np.random.default_rng([_NEAR, self.seed, step, self.rank])
        index = np.empty(len(x), dtype=np.int64)
        index[::2] = self._most_alike(self._choose(step)[::2], x[::2], rng)
        index[1::2] = self._others_alike(step // STEPS_AT_ONCE)[step % STEPS_AT_ONCE]
        return index

    def _find_others_alike(self, block: int) -> Indices:
        """[STEPS_AT_ONCE, n] for the odd places of some steps a picture of another class that is much like theirs.

        For many steps at once, since a large matrix product now and then disturbs a training less than a small one
        at every step.
        """
        steps = range(block * STEPS_AT_ONCE, (block + 1) * STEPS_AT_ONCE)
        index = self.indices[np.concatenate([self._choose(step)[1::2] for step in steps])]
        rng = np.random.default_rng([_NEAR, self.seed, block, self.rank, 1])
        return self._bank.most_alike(self.images.gather(index), self.images.classes[index], rng).reshape(len(steps), -1)

    def _most_alike(self, chosen: Indices, x: NDArray[np.uint8], rng: np.random.Generator) -> Indices:
        """For each of some pictures the one most like it among NUM_CANDIDATES of its class."""
        candidates = self.indices[self._table.others(np.repeat(chosen, NUM_CANDIDATES), rng)]
        few = np.s_[..., ::PIXEL_STRIDE, ::PIXEL_STRIDE]
        seen = self.images.gather(candidates)[few].reshape(len(x), NUM_CANDIDATES, -1).astype(np.int16)
        apart = np.abs(seen - x[few].reshape(len(x), 1, -1)).sum(axis=2)
        return candidates.reshape(len(x), NUM_CANDIDATES)[np.arange(len(x)), apart.argmin(axis=1)]

    @cached_property
    def _bank(self) -> Bank:
        """Training pictures in which to look for those much like others."""
        return Bank(self.images, self.indices, self.seed)

    def load(self, step: int, partners: bool = True, near: bool = False) -> LoadedBatch:
        """The batch of a step with its pixels.

        Args:
            step: number of the step, from 0.
            partners: whether to read the partners too.
            near: whether to look for pictures that are much alike.

        Returns:
            The batch.
        """
        batch = self.at(step)
        x = self.images.gather(batch.index)
        x_partner = self.images.gather(batch.partner) if partners else None
        if not near:
            return LoadedBatch(batch.index, batch.partner, x, x_partner)
        alike = self._find_near(step, x)
        mine, theirs = self.images.classes[batch.index], self.images.classes[alike]
        others = (mine != UNLABELLED) & (theirs != UNLABELLED) & (mine != theirs)
        return LoadedBatch(batch.index, batch.partner, x, x_partner, self.images.gather(alike), others)

    def iterate(
        self, start_step: int, stop_step: int, partners: bool = True, near: bool = False, ahead: int = 3
    ) -> Generator[LoadedBatch, None, None]:
        """Batches of consecutive steps, read in a background thread while the caller works.

        Args:
            start_step: first step.
            stop_step: the step after the last.
            partners: whether to read the partners too.
            near: whether to look for pictures that are much alike.
            ahead: how many batches wait at most.

        Yields:
            The batches in order. Closing the iterator early ends the thread; an exception of the thread
            is raised here.
        """
        ready: queue.Queue[LoadedBatch | Exception] = queue.Queue(ahead)
        stopped = threading.Event()
        thread = threading.Thread(
            target=self._fill, args=(ready, stopped, range(start_step, stop_step), partners, near), daemon=True
        )
        thread.start()
        try:
            for _ in range(start_step, stop_step):
                item = ready.get()
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            stopped.set()
            thread.join()

    def _fill(
        self,
        ready: queue.Queue[LoadedBatch | Exception],
        stopped: threading.Event,
        steps: range,
        partners: bool,
        near: bool,
    ) -> None:
        for step in steps:
            try:
                item: LoadedBatch | Exception = self.load(step, partners, near)
            # Whatever goes wrong here must reach the caller, who waits for an item.
            except Exception as error:
                item = error
            while not stopped.is_set():
                try:
                    ready.put(item, timeout=0.05)
                    break
                except queue.Full:
                    continue
            if stopped.is_set() or isinstance(item, Exception):
                return

    def _draw(self, step: int) -> Indices:
        """[batch_size] places in self.indices."""
        num = self._num_draws
        if num < self.batch_size:
            rng = np.random.default_rng([_SMALL, self.seed, step, self.rank])
            return self._drawn(rng.integers(0, num, self.batch_size))
        first = (step * self.world_size + self.rank) * self.batch_size
        epoch, place = divmod(first, num)
        here = np.arange(place, min(place + self.batch_size, num))
        chosen = shuffle(here, num, [_EPOCH, self.seed, epoch])
        if len(chosen) < self.batch_size:
            more = shuffle(np.arange(self.batch_size - len(chosen)), num, [_EPOCH, self.seed, epoch + 1])
            chosen = np.concatenate([chosen, more])
        return self._drawn(chosen)

    def _drawn(self, draw: Indices) -> Indices:
        """The places in self.indices of an epoch's draws: each once, few labelled ones again after these."""
        if len(self._again) == 0:
            return draw
        return np.where(draw < len(self.indices), draw, self._again[(draw - len(self.indices)) % len(self._again)])


class _ClassTable:
    """Which pictures are of one class, in twelve bytes a picture.

    Args:
        classes: [m] class of each picture, or UNLABELLED.
    """

    def __init__(self, classes: Indices) -> None:
        self.row = classes.astype(np.int32) + 1  # 0 for unlabelled pictures
        self.by_class = np.argsort(classes, kind="stable").astype(np.int32)
        self.rank = np.empty_like(self.by_class)
        self.rank[self.by_class] = np.arange(len(classes), dtype=np.int32)
        self.size = np.bincount(self.row)
        self.start = np.cumsum(self.size) - self.size

    def others(self, chosen: Indices, rng: np.random.Generator) -> Indices:
        """For each of some pictures another one of its class; itself if there is no other, or it has no class."""
        row = self.row[chosen]
        size, start = self.size[row], self.start[row]
        turn = 1 + rng.integers(0, np.maximum(size - 1, 1))
        other = self.by_class[start + (self.rank[chosen] - start + turn) % size]
        return np.where(row == 0, chosen, other)


class Bank:
    """Small versions of some pictures, to find those of other classes that are much like a picture.

    Args:
        images: all pictures.
        indices: [m] those to look among; of more than BANK_SIZE, that many are drawn.
        seed: of the draw.
    """

    def __init__(self, images: ImageSet, indices: Indices, seed: int) -> None:
        rng = np.random.default_rng([_NEAR, seed])
        self.index = indices if len(indices) <= BANK_SIZE else np.sort(rng.choice(indices, BANK_SIZE, replace=False))
        chunks = [self.index[start : start + BANK_CHUNK] for start in range(0, len(self.index), BANK_CHUNK)]
        self.small = np.concatenate([_small(images.gather(chunk)) for chunk in chunks])
        self.square = (self.small**2).sum(axis=1)
        self.classes = images.classes[self.index]

    def most_alike(self, x: NDArray[np.uint8], classes: Indices, rng: np.random.Generator) -> Indices:
        """For each picture one of the NUM_ALIKE most like it among those of other classes.

        Args:
            x: [n, 3, side, side] the pictures.
            classes: [n] of theirs; of an unlabelled picture only its very likeness is left out.
            rng: chooses among the most alike.
        """
        distance = self.square - 2 * _small(x) @ self.small.T  # n, bank; less a constant of each picture
        unlabelled = np.flatnonzero(classes == UNLABELLED)
        distance[unlabelled, distance[unlabelled].argmin(axis=1)] = np.inf
        distance[(self.classes == classes[:, None]) & (classes[:, None] != UNLABELLED)] = np.inf
        num = min(NUM_ALIKE, distance.shape[1])
        nearest = np.argpartition(distance, num - 1, axis=1)[:, :num]
        return self.index[nearest[np.arange(len(x)), rng.integers(0, num, len(x))]]


def _small(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[n, 3, side, side] bytes -> means over blocks of at least 8 x 8 pixels, flat, about [-1, 1]."""
    num, channels, side, _ = images.shape
    block = max(1, side // SMALL_PX)
    kept = side // block * block
    blocks = images[:, :, :kept, :kept].reshape(num, channels, kept // block, block, kept // block, block)
    return (blocks.mean(axis=(3, 5), dtype=np.float32) / 127.5 - 1).reshape(num, -1)
