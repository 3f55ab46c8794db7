import dataclasses

import numpy as np
import pytest
import torch
from grids import grid

from chiasm.data import UNLABELLED, ImageSet
from chiasm.evaluation import classifiers
from chiasm.evaluation.classifiers import (
    Classifier,
    ClassMeans,
    factor_labels,
    fit_classifier,
    prepare,
    swap_accuracy,
)
from chiasm.evaluation.fitting import FitSettings
from chiasm.inference import to_unit

PAIRS = np.arange(60), np.arange(99, 159)
QUICK = FitSettings(lr=4e-3, batch=32, min_steps=25, max_rounds=4)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return grid(num_classes=5, num_contents=4, num_copies=8)


@pytest.fixture(scope="module")
def net(images: ImageSet) -> Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "SETTINGS", QUICK)
        return fit_classifier(images, np.arange(len(images)), seed=0)


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


def test_class_means_classify_classes_that_no_head_knows(net: Classifier) -> None:
    strange = grid(num_classes=9, num_contents=4, num_copies=2)
    new = np.flatnonzero(strange.classes >= 5)
    means = ClassMeans(net, strange.gather(new[::2]), strange.classes[new[::2]])
    read = means.predict(torch.from_numpy(strange.gather(new[1::2])))
    assert np.mean(read == strange.classes[new[1::2]]) > 0.6  # chance is 0.25


def test_a_function_of_the_seed(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "SETTINGS", FitSettings(lr=1e-3, batch=8, min_steps=2, max_rounds=1))
    nets = [fit_classifier(images, np.arange(40), seed=s) for s in (1, 1, 2)]
    weights = [next(n.parameters()) for n in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_nothing_to_classify_is_none() -> None:
    assert fit_classifier(grid(labelled=False), np.arange(10)) is None


def test_images_larger_than_needed_are_shrunk() -> None:
    assert Classifier((2,), 128)(torch.zeros(2, 3, 128, 128))[0].shape == (2, 2)
    assert isinstance(Classifier((2,), 128).trunk[0], torch.nn.AvgPool2d)


def test_shifts_move_the_image_and_only_in_training() -> None:
    x = torch.zeros(1, 3, 9, 9)
    x[0, :, 4, 4] = 1
    randomness = torch.Generator().manual_seed(0)
    places = {tuple(prepare(x, True, randomness)[0, 0].nonzero()[0].tolist()) for _ in range(60)}
    assert len(places) > 15
    assert all(2 <= place <= 6 for pair in places for place in pair)
    assert torch.equal(prepare(x, False, randomness), x)


def test_unlabelled_factors_are_left_out(net: Classifier, images: ImageSet) -> None:
    blind = dataclasses.replace(images, contents=np.full_like(images.contents, UNLABELLED))
    assert set(rates(net, blind, np.arange(60))) == {"class"}
