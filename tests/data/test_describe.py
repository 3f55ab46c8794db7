from __future__ import annotations

import numpy as np
import pytest

from chiasm.data import UNLABELLED
from chiasm.data.describe import contact_sheet, describe, some_rows


@pytest.fixture
def mixed_bag(image_set):
    noise = np.random.default_rng(0).integers(0, 256, (7, 3, 4, 4), dtype=np.uint8)
    noise[4] = noise[1]
    noise[6] = 200
    return image_set(
        [0, 0, 0, 1, 1, UNLABELLED, 1],
        images=noise,
        contents=np.array([[0], [1], [1], [0], [0], [0], [UNLABELLED]]),
        content_names=("pose",),
        content_values=(("left", "right"),),
        sizes=np.array([[24, 16]] * 6 + [[3, 90]]),
        partition=("train",) * 5 + ("val",) * 2,
        skipped=(("broken.png", "not an image"),),
    )


def test_findings(mixed_bag):
    found = describe(mixed_bag)
    assert found.num_images == 7
    assert found.class_sizes == {"c0": 3, "c1": 3}
    assert found.num_unlabelled == 1
    assert found.content_sizes == {"pose": {"left": 4, "right": 2}}
    assert (found.num_combinations, found.num_possible) == (3, 4)
    assert found.original_sizes == ((3, 24), (16, 90))
    assert found.num_enlarged == 1
    assert found.duplicates == (("p1", "p4"),)
    assert found.nearly_constant == ("p6",)
    assert found.partition_sizes == {"train": 5, "val": 2}


def test_text_names_what_is_wrong(mixed_bag):
    text = str(describe(mixed_bag))
    for line in (
        "7 images, 4 x 4 pixels once decoded",
        "original sizes: 3 to 24 wide, 16 to 90 high",
        "classes: 2, images of each: 3 at least, 3 in the middle, 3 at most",
        "content pose: left 4, right 2",
        "combinations shown: 3 of 4",
        "exact duplicates: 1, such as p1 = p4",
        "  broken.png: not an image",
    ):
        assert line in text.splitlines()


def test_bare_set_is_described(image_set):
    text = str(describe(image_set([UNLABELLED] * 3)))
    assert "classes: none" in text
    assert "nearly constant images: 3" in text


def test_contact_sheet_begins_a_row_for_each_class(image_set):
    images = image_set([1, 0, 1, 1, 0])
    sheet = np.asarray(contact_sheet(images, np.arange(5), columns=2))
    assert sheet.shape == (3 * 4, 2 * 4, 3)
    assert sheet[::4, ::4, 0].tolist() == [[1, 4], [0, 2], [3, 255]]


def test_of_many_images_a_row_of_each_of_some_classes_is_shown(image_set):
    few = image_set([0, 0, 1])
    assert some_rows(few, 2, 2).tolist() == [0, 1, 2]
    many = image_set(np.arange(100) % 10)
    shown = some_rows(many, 3, 4)
    assert np.unique(many.classes[shown], return_counts=True)[1].tolist() == [3] * 4
    assert set(many.classes[shown]) == {0, 3, 6, 9}
    assert len(some_rows(image_set([UNLABELLED] * 50), 3, 4)) == 12


def test_contact_sheet_keeps_images_upright(image_set):
    ramp = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    sheet = np.asarray(contact_sheet(image_set([0, 0], images=ramp), np.array([1, 0]), columns=2))
    np.testing.assert_array_equal(sheet, np.concatenate([ramp[1], ramp[0]], axis=2).transpose(1, 2, 0))


def test_contact_sheet_of_nothing(image_set):
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet(image_set([0, 0]), np.zeros(0, dtype=np.int64), 3)
