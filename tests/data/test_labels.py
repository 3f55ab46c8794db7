import dataclasses
from pathlib import Path

import numpy as np
import pytest

from chiasm.config import ConfigError, DataConfig
from chiasm.data import UNLABELLED, DataError, ImageSet, hide_labels, keep_classes
from chiasm.data.pairs import read_pairs


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


@pytest.mark.parametrize("supervision", ["partial", "pairs"])
def test_images_that_came_later_change_no_label(supervision: str, avatars: ImageSet) -> None:
    config = DataConfig(supervision=supervision, labelled=0.5)
    before = np.sort(np.random.default_rng(0).permutation(len(avatars))[:-7])
    of_these = dataclasses.replace(
        avatars, images=avatars.images[before], names=[avatars.names[i] for i in before.tolist()],
        classes=avatars.classes[before], contents=avatars.contents[before],
    )  # fmt: skip
    later = hide_labels(avatars, config, before).classes
    assert (later[before] == hide_labels(of_these, config).classes).all()
    assert (later[np.setdiff1d(np.arange(len(avatars)), before)] == UNLABELLED).all()


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


def test_pairs_of_a_table_take_the_place_of_labels(avatars: ImageSet, tmp_path: Path) -> None:
    """Pairs with an image in common are one thing; no class enters."""
    names = avatars.names
    rows = [("file_name", "same_as"), (names[3], names[50]), (names[7], names[8]), (names[50], f"./{names[90]}")]
    (tmp_path / "pairs.csv").write_text("".join(f"{a},{b}\n" for a, b in rows))
    config = DataConfig(supervision="pairs", pairs=str(tmp_path / "pairs.csv"))
    paired = hide_labels(dataclasses.replace(avatars, classes=np.zeros_like(avatars.classes)), config).classes
    assert paired[3] == paired[50] == paired[90] != paired[7]
    assert paired[7] == paired[8]
    assert set(np.flatnonzero(paired != UNLABELLED).tolist()) == {3, 7, 8, 50, 90}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no pair"),
        ("a.png,b.png\na.png,c.png\n", "line 2: there is no image 'c.png'"),
        ("a.png,b.png,b.png\n", "line 1: 3 cells"),
        ('a.png,"b', "not a CSV table"),
        (None, "data.pairs"),
    ],
)
def test_a_table_of_pairs_that_cannot_be_used_names_line_and_remedy(
    text: str | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_pairs(path, ("a.png", "b.png"))
    assert "pairs.csv" in str(caught.value)
