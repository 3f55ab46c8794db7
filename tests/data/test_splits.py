from __future__ import annotations

import dataclasses
import json
from dataclasses import astuple

import numpy as np
import pytest

from chiasm.config import DataConfig
from chiasm.data import UNLABELLED, DataError, ImageSet
from chiasm.data.splits import load_split, make_split, save_split, split_of_new


def sizes_to_classes(*sizes: int) -> list[int]:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes)).tolist()


SETS = {
    "many": sizes_to_classes(*[12] * 30),
    "uneven": sizes_to_classes(1, 1, 2, 3, 4, 5, 6, 7, 40, 200, 1, 2),
    "pairs": sizes_to_classes(*[2] * 40),
    "alone": list(range(50)),
    "unlabelled": [UNLABELLED] * 37,
    "some unlabelled": [UNLABELLED] * 20 + sizes_to_classes(6, 7, 8),
    "two": [0, 0],
    "two unlabelled": [UNLABELLED] * 2,
    "two alone": [0, 1],
}


@pytest.fixture(params=SETS.values(), ids=SETS.keys())
def images(request, image_set):
    return image_set(request.param)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("held_out", [0.01, 0.2, 0.5])
def test_every_image_is_in_one_part(images, seed, held_out):
    split = make_split(images, DataConfig(split_seed=seed, held_out=held_out))
    together = np.concatenate(astuple(split))
    assert sorted(together.tolist()) == list(range(len(images)))
    assert all((np.diff(part) > 0).all() and part.dtype == np.int64 for part in astuple(split))
    assert len(split.train) >= 1
    assert len(split.val) >= 1


@pytest.mark.parametrize("seed", range(5))
def test_classes_keep_two_images_and_large_ones_give_one(image_set, seed):
    images = image_set(SETS["uneven"])
    split = make_split(images, DataConfig(split_seed=seed, held_out_classes=0.0))
    total = np.bincount(images.classes, minlength=12)
    train = np.bincount(images.classes[split.train], minlength=12)
    assert (train[total >= 2] >= 2).all()
    assert (train[total == 2] == 2).all()
    assert (train[total >= 5] < total[total >= 5]).all()


def test_fractions_are_met(image_set):
    images = image_set(sizes_to_classes(*[7] * 400))
    split = make_split(images, DataConfig(held_out=0.2, held_out_classes=0.1))
    rest = 360 * 7
    assert len(split.val_classes) == len(split.test_classes) == 20 * 7
    assert abs(len(split.val) - 0.1 * rest) < 0.02 * rest
    assert abs(len(split.test) - 0.1 * rest) < 0.02 * rest


def test_held_out_classes_are_whole_and_nowhere_else(image_set):
    images = image_set(SETS["many"])
    split = make_split(images, DataConfig(held_out_classes=0.05))
    parts = [set(images.classes[part].tolist()) for part in astuple(split)]
    train, val, test, val_classes, test_classes = parts
    assert val <= train
    assert test <= train
    assert len(val_classes) == len(test_classes) == 1
    assert not val_classes & test_classes
    assert not (val_classes | test_classes) & train
    assert len(split.val_classes) == 12


def test_no_class_is_held_out_of_nine(image_set):
    split = make_split(image_set(sizes_to_classes(*[6] * 9)), DataConfig(held_out_classes=0.5))
    assert len(split.val_classes) == len(split.test_classes) == 0


