import numpy as np

from chiasm.data import UNLABELLED, ImageSet
from chiasm.evaluation.triplets import sample_triplets


def grid(num_classes: int = 3, num_contents: int = 4) -> ImageSet:
    """Every class with every content, as 2x2 images."""
    classes, contents = np.divmod(np.arange(num_classes * num_contents), num_contents)
    return ImageSet(
        images=np.zeros((len(classes), 3, 2, 2), dtype=np.uint8),
        names=tuple(map(str, range(len(classes)))),
        classes=classes,
        class_names=tuple("abcdefgh"[:num_classes]),
        contents=contents[:, None],
        content_names=("pose",),
        content_values=(tuple(map(str, range(num_contents))),),
    )


def test_truth_is_held_out_and_shows_the_class_of_a_and_the_content_of_b() -> None:
    images, held_out = grid(), np.array([0, 5, 6, 11])
    a_from, b_from, truth = sample_triplets(images, held_out, num=40, seed=1)
    assert len(truth) == 40
    assert np.isin(truth, held_out).all()
    assert (images.classes[a_from] == images.classes[truth]).all()
    assert (images.contents[b_from] == images.contents[truth]).all()
    assert (a_from != truth).all()
    assert (images.classes[b_from] != images.classes[truth]).all()
    assert (images.true_mix(a_from, b_from) == truth).all()


def test_sources_are_held_out_too_where_there_are_any() -> None:
    images, held_out = grid(), np.array([4, 5, 8])
    a_from, b_from, truth = sample_triplets(images, held_out, num=30, seed=1)
    assert set(a_from[truth == 5].tolist()) == {4}
    assert set(b_from[truth == 4].tolist()) == {8}


def test_the_sample_is_a_function_of_the_seed() -> None:
    first, again, other = (sample_triplets(grid(), np.arange(12), num=9, seed=s) for s in (1, 1, 2))
    assert all((p == q).all() for p, q in zip(first, again, strict=True))
    assert any((p != q).any() for p, q in zip(first, other, strict=True))


def test_without_contents_any_two_images_are_mixed_and_no_truth_is_claimed() -> None:
    images = ImageSet(
        images=np.zeros((5, 3, 2, 2), dtype=np.uint8),
        names=tuple("abcde"),
        classes=np.full(5, UNLABELLED),
        class_names=(),
        contents=np.zeros((5, 0), dtype=np.int64),
    )
    a_from, b_from, truth = sample_triplets(images, np.array([1, 3]), num=6, seed=0)
    assert np.isin(a_from, [1, 3]).all()
    assert np.isin(b_from, [1, 3]).all()
    assert (truth == -1).all()
