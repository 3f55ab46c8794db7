from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from chiasm.config import DataConfig
from chiasm.data import UNLABELLED, DataError, open_data


@pytest.fixture(scope="module")
def datasets():
    module = pytest.importorskip("datasets", reason="needs the extra 'data'")
    module.disable_progress_bars()
    return module


@pytest.fixture
def make(datasets):
    """A data set of n grey images of values 0, 20, 40 ..., with two ClassLabels and a text."""

    def make(n: int):
        features = datasets.Features(
            {
                "pose": datasets.ClassLabel(names=["left", "right", "up"]),
                "photo": datasets.Image(),
                "label": datasets.ClassLabel(names=["cat", "dog"]),
                "caption": datasets.Value("string"),
            }
        )
        images = [Image.fromarray(np.full((16, 24, 3), 20 * i, np.uint8)) for i in range(n)]
        rows = {
            "pose": [i // 2 if i < 5 else None for i in range(n)],
            "photo": images,
            "label": [i % 2 for i in range(n)],
            "caption": [str(i) for i in range(n)],
        }
        return datasets.Dataset.from_dict(rows, features=features)

    return make


def open_hf(path):
    return open_data(DataConfig(source=f"hf:{path}"), 8, progress_bar=False)


def test_saved_splits(datasets, make, tmp_path):
    datasets.DatasetDict(train=make(6), validation=make(2)).save_to_disk(tmp_path)
    images = open_hf(tmp_path)
    assert images.images[:, 0, 0, 0].tolist() == [0, 20, 40, 60, 80, 100, 0, 20]
    assert images.partition == ("train",) * 6 + ("val",) * 2
    assert images.class_names == ("cat", "dog")
    assert images.classes.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert images.content_names == ("pose",)
    assert images.contents[:, 0].tolist() == [0, 0, 1, 1, 2, UNLABELLED, 0, 0]
    assert not images.contents_complete  # the validation images repeat combinations


def test_single_split_with_unique_combinations(make, tmp_path):
    make(6).save_to_disk(tmp_path)
    images = open_hf(tmp_path)
    assert images.partition is None
    assert images.contents_complete
    assert images.true_mix(np.array([0]), np.array([3])).tolist() == [2]


def test_another_data_set_in_the_same_place_is_seen(datasets, make, tmp_path):
    make(6).save_to_disk(tmp_path)
    assert len(open_hf(tmp_path)) == 6
    make(4).save_to_disk(tmp_path)
    assert len(open_hf(tmp_path)) == 4


def test_data_set_without_images(datasets, tmp_path):
    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(tmp_path)
    with pytest.raises(DataError, match="columns .*text.*one of images is needed"):
        open_hf(tmp_path)


def test_data_set_without_train(datasets, make, tmp_path):
    datasets.DatasetDict(test=make(3)).save_to_disk(tmp_path)
    with pytest.raises(DataError, match="splits .'test'.; 'train' is needed"):
        open_hf(tmp_path)


def test_missing_package_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'chiasm\[data\]'"):
        open_hf(tmp_path)
