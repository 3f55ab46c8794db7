import numpy as np
import pytest
import torch
from grids import copies_x1, grid, oracle

from chiasm.evaluation.context import CLASSES, SAMPLES, EvaluationContext, HeldOut, MixedSet
from chiasm.evaluation.metrics.disentanglement import dci, measure, of_codes, per_factor, regress, rows


def toy(seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Five dimensions of which the first tells one factor of two values, the second another; and the factors."""
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, 2, size=(600, 2))
    noise = rng.normal(size=(600, 5))
    noise[:, :2] = 2 * factors - 1 + 0.1 * noise[:, :2]
    return torch.from_numpy(noise).float(), factors


def importances(codes: torch.Tensor, factors: np.ndarray) -> np.ndarray:
    return per_factor(np.column_stack([regress(codes, f).weights.abs().sum(dim=1).double().numpy() for f in factors.T]))


def test_dci_by_hand() -> None:
    assert dci(np.eye(3)) == pytest.approx({"disentanglement": 1, "completeness": 1})
    assert dci(np.ones((4, 3))) == pytest.approx({"disentanglement": 0, "completeness": 0}, abs=1e-12)
    # Each factor is served by two inputs of four, which serve nothing else: half of the entropy.
    assert dci(np.eye(2).repeat(2, axis=0)) == pytest.approx({"disentanglement": 1, "completeness": 0.5})
    # The first input, 3/4 of all importance, serves both factors in the ratio 2 to 1.
    shares = np.array([2 / 3, 1 / 3])
    mixed = 1 + (shares * np.log2(shares)).sum()
    assert dci(np.array([[2.0, 1.0], [0.0, 1.0]]))["disentanglement"] == pytest.approx(0.75 * mixed + 0.25)


def test_a_disentangled_code_scores_one_and_a_rotated_one_less() -> None:
    codes, factors = toy()
    straight = dci(importances(codes, factors))
    turn = torch.tensor([[1.0, 1.0], [-1.0, 1.0]]) / 2**0.5
    rotated = dci(importances(torch.cat([codes[:, :2] @ turn, codes[:, 2:]], dim=1), factors))
    for score in ("disentanglement", "completeness"):
        assert straight[score] > 0.98
        assert rotated[score] < 0.6


def test_dimensions_that_tell_nothing_or_are_constant_get_no_weight() -> None:
    codes, factors = toy()
    codes[:, 4] = 3.0
    found = regress(codes, factors[:, 0])
    assert (found.weights[1:] == 0).all()
    assert (found.predict(codes) == factors[:, 0]).all()
    nothing = regress(torch.zeros(9, 2), np.arange(9) % 3)
    assert (nothing.weights == 0).all()


def test_codes_are_blocks_and_the_contents_one_factor() -> None:
    by_dimension = np.array([[0.5, 0.0, 0.1], [0.5, 0.0, 0.1], [0.0, 1.0, 0.8]])
    np.testing.assert_allclose(of_codes(by_dimension, 2), [[1, 0.1], [0, 0.9]])


@pytest.mark.parametrize("part", [SAMPLES, CLASSES])
def test_an_oracle_s_codes_are_apart_and_a_copier_s_are_not(part: str) -> None:
    images = grid(num_classes=6, num_contents=4, num_copies=4)
    held_out = np.arange(0, 96, 3) if part == SAMPLES else np.arange(48, 96)
    train = np.setdiff1d(np.arange(96), held_out)
    apart, alike = (
        measure(MixedSet(EvaluationContext(m, images, train, 20, 0), HeldOut(part, held_out, train)))
        for m in (oracle(images), copies_x1())
    )
    assert apart["codes"] == pytest.approx({"disentanglement": 1, "completeness": 1}, abs=0.02)
    assert apart["sap"]["place"] > 0.5
    assert apart["accuracy"]["class"]["a"]["mean"] == 1
    assert alike["codes"]["disentanglement"] == pytest.approx(0, abs=0.02)
    assert alike["sap"] == {"class": 0, "place": 0}
    assert len(list(rows(apart))) == 6


def test_one_factor_is_not_enough() -> None:
    context = EvaluationContext(copies_x1(), grid(labelled=False), np.arange(24), 20, 0)
    assert "needs a class" in measure(MixedSet(context, HeldOut(SAMPLES, np.arange(24, 48), np.arange(24))))
