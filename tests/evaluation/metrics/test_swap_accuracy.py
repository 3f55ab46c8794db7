import dataclasses

import numpy as np
import torch
from grids import copies_x1, grid

from chiasm.data import UNLABELLED, ImageSet
from chiasm.evaluation.classifiers import Classifier, factor_labels
from chiasm.evaluation.context import CLASSES, EvaluationContext, HeldOut, MixedSet
from chiasm.evaluation.metrics.swap_accuracy import every_second, measure, swap_accuracy
from chiasm.inference import to_unit

PAIRS = np.arange(60), np.arange(99, 159)


def rates(net: Classifier, images: ImageSet, mixes: np.ndarray, **options) -> dict:
    factors, labels = factor_labels(images)
    x1, x2 = PAIRS
    wanted = np.column_stack([labels[x1, :1], labels[x2, 1:]])
    return swap_accuracy(
        net,
        to_unit(torch.from_numpy(images.gather(mixes))),
        images.gather(x1),
        images.gather(x2),
        (images.gather(x1), labels[x1], x1),
        wanted,
        factors,
        x1,
        **options,
    )


def test_true_mixes_have_both_factors_and_copies_one_each(net: Classifier, images: ImageSet) -> None:
    found = rates(net, images, images.true_mix(*PAIRS))
    assert set(found) == {"class", "place"}
    for factor in found:
        assert found[factor]["mix"]["mean"] > 0.95
        assert found[factor]["ceiling"]["mean"] > 0.95
    assert found["class"]["copy_x1"]["mean"] > 0.95
    assert found["place"]["copy_x2"]["mean"] > 0.95
    assert found["class"]["copy_x2"]["mean"] < 0.1
    assert found["place"]["copy_x1"]["mean"] < 0.5


def test_a_copied_x1_lacks_the_content_of_x2(net: Classifier, images: ImageSet) -> None:
    found = rates(net, images, np.arange(60))
    assert found["place"]["mix"]["mean"] == found["place"]["copy_x1"]["mean"]
    assert found["class"]["mix"]["mean"] > 0.95


def test_unlabelled_factors_are_left_out(net: Classifier, images: ImageSet) -> None:
    blind = dataclasses.replace(images, contents=np.full_like(images.contents, UNLABELLED))
    assert set(rates(net, blind, np.arange(60))) == {"class"}


def test_every_second_image_of_each_class() -> None:
    classes = np.array([4, 4, 4, 1, 1, UNLABELLED, 7])
    assert every_second(classes, np.array([6, 5, 2, 4, 0, 1, 3])).tolist() == [4, 2, 1, 6]


def test_images_that_made_the_class_means_are_scored_by_no_one(net: Classifier) -> None:
    images = grid(num_classes=9, num_contents=4, num_copies=2)
    noise = np.random.default_rng(0).integers(0, 256, size=(72, 3, 16, 16), dtype=np.uint8)
    images = dataclasses.replace(images, images=noise)  # only an image that made a mean can find its class
    new = np.flatnonzero(images.classes >= 5)
    context = EvaluationContext(copies_x1(), images, np.arange(40), num=400, seed=0)
    context.__dict__["classifier"] = net
    found = measure(MixedSet(context, HeldOut(CLASSES, new, new)))["class"]
    assert found["ceiling"]["n"] == 16
    assert found["ceiling"]["mean"] < 0.6  # chance is 0.25
    assert 0 < found["mix"]["n"] < 200
    assert found["mix"]["mean"] < 0.6


def test_mixes_of_a_class_without_a_mean_are_scored_by_no_one(net: Classifier, monkeypatch) -> None:
    images, seen = grid(num_classes=9, num_contents=4, num_copies=2), []
    new = np.flatnonzero(images.classes >= 5)
    module = "chiasm.evaluation.metrics.swap_accuracy"
    monkeypatch.setattr(f"{module}.MAX_REAL", 3)  # too few images for four classes
    monkeypatch.setattr(f"{module}.swap_accuracy", lambda *given: seen.extend(given) or {})
    context = EvaluationContext(copies_x1(), images, np.arange(40), num=400, seed=0)
    context.__dict__["classifier"] = net
    measure(MixedSet(context, HeldOut(CLASSES, new, new)))
    wanted, means = seen[5], seen[8]
    assert 2 <= len(means.values) < 4
    assert set(wanted[:, 0].tolist()) == {UNLABELLED, *means.values.tolist()}


def test_a_single_held_out_class_is_said_to_be_one(net: Classifier, images: ImageSet) -> None:
    context = EvaluationContext(copies_x1(), images, np.arange(128), num=40, seed=0)
    context.__dict__["classifier"] = net
    found = measure(MixedSet(context, HeldOut(CLASSES, np.arange(128, 160), np.arange(128, 160), np.arange(128))))
    assert "fewer than two" in found["class"]
    assert set(found["place"]) == {"mix", "ceiling", "copy_x1", "copy_x2", "image"}
