import numpy as np
import pytest
import torch
from grids import grid

from chiasm.data import ImageSet
from chiasm.evaluation import classifiers
from chiasm.evaluation.classifiers import Classifier, ClassMeans, fit_classifier, prepare
from chiasm.evaluation.fitting import FitSettings


def test_class_means_tell_classes_apart_that_no_head_knows(net: Classifier) -> None:
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
