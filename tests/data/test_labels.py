import dataclasses

import numpy as np
import pytest

from chiasm.config import ConfigError, DataConfig
from chiasm.data import UNLABELLED, ImageSet, hide_labels, keep_classes


def test_class_shows_all_and_none_shows_nothing(avatars: ImageSet) -> None:
    assert hide_labels(avatars, DataConfig()) is avatars
    blind = hide_labels(avatars, DataConfig(supervision="none"))
    assert (blind.classes == UNLABELLED).all()
    assert not blind.has_classes


def test_partial_shows_the_true_class_of_about_the_fraction(avatars: ImageSet) -> None:
    some = hide_labels(avatars, DataConfig(supervision="partial", labelled=0.5))
    shown = some.classes != UNLABELLED
    assert 0.3 < shown.mean() < 0.7
    assert (some.classes[shown] == avatars.classes[shown]).all()


@pytest.mark.parametrize("labelled", [0.25, 1.0])
def test_pairs_share_a_class_and_no_image_is_in_two(avatars: ImageSet, labelled: float) -> None:
    paired = hide_labels(avatars, DataConfig(supervision="pairs", labelled=labelled))
    shown = np.flatnonzero(paired.classes != UNLABELLED)
    assert len(shown) == labelled * len(avatars)
    assert (np.bincount(paired.classes[shown]) == 2).all()
    for pair in range(paired.classes.max() + 1):
        assert len(set(avatars.classes[paired.classes == pair].tolist())) == 1


def test_odd_classes_leave_one_image_out() -> None:
    images = ImageSet(
        images=np.zeros((6, 3, 2, 2), dtype=np.uint8),
        names=tuple("abcdef"),
        classes=np.array([0, 1, 0, 0, 1, UNLABELLED]),
        class_names=("x", "y"),
        contents=np.zeros((6, 0), dtype=np.int64),
    )
    paired = hide_labels(images, DataConfig(supervision="pairs", labelled=1.0)).classes
    assert (paired >= 0).sum() == 4
    assert paired[5] == UNLABELLED
    assert paired[1] == paired[4] >= 0


def test_the_choice_follows_the_split_seed(avatars: ImageSet) -> None:
    config = DataConfig(supervision="partial", labelled=0.5)
    first, again = (hide_labels(avatars, config).classes for _ in range(2))
    other = hide_labels(avatars, dataclasses.replace(config, split_seed=1)).classes
    assert (first == again).all()
    assert (first != other).any()


def test_a_fraction_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="data.labelled"):
        DataConfig(labelled=1.5)


def test_only_classes_of_the_training_part_are_told_apart(avatars: ImageSet) -> None:
    train = np.flatnonzero(np.isin(avatars.classes, [2, 5, 7]))
    kept = keep_classes(avatars, train)
    assert kept.class_names == tuple(avatars.class_names[i] for i in (2, 5, 7))
    assert (kept.classes[train] == np.searchsorted([2, 5, 7], avatars.classes[train])).all()
    others = np.setdiff1d(np.arange(len(avatars)), train)
    assert (kept.classes[others] == UNLABELLED).all()


def test_unlabelled_training_images_stay_unlabelled(avatars: ImageSet) -> None:
    some = hide_labels(avatars, DataConfig(supervision="partial", labelled=0.5))
    train = np.arange(0, len(avatars), 2)
    kept = keep_classes(some, train)
    assert ((kept.classes[train] == UNLABELLED) == (some.classes[train] == UNLABELLED)).all()
    assert keep_classes(hide_labels(avatars, DataConfig(supervision="none")), train).class_names == ()
