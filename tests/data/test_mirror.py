import numpy as np
import pytest

from chiasm.data import UNLABELLED, ImageSet, tells_no_side

EVERYTHING = np.arange(96)


def images(kind: str, share: float = 0.0) -> ImageSet:
    """Twelve noisy images each of eight classes, whose patterns a mirror changes or not; a share is mirrored."""
    rng = np.random.default_rng(0)
    classes = np.arange(96) % 8
    patterns = rng.normal(0, 40, (8, 3, 4, 4)).repeat(4, axis=2).repeat(4, axis=3)
    if kind == "symmetric":
        patterns = patterns + patterns[..., ::-1]
    pixels = 128 + patterns[classes] + rng.normal(0, 20, (96, 3, 16, 16))
    mirrored = rng.random(96) < share
    pixels[mirrored] = pixels[mirrored, ..., ::-1]
    return ImageSet(
        images=pixels.clip(0, 255).astype(np.uint8),
        names=list(map(str, range(96))),
        classes=classes,
        class_names=tuple("abcdefgh"),
        contents=np.zeros((96, 0), dtype=np.int64),
    )


@pytest.mark.parametrize(("kind", "share", "alike"), [("symmetric", 0, True), ("any", 0, False), ("any", 0.5, True)])
def test_classes_whose_images_lean_to_a_side_tell_one(kind: str, share: float, *, alike: bool) -> None:
    assert tells_no_side(images(kind, share), EVERYTHING) is alike


def test_without_classes_nothing_is_known() -> None:
    known = images("symmetric")
    known.classes[:] = UNLABELLED
    assert not tells_no_side(known, EVERYTHING)
    known.classes[:] = 0
    assert not tells_no_side(known, EVERYTHING)
