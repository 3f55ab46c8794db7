import numpy as np

from chiasm.data import UNLABELLED, ImageSet
from chiasm.evaluation.triplets import find_truths, sample_triplets


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
    images, held_out = grid(), np.array([0, 1, 5, 6, 10])
    a_from, b_from, truth = sample_triplets(images, held_out, num=40, seed=1)
    assert len(truth) == 40
    assert np.isin(truth, held_out).all()
    assert (images.classes[a_from] == images.classes[truth]).all()
    assert (images.contents[b_from] == images.contents[truth]).all()
    assert (a_from != truth).all()
    assert (images.classes[b_from] != images.classes[truth]).all()
    assert np.isin(b_from, held_out).all()
    assert (images.true_mix(a_from, b_from) == truth).all()


def test_x2_is_never_a_training_image_and_images_that_need_one_are_left_out() -> None:
    images, held_out = grid(), np.array([4, 5, 8])
    train = np.setdiff1d(np.arange(12), [*held_out, 11])
    assert find_truths(images, held_out, train=train).tolist() == [4, 8]  # 5 is the only one with its content
    assert find_truths(images, held_out).tolist() == [4]  # 8 is the only held-out one of its class
    a_from, b_from, truth = sample_triplets(images, held_out, num=40, seed=1, train=train)
    assert len(truth) == 40
    assert set(zip(b_from.tolist(), truth.tolist(), strict=True)) == {(8, 4), (4, 8)}
    assert set(a_from[truth == 4].tolist()) == {5}
    assert set(a_from[truth == 8].tolist()) == {9, 10}  # x1 may be, where its class has nothing else


def test_code_b_comes_from_other_held_out_images_only_where_it_must() -> None:
    images, held_out, others = grid(), np.array([4, 5, 8, 11]), np.array([0, 1])
    assert find_truths(images, held_out, others).tolist() == [4, 5, 8]
    _, b_from, truth = sample_triplets(images, held_out, num=60, seed=1, others=others)
    assert set(zip(b_from.tolist(), truth.tolist(), strict=True)) == {(8, 4), (1, 5), (4, 8)}


def test_where_no_image_is_the_truth_of_a_mix_any_two_are_mixed() -> None:
    images, held_out = grid(), np.array([0, 5, 10])
    assert len(find_truths(images, held_out)) == 0
    a_from, b_from, truth = sample_triplets(images, held_out, num=9, seed=0)
    assert np.isin([a_from, b_from], held_out).all()
    assert (truth == UNLABELLED).all()


def test_unlabelled_images_are_no_truth_and_no_source() -> None:
    images = grid()
    images.classes[4] = UNLABELLED
    images.contents[5] = UNLABELLED
    assert find_truths(images, np.array([4, 5, 6, 7, 8, 9, 10])).tolist() == [6, 10]
    images.classes[8:10] = UNLABELLED
    images.classes[11] = UNLABELLED
    assert find_truths(images, np.array([6, 10]), train=np.arange(12)).tolist() == [6]  # 10 is alone in its class


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