def test_split_depends_on_its_seed_alone(image_set):
    images = image_set(SETS["many"])
    first, again, other = (make_split(images, DataConfig(split_seed=seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(x, y) for x, y in zip(astuple(first), astuple(again), strict=True))
    assert not np.array_equal(first.train, other.train)


def test_official_split_is_followed(image_set):
    partition = ("train", "val", "test", "train", "val", "train")
    split = make_split(image_set([0, 1, 2, 0, 0, 1], partition=partition), DataConfig())
    assert [part.tolist() for part in astuple(split)] == [[0, 3, 5], [1, 4], [2], [], []]


def test_missing_official_validation_is_taken_from_train(image_set):
    partition = ("train",) * 40 + ("test",) * 10
    split = make_split(image_set([UNLABELLED] * 50, partition=partition), DataConfig(held_out=0.2))
    assert split.test.tolist() == list(range(40, 50))
    assert 4 <= len(split.val) <= 5
    assert sorted([*split.train, *split.val]) == list(range(40))


def test_official_split_without_training(image_set):
    with pytest.raises(DataError, match="no usable training image"):
        make_split(image_set([0, 0], partition=("test", "val")), DataConfig())
    with pytest.raises(DataError, match="one training image and none to validate with"):
        make_split(image_set([0, 0], partition=("test", "train")), DataConfig())


def test_saved_split_follows_names_not_places(image_set, tmp_path):
    images = image_set(SETS["many"])
    split = make_split(images, DataConfig())
    save_split(split, images, tmp_path / "split.json")
    order = np.random.default_rng(5).permutation(len(images))
    reordered = image_set(images.classes[order].tolist(), names=tuple(images.names[i] for i in order))
    loaded = load_split(tmp_path / "split.json", reordered)
    for before, after in zip(astuple(split), astuple(loaded), strict=True):
        assert {images.names[i] for i in before} == {reordered.names[i] for i in after}
        assert (np.diff(after) > 0).all()


def test_odd_names_survive(image_set, tmp_path):
    images = image_set([0, 0, 0], names=("ö\n.png", "\udcff.png", 'a"b'))
    split = make_split(images, DataConfig())
    save_split(split, images, tmp_path / "split.json")
    loaded = load_split(tmp_path / "split.json", images)
    assert all(np.array_equal(x, y) for x, y in zip(astuple(split), astuple(loaded), strict=True))


def test_split_of_other_data(image_set, tmp_path):
    images = image_set(SETS["many"])
    save_split(make_split(images, DataConfig()), images, tmp_path / "split.json")
    with pytest.raises(DataError, match=r"\d+ images of this split are not in the data, such as \['p"):
        load_split(tmp_path / "split.json", image_set([0, 0]))


def test_file_that_is_no_split(image_set, tmp_path):
    for text in ("{", "[]", json.dumps({"train": []})):
        (tmp_path / "split.json").write_text(text)
        with pytest.raises(DataError, match="not a split written by chiasm"):
            load_split(tmp_path / "split.json", image_set([0, 0]))


def test_of_new_images_those_of_classes_that_were_trained_on_are_apart(image_set):
    images = image_set([0, 0, 1, 1, UNLABELLED, 2])
    split = split_of_new(images, np.array([True, False, False, False, False, True]))
    assert [part.tolist() for part in astuple(split)] == [[0, 5], [], [1, 4], [], [2, 3]]


def test_a_set_without_a_new_image_is_refused(image_set):
    with pytest.raises(DataError, match="all of these 2 images"):
        split_of_new(image_set([0, 0]), np.array([True, True]))


def with_copies(images: ImageSet, num: int) -> ImageSet:
    """The same where the last images are equal to the first ones, and in their classes."""
    pixels, classes = np.array(images.images), images.classes.copy()
    pixels[-num:], classes[-num:] = pixels[:num], classes[:num]
    return dataclasses.replace(images, images=pixels, classes=classes)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["many", "uneven", "unlabelled"])
def test_equal_images_are_in_one_part(name, image_set, seed):
    images = with_copies(image_set(SETS[name]), 15)
    split = make_split(images, DataConfig(split_seed=seed, held_out=0.4, held_out_classes=0.2))
    part = np.concatenate([np.full(len(indices), k) for k, indices in enumerate(astuple(split))])
    part = part[np.argsort(np.concatenate(astuple(split)))]
    assert len(part) == len(images)
    assert (part[-15:] == part[:15]).all()
    assert len(np.unique(part[-15:])) > 1


def test_equal_images_of_two_classes_are_in_one_part_too(image_set):
    images = image_set([0] * 40 + [1] * 40, images=np.tile(image_set([0] * 40).images, (2, 1, 1, 1)))
    split = make_split(images, DataConfig(held_out=0.5))
    of_each = [set((split.train[split.train // 40 == label] % 40).tolist()) for label in (0, 1)]
    assert of_each[0] == of_each[1]
    assert len(split.all) == 80


def test_equal_images_are_in_one_part_where_an_official_split_has_no_validation(image_set):
    images = with_copies(image_set([UNLABELLED] * 50, partition=("train",) * 50), 10)
    for seed in range(5):
        split = make_split(images, DataConfig(held_out=0.4, split_seed=seed))
        assert all((i in split.val) == (i + 40 in split.val) for i in range(10))


def test_where_all_images_are_equal_one_is_left_to_validate_with(image_set):
    split = make_split(image_set([0] * 9, images=np.zeros((9, 3, 4, 4), np.uint8)), DataConfig())
    assert len(split.train) > len(split.val) > 0


def test_what_is_equal_to_a_thing_goes_with_it(image_set):
    things = np.array([UNLABELLED, 0, 0, 1, 1, *[UNLABELLED] * 20, 1])
    images = with_copies(image_set([UNLABELLED] * 26), 1)  # the last is of thing 1 and equal to the first, of none
    for seed in range(20):
        split = make_split(images, DataConfig(split_seed=seed, held_out=0.5), things)
        assert sum({0, 3, 4, 25} <= set(part.tolist()) for part in astuple(split)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_things_stay_whole(image_set, seed):
    """Forty pairs and twenty images of nothing else: a fifth of the sixty is held out, and no pair is cut."""
    things = np.random.default_rng(seed).permutation([*np.repeat(np.arange(40), 2), *[UNLABELLED] * 20])
    split = make_split(image_set([UNLABELLED] * 100), DataConfig(split_seed=seed, held_out=0.2), things)
    assert sorted(split.all.tolist()) == list(range(100))
    parts = [set(things[part].tolist()) - {UNLABELLED} for part in (split.train, split.val, split.test)]
    assert sum(map(len, parts)) == 40
    units = [len(part) + int((things[i] == UNLABELLED).sum()) for part, i in zip(parts, astuple(split), strict=False)]
    assert units == [48, 6, 6]
    assert len(split.val_classes) == len(split.test_classes) == 0


def test_of_two_things_one_is_to_learn_from(image_set):
    split = make_split(image_set([UNLABELLED] * 4), DataConfig(held_out=0.01), np.array([0, 0, 1, 1]))
    assert (len(split.train), len(split.val), len(split.test)) == (2, 2, 0)
    one = make_split(image_set([UNLABELLED] * 10), DataConfig(), np.zeros(10, dtype=np.int64))
    assert len(one.train) > len(one.val) > 0
