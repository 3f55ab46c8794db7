from __future__ import annotations

import subprocess
import sys

import pytest

from chiasm.config import DataConfig
from chiasm.data import DataError, open_data
from chiasm.data.find_source import find_source
from chiasm.data.sources.avatars import Avatars
from chiasm.data.sources.celeba import CelebA
from chiasm.data.sources.folder import Folder
from chiasm.data.sources.hugging_face import HuggingFace
from chiasm.data.sources.npz import Npz


def test_each_word_finds_its_source(tmp_path):
    (tmp_path / "celeba" / "img_align_celeba").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "arrays.npz").touch()
    for word, kind in {
        "avatars": Avatars,
        "hf:someone/something": HuggingFace,
        str(tmp_path / "celeba"): CelebA,
        str(tmp_path / "photos"): Folder,
        str(tmp_path / "arrays.npz"): Npz,
    }.items():
        assert type(find_source(DataConfig(source=word))) is kind


def test_missing_path_is_named():
    with pytest.raises(DataError, match=r"data\.source: '/no/where' does not exist; give 'avatars'"):
        open_data(DataConfig(source="/no/where"), 8)


def test_single_file_is_no_source(tmp_path):
    (tmp_path / "cat.jpg").touch()
    with pytest.raises(DataError, match=r"cat\.jpg' is a file; give a folder"):
        open_data(DataConfig(source=str(tmp_path / "cat.jpg")), 8)


def test_side_must_be_positive():
    with pytest.raises(DataError, match=r"model\.side_px: got 0"):
        open_data(DataConfig(), 0)


def test_importing_is_light():
    code = "import sys, chiasm.data; print([m for m in ('torch', 'datasets', 'dicebear') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
