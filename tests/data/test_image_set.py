from __future__ import annotations

import numpy as np
import pytest

from chiasm.data import UNLABELLED


@pytest.mark.parametrize(
    ("classes", "expected"), [([0, 1, 0], True), ([0, 1, 2], False), ([UNLABELLED, UNLABELLED], False)]
)
def test_has_classes_needs_two_of_one(image_set, classes, expected):
    assert image_set(classes).has_classes is expected


def grid(image_set, **fields):
    """Two classes, contents 0 to 2; class 1 lacks content 2, and the last image has no content."""
    contents = np.array([[0], [1], [2], [0], [1], [UNLABELLED]])
    return image_set(
        [0, 0, 0, 1, 1, 1],
        contents=contents,
        content_names=("pose",),
        content_values=(("l", "m", "r"),),
        **fields,
    )


def test_true_mix_takes_class_from_a_and_content_from_b(image_set):
    mixed = grid(image_set).true_mix(np.array([0, 3, 3, 0]), np.array([4, 1, 2, 5]))
    assert mixed.tolist() == [1, 4, -1, -1]


def test_true_mix_of_many_factors(image_set):
    """Forty factors of two values have more combinations than an int64 can number."""
    contents = np.random.default_rng(0).integers(0, 2, (30, 40))
    contents[15:] = contents[:15]
    names = tuple(f"c{k}" for k in range(40))
    images = image_set([0] * 15 + [1] * 15, contents=contents, content_names=names, content_values=(("n", "y"),) * 40)
    mixed = images.true_mix(np.full(15, 20), np.arange(15))
    assert mixed.tolist() == list(range(15, 30))


def test_true_mix_of_incomplete_contents_is_unknown(image_set):
    images = grid(image_set, contents_complete=False)
    assert images.true_mix(np.array([0]), np.array([4])).tolist() == [-1]


def test_gather_copies_in_order(image_set):
    images = image_set([0] * 5)
    pixels = images.gather(np.array([3, 1, 3]))
    assert pixels[:, 0, 0, 0].tolist() == [3, 1, 3]
    pixels[:] = 99
    assert images.images.max() == 4


def test_by_codes_a_class_is_all_that_belongs_to_code_a(image_set):
    contents = np.array([[0, 0], [0, 1], [1, 0], [0, 0], [0, 1], [UNLABELLED, 0]])
    known = {"content_names": ("expression", "tilt"), "content_values": (("sad", "glad"), ("-20", "20"))}
    images = image_set([0, 0, 0, 1, 1, 1], contents=contents, **known)
    assert images.by_codes is images
    parted = image_set([0, 0, 0, 1, 1, 1], contents=contents, **known, a_contents=("expression",)).by_codes
    assert parted.classes[0] == parted.classes[1]
    assert len(set(parted.classes[[0, 2, 3]].tolist())) == 3
    assert parted.classes[5] == UNLABELLED
    assert (parted.content_names, parted.content_values) == (("tilt",), (("-20", "20"),))
    assert parted.true_mix(np.array([0]), np.array([4])).tolist() == [1]
