import dataclasses

import numpy as np
import pytest

from chiasm.data import UNLABELLED, ImageSet, content_groups
from chiasm.data.groups import SURE

NUM_CLASSES, NUM_CONTENTS, SIDE = 12, 6, 16


@pytest.fixture
def bars() -> ImageSet:
    """Every class with every content: the class is how thick and how bright a bar is, the content how it lies where."""
    classes, contents = np.divmod(np.arange(NUM_CLASSES * NUM_CONTENTS), NUM_CONTENTS)
    images = np.full((len(classes), 3, SIDE, SIDE), 20, dtype=np.uint8)
    for image, label, content in zip(images, classes, contents, strict=True):
        place = 3 + 4 * (content // 2)
        bar = slice(place, place + 1 + label % 3)
        image[(slice(None), bar) if content % 2 else (slice(None), slice(None), bar)] = 60 + 15 * label
    return ImageSet(
        images=images,
        names=tuple(map(str, range(len(classes)))),
        classes=classes,
        class_names=tuple(map(str, range(NUM_CLASSES))),
        contents=contents[:, None],
        content_names=("place",),
        content_values=(tuple(map(str, range(NUM_CONTENTS))),),
    )


def test_images_that_show_the_same_are_a_group_whatever_their_class(bars: ImageSet) -> None:
    group = content_groups(bars, np.arange(len(bars)), NUM_CONTENTS, seed=0)
    found = {(int(content), int(k)) for content, k in zip(bars.contents[:, 0], group, strict=True) if k != UNLABELLED}
    assert len(found) == len({k for _, k in found}) == NUM_CONTENTS


def test_a_group_has_as_few_images_of_a_class_as_can_be(bars: ImageSet) -> None:
    for num, most in ((NUM_CONTENTS + 2, 1), (NUM_CONTENTS, 1), (NUM_CONTENTS - 1, 2), (2, 3), (1, 6)):
        group = content_groups(bars, np.arange(len(bars)), num, seed=0)
        sure = group != UNLABELLED
        together = np.unique(np.stack([bars.classes, group])[:, sure], axis=1, return_counts=True)[1]
        assert together.max() == most
        assert 0 <= group[sure].min() <= group.max() < num


def test_an_image_that_might_be_of_two_groups_is_in_none(bars: ImageSet) -> None:
    pixels = np.array(bars.images)
    between = np.flatnonzero((bars.classes < 4) & (bars.contents[:, 0] == 0))
    pixels[between] = np.maximum(pixels[between], pixels[between + 3])
    group = content_groups(dataclasses.replace(bars, images=pixels), np.arange(len(bars)), NUM_CONTENTS, seed=0)
    assert (group[between] == UNLABELLED).all()


def test_groups_are_found_from_pixels_and_classes_of_the_images_asked_for(bars: ImageSet) -> None:
    """Neither from contents nor from other images."""
    indices = np.sort(np.random.default_rng(0).permutation(len(bars))[:60])
    expected = content_groups(bars, indices, 5, seed=3)
    pixels = np.array(bars.images)
    others = np.setdiff1d(np.arange(len(bars)), indices)
    pixels[others] = np.random.default_rng(1).integers(0, 256, pixels[others].shape)
    other = dataclasses.replace(bars, images=pixels, contents=bars.contents[::-1].copy())
    assert np.array_equal(content_groups(other, indices, 5, seed=3), expected)


def test_an_image_without_a_class_is_in_no_group(bars: ImageSet) -> None:
    classes = np.where(bars.classes < 3, UNLABELLED, bars.classes)
    group = content_groups(dataclasses.replace(bars, classes=classes), np.arange(len(bars)), NUM_CONTENTS, seed=0)
    assert (group[classes == UNLABELLED] == UNLABELLED).all()
    assert (group[classes != UNLABELLED] != UNLABELLED).mean() == pytest.approx(SURE, abs=0.03)
    nobody = dataclasses.replace(bars, classes=np.full_like(classes, UNLABELLED))
    assert (content_groups(nobody, np.arange(len(bars)), 4, seed=0) == UNLABELLED).all()
