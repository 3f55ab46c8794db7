from __future__ import annotations

import numpy as np
import pytest

from chiasm.config import DataConfig
from chiasm.data import UNLABELLED, DataError, open_data

IMGS = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.full((3, 16, 24, 3), 50, dtype=np.uint8)


def open_npz(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return open_data(DataConfig(source=str(tmp_path / "a.npz")), 8, progress_bar=False)


def test_images_and_labels(tmp_path):
    contents = np.array([[7, 1], [9, 1], [-1, 0]])
    images = open_npz(tmp_path, imgs=IMGS, classes=np.array(["b", "a", ""]), contents=contents)
    assert images.images[:, 0, 0, 0].tolist() == [0, 50, 100]
    assert images.class_names == ("a", "b")
    assert images.classes.tolist() == [1, 0, UNLABELLED]
    assert images.content_names == ("content_0", "content_1")
    assert images.content_values == (("7", "9"), ("0", "1"))
    assert images.contents.tolist() == [[0, 1], [1, 1], [UNLABELLED, 0]]
    assert images.sizes is not None
    assert images.sizes.tolist() == [[24, 16]] * 3


def test_grey_images_and_one_named_content(tmp_path):
    images = open_npz(
        tmp_path,
        imgs=IMGS[..., 0],
        classes=np.arange(3),
        contents=np.arange(3),
        content_names=np.array(["pose"]),
    )
    assert images.images.shape == (3, 3, 8, 8)
    assert images.content_names == ("pose",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imgs": IMGS / 255}, r"float64; wanted .*uint8"),
        ({"imgs": IMGS.transpose(0, 3, 1, 2)}, r"\[3, 3, 16, 24\] uint8; wanted \[n, height, width, 3\]"),
        ({"classes": np.arange(4)}, r"classes is \[4\]; wanted 1 dimensions, the first as long as imgs"),
        ({"classes": np.zeros(3)}, r"classes is float64; wanted whole numbers or text"),
        ({"classes": None}, r"no array 'classes'"),
        ({"imgs": None}, r"no array 'imgs'"),
        ({"contents": np.zeros((3, 2), int), "content_names": np.array(["x"])}, "give 2 different names"),
        ({"classes": np.array([{}, 1, 2], dtype=object)}, r"plain arrays, not objects"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    arrays = {"imgs": IMGS, "classes": np.arange(3)} | change
    with pytest.raises(DataError, match=rf"a\.npz: .*{message}"):
        open_npz(tmp_path, **{name: array for name, array in arrays.items() if array is not None})


def test_damaged_file(tmp_path):
    np.save(tmp_path / "plain.npy", np.zeros(3))
    for content in (b"", b"PK\x03\x04 no archive", b"text", (tmp_path / "plain.npy").read_bytes()):
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"b\.npz: cannot be read"):
            open_data(DataConfig(source=str(tmp_path / "b.npz")), 8)
