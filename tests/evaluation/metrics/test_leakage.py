import numpy as np
import pytest
from grids import copies_x1, grid, oracle

from chiasm.evaluation import probes
from chiasm.evaluation.context import CLASSES, SAMPLES, EvaluationContext, HeldOut, MixedSet
from chiasm.evaluation.fitting import FitSettings
from chiasm.evaluation.metrics.leakage import INPUTS, measure, rows


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    short = {kind: (FitSettings(lr=5e-2, min_steps=40, max_rounds=6),) for kind in ("linear", "mlp")}
    monkeypatch.setattr(probes, "SETTINGS", short)
    monkeypatch.setattr(probes, "HIDDEN", 64)


def test_codes_of_one_factor_each_leak_nothing() -> None:
    images = grid(num_classes=5, num_contents=4, num_copies=6)
    train, test = np.random.default_rng(0).permutation(120).reshape(2, 60)
    context = EvaluationContext(oracle(images), images, train, num=1, seed=0)
    results = measure(MixedSet(context, HeldOut(SAMPLES, test, train)))
    assert set(results) == {"class", "place"}
    for factor, own, other in (("class", "a", "b"), ("place", "b", "a")):
        assert results[factor][own]["linear"]["mean"] == results[factor][own]["mlp"]["mean"] == 1
        assert results[factor][other]["linear"]["mean"] <= results[factor]["chance"] + 0.15
        assert results[factor]["num_fit"] == len(train)
    shown = list(rows(results))
    assert shown[1][:3] == ("class", "code A", "100.0 [100.0, 100.0]")
    assert len(shown) == 1 + 2 * (len(INPUTS) - 1) + 1  # code B is not rounded, and the class has a control


def test_held_out_classes_are_probed_on_halves_of_their_images() -> None:
    images = grid(num_classes=5, num_contents=4, num_copies=6)
    train, new = np.flatnonzero(images.classes < 3), np.flatnonzero(images.classes >= 3)
    context = EvaluationContext(copies_x1(), images, train, num=1, seed=0)
    results = measure(MixedSet(context, HeldOut(CLASSES, new, new)))
    assert results["class"]["num_fit"] == len(new) // 2
    assert results["class"]["a"]["linear"]["n"] == len(new)
    assert results["class"]["chance"] == 0.5
    assert results["place"]["num_fit"] == len(train)


def test_images_of_which_nothing_is_known_are_not_probed() -> None:
    images = grid(labelled=False)
    context = EvaluationContext(copies_x1(), images, np.arange(24), num=1, seed=0)
    assert "neither classes" in measure(MixedSet(context, HeldOut(SAMPLES, np.arange(24, 48), np.arange(24))))
