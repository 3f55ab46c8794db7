"""Images in .tar and .parquet files."""

import io
import json
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.cli import main
from chiasm.config import DataConfig
from chiasm.data import UNLABELLED, DataError, ImageSet, open_data
from chiasm.data.find_source import find_source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

Member = tuple[str, bytes]


def png(value: int) -> bytes:
    """An image of one grey."""
    written = io.BytesIO()
    Image.new("RGB", (5, 4), (value, value, value)).save(written, "png")
    return written.getvalue()


def write_tar(path: Path, members: Sequence[Member]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def opened(folder: Path) -> ImageSet:
    return open_data(DataConfig(source=f"shards:{folder}"), 2, progress_bar=False)


def labels(images: ImageSet) -> list[str | None]:
    return [None if c == UNLABELLED else images.class_names[c] for c in images.classes.tolist()]


def greys(images: ImageSet) -> list[int]:
    return images.gather(np.arange(len(images)))[:, 0, 0, 0].tolist()


def test_samples_of_all_shards_in_order_with_the_classes_they_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "10.tar", [("x.png", png(30)), ("x.json", json.dumps({"label": 7, "url": "u"}).encode())])
    write_tar(
        tmp_path / "2.tar",
        [("a/1.PNG", png(10)), ("a/1.cls", b"5\n"), ("a/2.seg.png", png(20)), ("a/2.txt", b"words"), ("._3.png", b"")],
    )
    images = opened(tmp_path)
    assert list(images.names) == ["2.tar/a/1.PNG", "2.tar/a/2.seg.png", "10.tar/x.png"]
    assert labels(images) == ["5", None, "7"]
    assert greys(images) == [10, 20, 30]


def test_folders_in_the_shards_are_classes_where_no_label_is_given(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [("anna/1.png", png(1)), ("ben/1.png", png(2))])
    write_tar(tmp_path / "1.tar", [("ben/2.png", png(3))])
    assert labels(opened(tmp_path)) == ["anna", "ben", "ben"]
    (tmp_path / "metadata.csv").write_text("file_name,class,smiles\n1.tar/ben/2.png,cora,yes\n", encoding="utf-8")
    images = opened(tmp_path)
    assert labels(images) == [None, None, "cora"]
    assert images.content_names == ("smiles",)


def test_what_is_broken_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "0.tar", [("1.png", png(1)), ("2.png", png(2)), ("2.png", png(3))]).read_bytes()
    (tmp_path / "1.tar").write_bytes(whole[: 512 + 40])
    (tmp_path / "2.tar").write_bytes(b"no archive" * 100)
    write_tar(tmp_path / "3.tar", [("3.png", b"broken"), ("4.png", png(4))])
    images = opened(tmp_path)
    assert greys(images) == [1, 2, 4]
    reasons = dict(images.skipped)
    assert reasons["0.tar/2.png"] == "a second one of this name in the shard"
    assert reasons["1.tar/1.png"] == "the shard ends within it"
    assert "cannot be read as a .tar file" in reasons["2.tar"]
    assert "not an image" in reasons["3.tar/3.png"]


@pytest.mark.parametrize("damage", ["cut in a header", "cut between members", "a damaged header"])
def test_a_shard_is_not_silently_shorter(tmp_path: Path, damage: str) -> None:
    path = write_tar(tmp_path / "0.tar", [(f"{i}.png", png(i)) for i in range(4)])
    whole = path.read_bytes()
    third = 4 * tarfile.BLOCKSIZE
    content = {
        "cut in a header": whole[: third + 100],
        "cut between members": whole[:third],
        "a damaged header": whole[:third] + b"x" + whole[third + 1 :],
    }
    path.write_bytes(content[damage])
    images = opened(tmp_path)
    assert greys(images) == [0, 1]
    assert dict(images.skipped)["0.tar"].startswith("is cut short or damaged")


