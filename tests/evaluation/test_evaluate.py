import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from grids import copies_x1, grid, oracle

from chiasm.cli import main
from chiasm.config import DataConfig
from chiasm.data import UNLABELLED, ImageSet, Split, make_split
from chiasm.evaluation import classifiers, probes
from chiasm.evaluation.context import CLASSES, SAMPLES, find_held_out
from chiasm.evaluation.evaluate import NOT_MEASURED, evaluate, save_results
from chiasm.evaluation.fitting import FitSettings
from chiasm.evaluation.metrics import topics
from chiasm.evaluation.table import table

METRICS = {"swap", "leakage", "swap_accuracy", "shortcuts", "realism"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "SETTINGS", FitSettings(lr=4e-3, batch=32, min_steps=15, max_rounds=3))
    short = {kind: FitSettings(lr=5e-2, min_steps=12, max_rounds=4) for kind in ("linear", "mlp")}
    monkeypatch.setattr(probes, "SETTINGS", short)


def measured(model, images: ImageSet, **options) -> dict:
    split = make_split(images, DataConfig(held_out=0.3, held_out_classes=0.3))
    options = {"noise_b": 0.0, "num": 40, "progress_bar": False} | options
    return evaluate(model, images, split, **options)


def numbers(results: dict) -> list[dict]:
    """All nested dictionaries that are numbers with intervals."""
    if "low" in results:
        return [results]
    return [n for value in results.values() if isinstance(value, dict) for n in numbers(value)]


def test_an_oracle_on_held_out_images_and_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "MIN_IMAGES", 4)
    images = grid(num_classes=16, num_contents=4)
    results = measured(oracle(images), images)
    for part in (SAMPLES, CLASSES):
        assert set(results[part]) == METRICS
        assert results[part]["swap"]["swap"]["l1"]["mean"] == pytest.approx(0, abs=1e-6)
        assert results[part]["shortcuts"]["alarms"] == []
        assert results[part]["shortcuts"]["copy_x1"] == results[part]["shortcuts"]["copy_x1_true"]
        assert results[part]["leakage"]["place"]["b_used"] == results[part]["leakage"]["place"]["b"]
    assert results[SAMPLES]["leakage"]["place"]["b"]["linear"]["mean"] == 1
    assert all(n["low"] - 1e-9 <= n["mean"] <= n["high"] + 1e-9 for n in numbers(results))
    save_results(results, tmp_path / "new" / "results.json")
    assert json.loads((tmp_path / "new" / "results.json").read_text()) == results
    text = table(results)
    for words in ("held-out samples", "held-out classes", "copy x1", "code B", "place of x2", "KID", "torchvision"):
        assert words in text


def test_a_copier_is_shown_as_one() -> None:
    images = grid(num_classes=16, num_contents=4)
    results = measured(copies_x1(), images, part="val", noise_b=0.5)
    swap = results[SAMPLES]["swap"]
    assert swap["ratio"]["copy_x1"]["mean"] == pytest.approx(1)
    assert results[SAMPLES]["shortcuts"]["copy_x1"]["mean"] == 1
    assert "copy-through" in table(results)
    assert results[SAMPLES]["leakage"]["class"]["b_used"] != results[SAMPLES]["leakage"]["class"]["b"]
    accuracy = results[SAMPLES]["swap_accuracy"]["place"]
    assert accuracy["mix"]["mean"] == accuracy["copy_x1"]["mean"]
    assert results["about"]["part"] == "val"


def test_the_same_seed_gives_the_same_results() -> None:
    images = grid(num_classes=10, num_contents=3)
    first, again = (measured(copies_x1(), images, seed=4, noise_b=0.3) for _ in range(2))
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
    assert set(results[SAMPLES]) == {"swap", "shortcuts"}
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


def test_the_command_measures_a_run(trained: Path, tmp_path: Path, capsys) -> None:
    assert main(["evaluate", str(trained), "--num", "12", "--part", "val", "-o", str(tmp_path / "r.json")]) == 0
    assert "swap error" in capsys.readouterr().out
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["about"]["data"]["source"] == "avatars"
    assert results["about"]["noise_b"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nosuch"], ["nosuch", "no model"]), (["nosuch", "--num", "0"], ["--num", "positive"])],
)
def test_mistakes_are_explained(arguments: list[str], words: list[str], capsys) -> None:
    assert main(["evaluate", *arguments]) == 2
    assert all(word in capsys.readouterr().err for word in words[:1])


def test_a_model_without_a_run_needs_images(trained: Path, tmp_path: Path, capsys) -> None:
    lonely = tmp_path / "lonely"
    (trained / "model").rename(lonely)
    try:
        assert main(["evaluate", str(lonely)]) == 2
        assert "give DATA" in capsys.readouterr().err
    finally:
        lonely.rename(trained / "model")
