from __future__ import annotations

import numpy as np
import pytest

from chiasm.data.permutation import permutation


@pytest.mark.parametrize("num", [1, 2, 5, 64, 65, 1000])
def test_shuffle_is_a_permutation_of_its_seed(num):
    order = permutation(np.arange(num), num, [1, 2])
    assert sorted(order.tolist()) == list(range(num))
    some = np.arange(0, num, 3)
    np.testing.assert_array_equal(permutation(some, num, [1, 2]), order[some])
    assert num < 5 or (permutation(np.arange(num), num, [1, 3]) != order).any()


def test_shuffle_puts_everything_everywhere_alike():
    num, rounds = 20, 4000
    counts = np.zeros((num, num))
    for seed in range(rounds):
        counts[np.arange(num), permutation(np.arange(num), num, [seed])] += 1
    spread = np.sqrt(rounds / num * (1 - 1 / num))
    assert abs(counts - rounds / num).max() < 5 * spread
