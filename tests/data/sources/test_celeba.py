from __future__ import annotations

import pytest

from chiasm.config import DataConfig
from chiasm.data import UNLABELLED, DataError, open_data
from chiasm.data.sources.celeba import CelebA

HEADER = "5_o_Clock_Shadow Eyeglasses Mouth_Slightly_Open Smiling Wearing_Hat Young"


@pytest.fixture
def official(tmp_path, write_image):
    for i in range(1, 5):
        write_image(tmp_path / "img_align_celeba" / f"00000{i}.jpg")
    (tmp_path / "list_eval_partition.txt").write_text(
        "000001.jpg 0\n000002.jpg 0\n000003.jpg 1\n000004.jpg 2\n000009.jpg 2\n"
    )
    (tmp_path / "identity_CelebA.txt").write_text("000001.jpg 20\n000002.jpg 3\n000003.jpg 20\n")
    (tmp_path / "list_attr_celeba.txt").write_text(
        f"4\n{HEADER}\n"
        "000001.jpg -1  1 -1  1 -1 1\n000002.jpg -1 -1 -1 -1  1 1\n"
        "000003.jpg  1 -1  1 -1 -1 1\n000004.jpg -1 -1 -1 -1 -1 1\n"
    )
    return tmp_path


def test_official_layout(official):
    images = open_data(DataConfig(source=str(official)), 8, progress_bar=False)
    assert tuple(images.names) == ("000001.jpg", "000002.jpg", "000003.jpg", "000004.jpg")
    assert images.partition == ("train", "train", "val", "test")
    assert images.class_names == ("3", "20")
    assert images.classes.tolist() == [1, 0, 1, UNLABELLED]
    assert images.content_names == ("Smiling", "Mouth_Slightly_Open", "Eyeglasses", "Wearing_Hat")
    assert images.contents.tolist() == [[1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert not images.contents_complete


def test_nested_folder_and_tables_with_commas(official):
    nested = official / "img_align_celeba"
    nested.rename(official / "inner")
    nested.mkdir()
    (official / "inner").rename(nested / "img_align_celeba")
    reference = CelebA(official).listing()
    for stem, title in (("list_eval_partition", "image_id,partition\n"), ("list_attr_celeba", "image_id,")):
        text = (official / f"{stem}.txt").read_text().removeprefix("4\n")
        rows = "".join(",".join(line.split()) + "\n" for line in text.splitlines())
        (official / f"{stem}.csv").write_text(title + rows)
        (official / f"{stem}.txt").unlink()
    listing = CelebA(official).listing()
    assert listing.partition == reference.partition
    assert listing.contents.tolist() == reference.contents.tolist()


def test_lists_that_may_be_missing(official):
    (official / "identity_CelebA.txt").unlink()
    (official / "list_attr_celeba.txt").unlink()
    listing = CelebA(official).listing()
    assert set(listing.classes.tolist()) == {UNLABELLED}
    assert listing.contents.shape == (4, 0)


def test_changed_list_changes_the_fingerprint(official):
    before = CelebA(official).fingerprint()
    with (official / "identity_CelebA.txt").open("a") as file:
        file.write("000004.jpg 5\n")
    assert CelebA(official).fingerprint() != before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list_eval_partition.txt", None, "list_eval_partition.txt is missing"),
        (
            "list_eval_partition.txt",
            "000001.jpg 7\n",
            "row 1: got '000001.jpg 7'; wanted a name and 0, 1 or 2",
        ),
        ("list_eval_partition.txt", "123.png 0\n", "none of its 4 images is in the list"),
        ("identity_CelebA.txt", "000001.jpg\n", "wanted a name and a number"),
        ("list_attr_celeba.txt", "1\nYoung\n000001.jpg 1\n", "no attribute .*Smiling"),
        ("list_attr_celeba.txt", f"1\n{HEADER}\n000001.jpg 1\n", "'000001.jpg' has 1 values; wanted 6"),
    ],
)
def test_mistakes_are_named(official, name, text, message):
    if text is None:
        (official / name).unlink()
    else:
        (official / name).write_text(text)
    with pytest.raises(DataError, match=message):
        open_data(DataConfig(source=str(official)), 8, progress_bar=False)