def test_links_and_paths_out_of_the_folder_lead_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(99))
    folder = tmp_path / "shards"
    path = write_tar(folder / "0.tar", [("../../1.png", png(1)), ("/2.png", png(2))])
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("3.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(link)
    assert greys(opened(folder)) == [1, 2]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["secret.png", "shards"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "no label that can be read"),
        (b'{"class": [1]}', "give text or a whole number"),
        (b" " * 2**21, "a label is short"),
    ],
)
def test_a_label_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, content: bytes, words: str) -> None:
    write_tar(tmp_path / "0.tar", [("1.png", png(1)), ("1.json", content)])
    with pytest.raises(DataError, match=f"0.tar: 1.json.*{words}"):
        opened(tmp_path)


@pytest.mark.parametrize("struct", [False, True])
def test_rows_of_tables_with_their_classes(tmp_path: Path, struct: bool) -> None:
    def column(values: list[bytes | None]) -> object:
        return [{"bytes": value, "path": None} for value in values] if struct else values

    first = pa.table({"image": column([png(1), png(2), png(3)]), "label": [4, None, 5]})
    pq.write_table(first, tmp_path / "0.parquet", row_group_size=2)
    pq.write_table(pa.table({"image": column([png(4), b"broken", None]), "label": [5, 4, 4]}), tmp_path / "1.parquet")
    (tmp_path / "2.parquet").write_bytes(b"broken")
    pq.write_table(pa.table({"image": [1, 2]}), tmp_path / "3.parquet")
    images = opened(tmp_path)
    assert greys(images) == [1, 2, 3, 4]
    assert labels(images) == ["4", None, "5", "5"]
    assert list(images.names)[2:] == ["0.parquet/0000002", "1.parquet/0000000"]
    reasons = dict(images.skipped)
    assert "not an image" in reasons["1.parquet/0000001"]
    assert "no image in this row" in reasons["1.parquet/0000002"]
    assert "cannot be read as a .parquet file" in reasons["2.parquet"]
    assert reasons["3.parquet"] == "has other columns than the first shard"


def test_few_row_groups_stay_in_memory_and_any_order_is_right(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [png(i) for i in range(24)]}), tmp_path / "0.parquet", row_group_size=2)
    source = find_source(DataConfig(source=f"shards:{tmp_path}"))
    order = np.random.default_rng(0).permutation(24).tolist()
    decoded = source.decode(order, 2, "crop")
    assert [result.pixels[0, 0, 0] for result in decoded] == order  # type: ignore[union-attr]  # all are decoded
    assert len(source._kept) == 4  # type: ignore[attr-defined]  # of Tables


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no .tar or .parquet file"),
        ({"a.tar": b"", "b.parquet": b""}, "one kind"),
        ({"a.tar": b""}, "no image in its 1 .tar files"),
        ({"b.parquet": b"x"}, "no row in its 1 .parquet files; b.parquet: cannot be read"),
    ],
)
def test_folders_that_hold_no_shards_are_refused(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        opened(tmp_path)


def test_tables_without_images_and_a_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"caption": ["a"]}), tmp_path / "0.parquet")
    assert main(["data", f"shards:{tmp_path}"]) == 2
    assert "columns caption; one of images" in capsys.readouterr().err
    assert main(["data", f"shards:{tmp_path / '0.parquet'}"]) == 2
    assert "is no folder; give 'shards:'" in capsys.readouterr().err
    assert main(["data", str(tmp_path / "0.parquet")]) == 2
    assert "'shards:' and a folder" in capsys.readouterr().err


def test_a_changed_shard_is_another_cache(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [("1.png", png(1)), ("2.png", png(2))])
    assert greys(opened(tmp_path)) == [1, 2]
    write_tar(tmp_path / "0.tar", [("1.png", png(1)), ("2.png", png(2)), ("3.png", png(3))])
    assert greys(opened(tmp_path)) == [1, 2, 3]


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [("1.png", png(1)), ("2.png", png(2)), ("1.pyd", pickle.dumps(1)), ("1.pkl", b"x")])
    assert labels(opened(tmp_path)) == [None, None]
