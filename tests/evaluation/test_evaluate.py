import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from grids import copies_x1, fake, flat, grid, oracle, unflat

from chiasm.config import ConfigError, DataConfig
from chiasm.data import UNLABELLED, ImageSet, Split, make_split
from chiasm.evaluation import classifiers, context, probes
from chiasm.evaluation.context import CLASSES, SAMPLES, MixedSet, find_held_out
from chiasm.evaluation.evaluate import NOT_MEASURED, evaluate, save_results
from chiasm.evaluation.fitting import FitSettings
from chiasm.evaluation.metrics import METRICS, Metric, choose_metrics, realism
from chiasm.evaluation.table import table
from chiasm.evaluation.triplets import sample_triplets

SPLIT = DataConfig(held_out=0.3, held_out_classes=0.3)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "SETTINGS", FitSettings(lr=4e-3, batch=32, min_steps=15, max_rounds=3))
    short = {kind: (FitSettings(lr=5e-2, min_steps=12, max_rounds=4),) for kind in ("linear", "mlp")}
    monkeypatch.setattr(probes, "SETTINGS", short)
    monkeypatch.setattr(probes, "HIDDEN", 64)


def measured(model, images: ImageSet, **options) -> dict:
    split = make_split(images, SPLIT)
    options = {"num": 40, "progress_bar": False} | options
    return evaluate(model, images, split, **options)


def numbers(results: dict) -> list[dict]:
    """All nested dictionaries that are numbers with intervals."""
    if "low" in results:
        return [results]
    return [n for value in results.values() if isinstance(value, dict) for n in numbers(value)]


def test_an_oracle_on_held_out_images_and_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realism, "MIN_IMAGES", 4)
    images = grid(num_classes=16, num_contents=4)
    results = measured(oracle(images), images)
    for part in (SAMPLES, CLASSES):
        assert list(results[part]) == list(choose_metrics(None))
        assert results[part]["swap"]["swap"]["l1"]["mean"] == pytest.approx(0, abs=1e-6)
        assert results[part]["shortcuts"]["alarms"] == []
        assert results[part]["shortcuts"]["copy_x1"] == results[part]["shortcuts"]["copy_x1_true"]
        assert "b_exact" not in results[part]["leakage"]["place"]  # of a model without noise, codes are not rounded
    assert results[SAMPLES]["leakage"]["place"]["b"]["linear"]["mean"] == 1
    assert all(n["low"] - 1e-9 <= n["mean"] <= n["high"] + 1e-9 for n in numbers(results))
    save_results(results, tmp_path / "new" / "results.json")
    assert json.loads((tmp_path / "new" / "results.json").read_text()) == results
    text = table(results)
    for words in ("held-out samples", "held-out classes", "copy x1", "code B", "place of x2", "KID", "torchvision"):
        assert words in text


def test_a_metric_that_is_registered_is_measured_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(mixed: MixedSet) -> dict:
        return {"mean": float(mixed.generated[0].mean()), "num": "not counted"}

    monkeypatch.setitem(
        METRICS, "brightness", Metric(measure, lambda values: iter([("brightness", str(values["mean"]))]))
    )
    images = grid()
    results = measured(copies_x1(), images, metrics=["brightness"])
    split = make_split(images, SPLIT)
    part = find_held_out(images, split, "test")[0]
    x1 = sample_triplets(images, part.indices, 40, 0, part.others, split.train).a_from
    assert results[SAMPLES]["brightness"]["mean"] == pytest.approx(images.gather(x1).mean() / 127.5 - 1, abs=1e-4)
    assert results[NOT_MEASURED][f"{SAMPLES}.brightness.num"] == "not counted"
    assert f"brightness  {results[SAMPLES]['brightness']['mean']}" in table(results)


def test_only_the_named_metrics_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "fit_classifier", None)  # what other metrics need is not made
    results = measured(copies_x1(), grid(), metrics=["shortcuts"])
    assert list(results[SAMPLES]) == list(results[CLASSES]) == ["shortcuts"]
    assert results[NOT_MEASURED] == {}
    assert (
        results[SAMPLES]["shortcuts"]
        == measured(copies_x1(), grid(), metrics=["shortcuts", "swap"])[SAMPLES]["shortcuts"]
    )


def test_a_metric_that_fails_is_named_and_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(mixed: MixedSet) -> dict:
        raise RuntimeError("no\n  convergence")

    monkeypatch.setitem(METRICS, "swap", Metric(fail, lambda values: iter(())))
    results = measured(copies_x1(), grid(), metrics=["swap", "shortcuts"])
    assert list(results[SAMPLES]) == ["shortcuts"]
    assert results[NOT_MEASURED][f"{SAMPLES}.swap"] == "RuntimeError: no convergence"


def test_an_interrupt_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(mixed: MixedSet) -> dict:
        raise KeyboardInterrupt

    monkeypatch.setitem(METRICS, "swap", Metric(interrupt, lambda values: iter(())))
    with pytest.raises(KeyboardInterrupt):
        measured(copies_x1(), grid(), metrics=["swap"])


def test_a_broken_model_is_reported_as_such(tmp_path: Path) -> None:
    broken = fake(flat, flat, lambda a, b: unflat(a) * float("nan"))
    results = measured(broken, grid(num_classes=12))
    for part in (SAMPLES, CLASSES):
        assert list(results[part]) == ["leakage", "disentanglement", "invariance"]  # codes are all that these look at
        assert "NaN" in results[NOT_MEASURED][f"{part}.swap"]
    save_results(results, tmp_path / "results.json")
    assert "not measured" in table(results)


