import dataclasses

import numpy as np
import pytest
from grids import grid

from chiasm.evaluation import references
from chiasm.evaluation.references import mean_image, median_images, most_similar, other_contents, same_class

NOBODY = np.full(3, -1)


def test_images_of_the_class_of_x1_with_the_contents_of_x2_in_any_factors() -> None:
    images = grid(num_classes=3, num_contents=4, num_copies=2)
    sizes = np.arange(24)[:, None] // 4 % 2
    images = dataclasses.replace(images, contents=np.hstack([images.contents, sizes]), content_names=("place", "size"))
    a_from, b_from, truth = np.array([0, 8]), np.array([11, 17]), np.array([3, -1])
    every = np.arange(24)
    # x1 is of class 0 (images 0 to 7) and 1 (8 to 15), x2 at places 3 and 1, both in size 0.
    found = {m: same_class(images, a_from, b_from, truth, every, m) for m in ((), (0,), (1,), (0, 1))}
    assert [group.tolist() for group in found[()]] == [[0, 1, 2, 4, 5, 6, 7], list(range(8, 16))]
    assert [group.tolist() for group in found[0,]] == [[7], [9, 13]]
    assert [group.tolist() for group in found[1,]] == [[0, 1, 2], [8, 9, 10, 11]]
    assert [group.tolist() for group in found[0, 1]] == [[], [9]]
    assert [group.tolist() for group in same_class(images, a_from, b_from, truth, every[:8])] == [
        [0, 1, 2, 4, 5, 6, 7],
        [],
    ]


def test_the_most_similar_agrees_with_the_plain_distance() -> None:
    images = grid(num_classes=2, num_contents=3)
    noisy = np.random.default_rng(0).integers(0, 256, size=images.images.shape).astype(np.uint8)
    images = dataclasses.replace(images, images=noisy)
    found = most_similar(images, np.array([5, 5]), [np.array([0, 2]), np.array([], dtype=np.int64)])
    distances = {i: np.abs(noisy[i].astype(int) - noisy[5].astype(int)).sum() for i in (0, 2)}
    assert [group.tolist() for group in found] == [[min(distances, key=distances.get)], []]


def test_retrieval_shows_the_content_of_x2_where_the_pool_has_it() -> None:
    images = grid(num_classes=3, num_contents=4)
    a_from, b_from = np.array([0, 5, 9]), np.array([6, 11, 0])
    found = most_similar(images, b_from, same_class(images, a_from, b_from, NOBODY, np.arange(12)))
    assert (np.concatenate(found) == images.true_mix(a_from, b_from)).all()


def test_images_with_all_contents_of_the_truth_are_no_other_contents() -> None:
    images = grid(num_classes=2, num_contents=3, num_copies=2)
    found = other_contents(images, np.array([2]), [np.arange(6)])
    assert [group.tolist() for group in found] == [[0, 1, 3, 4]]


def test_medians_are_pixelwise_and_unknown_for_no_images() -> None:
    images = grid(num_classes=2, num_contents=3)
    groups = [np.array([0, 1, 2]), np.array([4]), np.array([], dtype=np.int64)]
    found = median_images(images, groups).numpy()
    np.testing.assert_allclose(found[0], np.sort(images.images[:3], axis=0)[1] / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(found[1], images.images[4] / 127.5 - 1, atol=1e-6)
    assert np.isnan(found[2]).all()


def test_mean_image_is_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "CHUNK", 5)
    images, index = grid(), np.array([3, 1, 7, 20, 30, 31, 40])
    wanted = images.images[index].astype(float).mean(axis=0) / 127.5 - 1
    np.testing.assert_allclose(mean_image(images, index), wanted, atol=1e-6)
