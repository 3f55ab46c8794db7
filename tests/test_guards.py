"""What must stay unseen has no influence: images outside of the training part are exchanged for others, and nothing
that may learn from the training part alone changes. `make guards` shows that each of these tests notices a breach."""

import dataclasses
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation.grids import copies_x1, grid
from guards import BREACHES, ROOT, Breach

from benchmarks.baselines import METHODS, configure
from chiasm.checkpoint import load_model
from chiasm.config import Config, DataConfig
from chiasm.data import ImageSet, Split, make_split, open_data
from chiasm.evaluation.context import SAMPLES, EvaluationContext, MixedSet, find_held_out
from chiasm.evaluation.metrics.swap_error import find_references
from chiasm.evaluation.references import mean_image
from chiasm.objective import build_objective
from chiasm.overrides import changed, lookup
from chiasm.presets import tiny, unlabelled
from chiasm.runs import RunFolder
from chiasm.training import fit


def exchange(images: ImageSet, index: np.ndarray) -> ImageSet:
    """The same set with noise in place of some images, and with the labels of these shuffled."""
    rng = np.random.default_rng(1)
    pixels, classes, contents = (np.array(part) for part in (images.images, images.classes, images.contents))
    pixels[index] = rng.integers(0, 256, pixels[index].shape, dtype=np.uint8)
    classes[index] = rng.permutation(classes[index])
    contents[index] = rng.permutation(contents[index])
    return dataclasses.replace(images, images=pixels, classes=classes, contents=contents)


def outside_of_training(split: Split) -> np.ndarray:
    return np.concatenate([split.val, split.test, split.val_classes, split.test_classes])


