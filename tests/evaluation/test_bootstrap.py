import numpy as np
import pytest

from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import MIN_GROUPS, groups_of, interval, ratio_interval


def test_interval_covers_the_known_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [interval(rng.normal(3.0, 2.0, size=60), np.arange(60)) for _ in range(200)]
    covered = np.mean([r["low"] <= 3.0 <= r["high"] for r in found])
    assert 0.88 <= covered <= 0.99


def test_interval_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(size=400)
    found = interval(values, np.arange(400))
    assert found["mean"] == pytest.approx(values.mean())
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)
    assert found["n"] == 400


def test_values_that_are_equal_within_groups_count_as_one() -> None:
    groups = np.repeat(np.arange(16), 25)
    by_group = np.random.default_rng(2).normal(size=16)
    clustered, alone = interval(by_group[groups], groups), interval(by_group[groups], np.arange(400))
    widths = [r["high"] - r["low"] for r in (clustered, alone, interval(by_group, np.arange(16)))]
    assert widths[0] > 3 * widths[1]
    assert widths[0] == pytest.approx(widths[2], rel=0.05)


def test_ratio_of_a_multiple_is_exact() -> None:
    base = np.random.default_rng(3).uniform(1, 2, size=9)
    assert ratio_interval(3 * base, base, np.arange(9)) == pytest.approx({"mean": 3, "low": 3, "high": 3, "n": 9})


def test_few_classes_are_resampled_image_by_image() -> None:
    few, many = np.arange(20) % (MIN_GROUPS - 1), np.arange(20) % MIN_GROUPS
    index = np.array([*range(20), 4])
    assert (groups_of(few, index) == index).all()
    assert (groups_of(many, index) == many[index]).all()
    many[5] = UNLABELLED
    assert np.sum(groups_of(many, index) == groups_of(many, index)[5]) == 1


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        interval(np.zeros(0), np.arange(0))


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        interval(np.array([0.5, np.nan]), np.arange(2))
    with pytest.raises(ValueError, match="not finite"):
        ratio_interval(np.ones(2), np.array([1, np.inf]), np.arange(2))