def test_a_number_that_is_not_finite_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {"mixes": {"mean": float("inf"), "n": 3}}
    monkeypatch.setitem(METRICS, "swap", Metric(lambda mixed: values, lambda values: iter([("swap",)])))
    results = measured(copies_x1(), grid(), metrics=["swap"])
    save_results(results, tmp_path / "results.json")
    assert results[SAMPLES]["swap"] == {"mixes": {"n": 3}}
    assert results[NOT_MEASURED][f"{SAMPLES}.swap.mixes.mean"] == "not finite"


def test_small_figures_on_a_flat_background_and_few_held_out_classes() -> None:
    images = grid(num_classes=20, num_contents=3, num_copies=6)
    images.images[:, :, 0] = 0
    images.images[:, :, :, 6:] = 0
    held_out = np.flatnonzero(images.classes < 7)
    none = held_out[:0]
    split = Split(np.flatnonzero(images.classes >= 7), none, none, none, held_out)
    constant = fake(lambda x: flat(x)[:, :9] * 0, lambda x: (flat(x) > 0).float(), lambda a, b: unflat(b) * 0)
    results = evaluate(constant, images, split, num=60, progress_bar=False)
    assert {"swap", "swap_accuracy", "shortcuts", "realism"} <= set(results[CLASSES])
    assert "collapse" in table(results)


def test_metrics_that_do_not_exist_are_refused_with_those_that_do() -> None:
    with pytest.raises(
        ConfigError, match="got beauty; give any of swap, leakage, swap_accuracy, shortcuts, realism, dis"
    ):
        measured(copies_x1(), grid(), metrics=["swap", "beauty"])


def test_images_without_a_true_mix_are_mixed_and_probed_all_the_same() -> None:
    images = grid(num_classes=4, num_contents=12)
    held_out = np.arange(0, 48, 13)  # one of each class, and none with another's content
    images.contents[np.setdiff1d(np.arange(48), held_out)] = UNLABELLED
    split = Split(np.setdiff1d(np.arange(48), held_out), held_out[:0], held_out, held_out[:0], held_out[:0])
    results = evaluate(copies_x1(), images, split, metrics=["swap", "leakage"], progress_bar=False)
    assert set(results[SAMPLES]) == {"swap", "leakage"}
    assert set(results[SAMPLES]["swap"]) == {"reconstruction"}
    assert "no held-out image is known to show" in results[NOT_MEASURED][f"{SAMPLES}.swap.swap"]


def test_a_copier_is_shown_as_one() -> None:
    images = grid(num_classes=16, num_contents=4)
    results = measured(copies_x1(noise_b=0.5), images, part="val")
    swap = results[SAMPLES]["swap"]
    assert swap["ratio"]["copy_x1"]["mean"] == pytest.approx(1)
    assert results[SAMPLES]["shortcuts"]["copy_x1"]["mean"] == 1
    assert "copy-through" in table(results)
    assert set(results[SAMPLES]["leakage"]["class"]["b_exact"]) == {"linear", "mlp"}
    accuracy = results[SAMPLES]["swap_accuracy"]["place"]
    assert accuracy["mix"]["mean"] == accuracy["copy_x1"]["mean"]
    assert results["about"]["part"] == "val"


def test_the_same_seed_gives_the_same_results() -> None:
    images = grid(num_classes=10, num_contents=3)
    first, again = (measured(copies_x1(), images, seed=4) for _ in range(2))
    for results in (first, again):
        results["about"].pop("seconds")
    assert first == again


def test_classes_alone() -> None:
    images = grid(num_classes=6, num_contents=5)
    plain = dataclasses.replace(images, contents=np.zeros((30, 0), dtype=np.int64), content_names=(), content_values=())
    results = measured(copies_x1(), plain)
    assert set(results) == {"about", SAMPLES, NOT_MEASURED}
    assert set(results[SAMPLES]["swap"]) == {"reconstruction"}
    assert set(results[SAMPLES]["leakage"]) == set(results[SAMPLES]["swap_accuracy"]) == {"class"}
    assert {f"{SAMPLES}.swap.swap", CLASSES} <= set(results[NOT_MEASURED])
    assert "not measured" in table(results)


def test_a_flat_folder_of_images() -> None:
    results = measured(copies_x1(), grid(labelled=False), num=25)
    assert set(results[SAMPLES]) == {"swap", "shortcuts", "invariance"}
    reasons = results[NOT_MEASURED]
    assert {f"{SAMPLES}.{metric}" for metric in ("leakage", "swap_accuracy", "realism")} <= set(reasons)
    assert results[SAMPLES]["shortcuts"]["copy_x1"]["mean"] == 1
    assert "reconstruction" in table(results)


def test_an_official_split_of_classes_counts_as_held_out_classes() -> None:
    images = grid(num_classes=4, num_contents=2)
    images.classes[7] = UNLABELLED
    none = np.zeros(0, dtype=np.int64)
    parts = find_held_out(images, Split(np.arange(4), none, np.arange(2, 8), none, none), "test")
    assert {p.name: p.indices.tolist() for p in parts} == {SAMPLES: [2, 3, 7], CLASSES: [4, 5, 6]}


def test_images_left_out_of_the_mixes_are_counted() -> None:
    images = grid(num_classes=4, num_contents=3)
    held_out = np.array([0, 1, 3, 5])
    split = Split(np.setdiff1d(np.arange(12), held_out), held_out[:0], held_out, held_out[:0], held_out[:0])
    results = evaluate(copies_x1(), images, split, num=7, metrics=["swap"], progress_bar=False)
    assert results["about"]["num_mixes"] == {SAMPLES: 7}
    assert "2 of 4 images are the truth of no mix" in results[NOT_MEASURED][f"{SAMPLES}.mixes"]