def train(images: ImageSet, split: Split, config: Config, build: Any, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """The run of a training on a set and a split that are given, not found."""
    module = import_module("chiasm.training.fit")  # the package shows the function of that name instead
    patch.setattr(module, "open_data", lambda *args, **options: images)
    patch.setattr(module, "make_split", lambda *args: split)
    return fit(config, runs=folder, build=build, progress_bar=False).run


def test_whether_a_mirror_shows_the_same_class_is_asked_of_training_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held-out images that are bright on a side of their class change nothing."""
    config = changed(tiny(), {"model.mirror_a": "auto", "train.steps": 1})
    images = open_data(config.data, config.model.side_px, progress_bar=False)
    split = make_split(images, dataclasses.replace(config.data, held_out=0.5))
    outside, half = outside_of_training(split), config.model.side_px // 2
    pixels, left = np.array(images.images), outside[images.classes[outside] % 2 == 0]
    pixels[outside, :, :, half:], pixels[left, :, :, half:], pixels[left, :, :, :half] = 255, 0, 255
    other = dataclasses.replace(images, images=pixels)
    runs = [train(one, split, config, build_objective, tmp_path, monkeypatch) for one in (images, other)]
    assert [RunFolder.open(run)[1].model.mirror_a for run in runs] == ["on", "on"]


@pytest.mark.parametrize("method", ["default", "groups", *METHODS])
def test_no_training_learns_from_held_out_images(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither from their pixels, as images, partners, positives, negatives, neighbours or members of a group, nor from
    their labels."""
    of_default = {
        "default": {
            "model.neighbours_b": 3,
            "model.components_b": 2,
            "model.gain_a": 1.5,
            "model.components_a": 3,
        },
        "groups": {"data.groups": 8, "loss.weight_adversary": 0.0},
    }
    known = method in of_default
    config = changed(tiny(), of_default[method]) if known else configure(method, "tiny", {}, {})
    build: Callable[..., Any] = METHODS.get(method, build_objective)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, steps=6, validate_every=3))
    images = open_data(config.data, config.model.side_px, progress_bar=False)
    split = make_split(images, dataclasses.replace(config.data, held_out_classes=0.2))
    weights = []
    exchanged = exchange(images, outside_of_training(split))
    exchanged = dataclasses.replace(exchanged, class_names=(*images.class_names, "a class that training never shows"))
    for i, shown in enumerate((images, exchanged)):
        run = train(shown, split, config, build, tmp_path / str(i), monkeypatch)
        weights.append(load_model(run).state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_without_labels_training_knows_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that are noise give the same weights to the last bit."""
    config = changed(tiny(), {k: lookup(unlabelled(), k) for k in ("data.supervision", "data.a_ignores")})
    config = changed(config, {"loss.weight_adversary": 0.0, "train.steps": 6})
    images = open_data(config.data, config.model.side_px, progress_bar=False)
    split = make_split(images, config.data)
    rng, weights = np.random.default_rng(0), []
    noise = dataclasses.replace(
        images, classes=rng.permutation(images.classes), contents=rng.permutation(images.contents)
    )
    for i, shown in enumerate((images, noise)):
        run = train(shown, split, config, build_objective, tmp_path / str(i), monkeypatch)
        weights.append(load_model(run).state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_no_validation_looks_at_the_test_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is chosen by, from metrics.csv to the score of a sweep, comes from the validation part."""
    config = tiny()
    images = open_data(config.data, config.model.side_px, progress_bar=False)
    split = make_split(images, dataclasses.replace(config.data, held_out_classes=0.2))
    test = np.concatenate([split.test, split.test_classes])
    measured = []
    for i, shown in enumerate((images, exchange(images, test))):
        run = train(shown, split, config, build_objective, tmp_path / str(i), monkeypatch)
        rows = (run / "metrics.csv").read_text().splitlines()
        place = rows[0].split(",").index("minutes")
        measured.append([[cell for k, cell in enumerate(row.split(",")) if k != place] for row in rows])
    assert measured[0] == measured[1]


@pytest.fixture
def held_out() -> tuple[ImageSet, ImageSet, Split]:
    """A set, the same with all images exchanged that evaluation must not learn from, and the split."""
    images = grid(num_classes=10, num_contents=4, num_copies=4)
    split = make_split(images, DataConfig(held_out=0.3, held_out_classes=0.3))
    return images, exchange(images, outside_of_training(split)), split


@pytest.mark.usefixtures("quick_fits")
def test_classifiers_and_probes_learn_from_the_training_part_alone(held_out: tuple[ImageSet, ImageSet, Split]) -> None:
    images, exchanged, split = held_out
    first, other = (EvaluationContext(copies_x1(), part, split.train, num=4, seed=0) for part in (images, exchanged))
    expected, got = first.classifier.state_dict(), other.classifier.state_dict()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    for kind in ("linear", "mlp"):
        expected, got = (context.probes(0).probes["a"][kind].net.state_dict() for context in (first, other))
        assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert np.array_equal(mean_image(images, split.train), mean_image(exchanged, split.train))


def test_references_are_chosen_among_training_images_of_known_classes(
    held_out: tuple[ImageSet, ImageSet, Split],
) -> None:
    images, _, split = held_out
    for part in find_held_out(images, split, "test"):
        allowed = split.train if part.name == SAMPLES else part.indices
        mixed = MixedSet(EvaluationContext(copies_x1(), images, split.train, num=40, seed=0), part)
        references = find_references(images, mixed.triplets, part.pool)
        for name in references.keys() - {"copy_x1", "copy_x2"}:
            for group, truth in zip(references[name], mixed.triplets.truth, strict=True):
                assert np.isin(group, allowed).all()
                assert truth not in group


def test_no_x2_of_a_test_mix_is_a_training_image(held_out: tuple[ImageSet, ImageSet, Split]) -> None:
    images, _, split = held_out
    for part in find_held_out(images, split, "test"):
        mixed = MixedSet(EvaluationContext(copies_x1(), images, split.train, num=40, seed=0), part)
        assert not np.isin(mixed.triplets.b_from, split.train).any()
        assert not np.isin(mixed.triplets.a_from, np.concatenate([split.val, split.val_classes])).any()


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.promise)
def test_make_guards_still_finds_what_it_breaks(breach: Breach) -> None:
    assert breach.line in (ROOT / "src" / "chiasm" / breach.file).read_text(encoding="utf-8")
