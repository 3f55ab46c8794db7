import dataclasses

import numpy as np

from chiasm.data import UNLABELLED, ImageSet, come_first, of_each_class
from chiasm.data.of_each_class import NUM_CLASSES, NUM_EACH


def test_every_class_has_as_many_of_the_images_that_may_be_chosen(avatars: ImageSet) -> None:
    indices = np.sort(np.random.default_rng(0).permutation(len(avatars))[:60])
    chosen = of_each_class(avatars, indices, seed=0)
    known, counts = np.unique(avatars.classes[indices], return_counts=True)
    assert chosen.shape == (len(known), counts.max())
    assert np.isin(chosen, indices).all()
    assert (avatars.classes[chosen] == known[:, None]).all()
    assert [len(np.unique(row)) for row in chosen] == counts.tolist()
    first = come_first(chosen)
    assert [sorted(row[is_first]) for row, is_first in zip(chosen, first, strict=True)] == [
        np.unique(row).tolist() for row in chosen
    ]
    assert np.array_equal(chosen, of_each_class(avatars, indices, seed=0))


def test_images_without_a_label_are_of_no_class(avatars: ImageSet) -> None:
    classes = np.where(avatars.classes < 2, avatars.classes, UNLABELLED)
    shown = dataclasses.replace(avatars, classes=classes)
    assert set(classes[of_each_class(shown, np.arange(len(shown)), seed=0)].flat) == {0, 1}
    shown = dataclasses.replace(avatars, classes=np.full_like(classes, UNLABELLED))
    assert of_each_class(shown, np.arange(len(shown)), seed=0).shape == (0, 0)


def test_there_are_never_more_than_a_model_should_hold() -> None:
    classes = np.arange(20_000) % (NUM_CLASSES + 50)
    shown = ImageSet(
        images=np.zeros((len(classes), 3, 1, 1), dtype=np.uint8),
        names=list(map(str, range(len(classes)))),
        classes=classes,
        class_names=tuple(map(str, range(NUM_CLASSES + 50))),
        contents=np.zeros((len(classes), 0), dtype=np.int64),
    )
    assert of_each_class(shown, np.arange(len(classes)), seed=0).shape == (NUM_CLASSES, NUM_EACH)
