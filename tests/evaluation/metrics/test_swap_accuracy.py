import dataclasses

import numpy as np
import pytest
import torch
from grids import grid

from chiasm.data import UNLABELLED, ImageSet
from chiasm.evaluation import classifiers
from chiasm.evaluation.classifiers import Classifier, factor_labels, fit_classifier
from chiasm.evaluation.fitting import FitSettings
from chiasm.evaluation.metrics.swap_accuracy import swap_accuracy
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


def test_unlabelled_factors_are_left_out(net: Classifier, images: ImageSet) -> None:
    blind = dataclasses.replace(images, contents=np.full_like(images.contents, UNLABELLED))
    assert set(rates(net, blind, np.arange(60))) == {"class"}
