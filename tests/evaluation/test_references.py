import dataclasses

import numpy as np
import pytest
from grids import grid

from chiasm.evaluation import references
from chiasm.evaluation.references import mean_image, retrieve


def test_retrieval_is_of_x1_s_class_and_shows_x2_s_content_where_the_pool_has_it() -> None:
    images = grid(num_classes=3, num_contents=4)
    a_from, b_from = np.array([0, 5, 9]), np.array([6, 11, 0])
    truth = images.true_mix(a_from, b_from)
    nobody = np.full(3, -1)
    assert (retrieve(images, a_from, b_from, nobody, np.arange(12)) == truth).all()


def test_retrieval_never_returns_the_truth_and_says_where_there_is_nothing() -> None:
    images = grid(num_classes=3, num_contents=4)
    a_from, b_from, truth = np.array([0, 4]), np.array([5, 9]), np.array([1, 5])
    found = retrieve(images, a_from, b_from, truth, np.array([0, 1, 2, 5]))
    assert found[0] in (0, 2)
    assert found[1] == -1


def test_retrieval_agrees_with_the_plain_distance() -> None:
    images = grid(num_classes=2, num_contents=3)
    noisy = np.random.default_rng(0).integers(0, 256, size=images.images.shape).astype(np.uint8)
    images = dataclasses.replace(images, images=noisy)
    found = retrieve(images, np.array([0]), np.array([5]), np.array([1]), np.arange(6))
    distances = {i: np.abs(noisy[i].astype(int) - noisy[5].astype(int)).sum() for i in (0, 2)}
    assert found[0] == min(distances, key=distances.get)


def test_mean_image_is_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "CHUNK", 5)
    images, index = grid(), np.array([3, 1, 7, 20, 30, 31, 40])
    wanted = images.images[index].astype(float).mean(axis=0) / 127.5 - 1
    np.testing.assert_allclose(mean_image(images, index), wanted, atol=1e-6)
