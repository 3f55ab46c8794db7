from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from chiasm.config import DataConfig
from chiasm.data import UNLABELLED, DataError, open_data
from chiasm.data.files import find_images
from chiasm.data.sources.folder import Folder

ROOT = Path(__file__).parents[3]
PLACES = (ROOT / "data" / "cmu-faces", ROOT.parent / "shared" / "data" / "cmu-faces")
CMU_FACES = next((place for place in PLACES if place.is_dir()), PLACES[0])


@pytest.fixture
def make_tree(tmp_path, write_image):
    def make(*names: str) -> Path:
        for name in names:
            write_image(tmp_path / "tree" / name)
        return tmp_path / "tree"

    return make


def classes_of(root: Path) -> dict[str, str | None]:
    listing = Folder(root).listing()
    labels = [None if c == UNLABELLED else listing.class_names[c] for c in listing.classes]
    return dict(zip(listing.names, labels, strict=True))


def test_class_is_the_first_level_subfolder(make_tree):
    root = make_tree("zoë/2020/b.JPG", "zoë/a.png", "adam/1.png", "loose.png")
    assert classes_of(root) == {
        "zoë/2020/b.JPG": "zoë",
        "zoë/a.png": "zoë",
        "adam/1.png": "adam",
        "loose.png": None,
    }


def test_flat_folder_has_no_classes(make_tree):
    listing = Folder(make_tree("img10.png", "img2.png", "img1.png")).listing()
    assert listing.names == ("img1.png", "img2.png", "img10.png")
    assert listing.class_names == ()
    assert set(listing.classes.tolist()) == {UNLABELLED}


def test_single_subfolder_is_looked_through(make_tree):
    assert classes_of(make_tree("images/cat/1.png", "images/dog/1.png")) == {
        "images/cat/1.png": "cat",
        "images/dog/1.png": "dog",
    }


def test_train_and_test_folders_are_a_split(make_tree):
    listing = Folder(make_tree("train/cat/1.png", "train/dog/2.png", "valid/cat/3.png")).listing()
    assert listing.partition == ("train", "train", "val")
    assert listing.class_names == ("cat", "dog")


def test_hidden_files_and_others_are_left_out(make_tree):
    root = make_tree("a/1.png", "a/.hidden.png", ".cache/2.png")
    (root / "a" / "notes.txt").write_text("text")
    assert [name for name, _, _ in find_images(root).images] == ["a/1.png"]


def test_links_are_followed_but_not_in_circles(make_tree, tmp_path, write_image):
    root = make_tree("a/1.png")
    write_image(tmp_path / "elsewhere" / "2.png")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "nowhere.png").symlink_to(root / "gone.png")
    names = [name for name, _, _ in find_images(root).images]
    assert names == ["a/1.png", "a/nowhere.png", "b/2.png"]


def test_metadata_gives_classes_and_contents(make_tree):
    root = make_tree("x/1.png", "x/2.png", "y/3.png")
    (root / "metadata.csv").write_text(
        "\ufefffile_name,class,pose,light\nx/1.png,bo,left,on\ny/3.png,al,right,\n", encoding="utf-8"
    )
    listing = Folder(root).listing()
    assert listing.class_names == ("al", "bo")
    assert listing.classes.tolist() == [1, UNLABELLED, 0]
    assert listing.content_names == ("pose", "light")
    assert listing.content_values == (("left", "right"), ("on",))
    assert listing.contents.tolist() == [[0, 0], [UNLABELLED, UNLABELLED], [1, UNLABELLED]]


def test_a_column_without_any_value_is_no_content(make_tree):
    root = make_tree("a/1.png", "b/2.png")
    (root / "metadata.csv").write_text("file_name,pose,light\na/1.png,,left\nb/2.png,,right\n")
    listing = Folder(root).listing()
    assert (listing.content_names, listing.content_values) == (("light",), (("left", "right"),))


def test_metadata_without_classes_leaves_them_to_the_folders(make_tree):
    root = make_tree("x/1.png", "y/2.png")
    (root / "metadata.csv").write_text("file_name,pose\nx\\1.png,left\n./y/2.png,right\n")
    assert classes_of(root) == {"x/1.png": "x", "y/2.png": "y"}
    assert Folder(root).listing().contents.tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file_name,class\nx/9.png,al\n", r"line 2: there is no image 'x/9.png'"),
        ("file_name,class\nx/1.png,al\nx/1.png,bo\n", r"line 3: 'x/1.png' is listed twice"),
        ("file_name,class\nx/1.png,al,extra\n", r"line 2: 3 cells where the header has 2"),
        ("name,class\nx/1.png,al\n", r"a column 'file_name' is needed"),
        ("file_name,pose,pose\n", r"a name of its own"),
        ("", r"a column 'file_name' is needed"),
    ],
)
def test_mistakes_in_metadata_are_located(make_tree, table, message):
    root = make_tree("x/1.png", "y/2.png")
    (root / "metadata.csv").write_text(table)
    with pytest.raises(DataError, match=rf"metadata\.csv.*{message}"):
        Folder(root).listing()


def test_metadata_in_another_encoding(make_tree):
    root = make_tree("x/1.png", "y/2.png")
    (root / "metadata.csv").write_bytes("file_name,class\nx/1.png,Zoë\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        Folder(root).listing()


def test_captions_are_no_content(tmp_path, write_image):
    for i in range(120):
        (tmp_path / f"{i}.png").touch()
    rows = "".join(f"{i}.png,caption {i}\n" for i in range(120))
    (tmp_path / "metadata.csv").write_text("file_name,caption\n" + rows)
    with pytest.raises(DataError, match="column 'caption' has 120 different values.*remove the column"):
        Folder(tmp_path).listing()


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match="no image in this folder"):
        Folder(tmp_path).fingerprint()


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are text")
def test_name_that_is_no_text_survives(make_tree):
    root = make_tree("a/1.png", "b/2.png")
    try:
        os.rename(os.fsencode(root / "a" / "1.png"), os.fsencode(root / "a") + b"/\xff.png")
    except OSError:
        pytest.skip("this file system keeps names as text")
    images = open_data(DataConfig(source=str(root)), 4, progress_bar=False)
    assert tuple(images.names) == ("a/\udcff.png", "b/2.png")


@pytest.mark.skipif(not CMU_FACES.is_dir(), reason="needs data/cmu-faces, see studies/README.md")
def test_real_photographs():
    images = open_data(DataConfig(source=str(CMU_FACES)), 16, progress_bar=False)
    assert len(images) == 503
    assert len(images.class_names) == 16
    assert images.content_names == ("pose", "expression", "eyes")
    assert images.skipped == ()
    mixes = images.true_mix(np.arange(503), np.roll(np.arange(503), 40))
    assert 0.95 < (mixes >= 0).mean() <= 1
    assert 30 < images.images.mean() < 200
