"""Random orders of any length that need no memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

NUM_ROUNDS = 6


def permutation(places: Indices, num: int, seed: list[int]) -> Indices:
    """Which of `num` things stand at some places of a random order, without writing that order down.

    A Feistel cipher permutes the numbers of an even number of bits; whatever falls outside goes round again.

    Args:
        places: [m] of the order, from 0 to num - 1.
        num: how many things there are.
        seed: of the order.

    Returns:
        [m] numbers of the things, all different for different places.

    Source: Luby & Rackoff 1988; Black & Rogaway 2002, method 2 (cycle walking).
    """
    half = np.uint64(max(1, ((num - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)
    keys = np.random.SeedSequence(seed).generate_state(NUM_ROUNDS, np.uint64)
    found = places.astype(np.uint64)
    outside = np.arange(len(found))
    while len(outside):
        left, right = found[outside] >> half, found[outside] & mask
        for key in keys:
            left, right = right, left ^ (_scramble(right ^ key) & mask)
        found[outside] = (left << half) | right
        outside = outside[found[outside] >= num]
    return found.astype(np.int64)


def _scramble(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64: every bit of the input moves every bit of the output.

    Source: Steele, Lea & Flood 2014, with the constants of Stafford's variant 13.
    """
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
