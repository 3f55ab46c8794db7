import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from chiasm.files import folder_written_whole, is_free, read_json, remove_partials, write_atomically


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture(autouse=True)
def _umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", "naïve\r\nline\n")
    assert (tmp_path / "a.txt").read_bytes() == "naïve\r\nline\n".encode()
    assert mode(tmp_path / "a.txt") == 0o640


def test_names_of_another_encoding_are_written_as_escapes_that_json_reads(tmp_path: Path) -> None:
    name = os.fsdecode("M\xfcller".encode("latin-1"))
    write_atomically(tmp_path / "a.json", json.dumps({"name": name}, ensure_ascii=False))
    assert read_json(tmp_path / "a.json") == {"name": name}


def test_a_writer_s_own_permissions_do_not_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_atomically(path, lambda partial: save_file({"x": torch.zeros(2)}, partial))
    assert mode(path) == 0o640
    path.chmod(0o600)
    write_atomically(path, "again")
    assert mode(path) == 0o640


def test_until_it_is_whole_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(partial: Path) -> None:
        partial.write_text("ne")
        assert path.read_text() == "old"
        assert partial.parent == path.parent

    write_atomically(path, write)
    assert path.read_text() == "ne"


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(partial: Path) -> None:
        partial.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, write)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((os.fstat(file).st_size, path.exists())))
    write_atomically(path, "four")
    assert synced == [(4, False)]


def test_a_folder_appears_whole_and_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    (place / "old").touch()
    with folder_written_whole(place) as partial:
        write_atomically(partial / "a.txt", "new")
        assert [path.name for path in place.iterdir()] == ["old"]
    assert [path.name for path in place.iterdir()] == ["a.txt"]
    assert list(tmp_path.iterdir()) == [place]


def test_a_folder_that_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    place.mkdir()

    def write() -> None:
        with folder_written_whole(place) as partial:
            (partial / "a.txt").touch()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert list(tmp_path.rglob("*")) == [place]


def test_a_folder_and_its_entry_are_on_the_disk_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "folder"
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((os.fstat(file).st_ino, place.exists())))
    with folder_written_whole(place) as partial:
        made = partial.stat().st_ino
    assert synced == [(made, False), (tmp_path.stat().st_ino, True)]


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = {"a.txt", ".a.txt.mine", ".b.txt." + 32 * "0"}
    for name in kept | {".a.txt." + 32 * "f"}:
        (tmp_path / name).touch()
    (tmp_path / f".c.{32 * '1'}").mkdir()
    remove_partials(tmp_path, "a.txt")
    remove_partials(tmp_path, "[c-d]")
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a": ', b"\xff\xfe", b""])
def test_what_is_no_json_is_one_kind_of_error_that_names_the_file(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"some\.json is no JSON that can be used"):
        read_json(path)
    path.write_text('{"a": [1, 2]}')
    assert read_json(path) == {"a": [1, 2]}


def test_a_new_folder_takes_no_place_that_was_filled_meanwhile(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    assert is_free(place)
    assert is_free(tmp_path / "nosuch")
    with pytest.raises(OSError, match="not empty"), folder_written_whole(place, new=True):
        (place / "mine").touch()
    assert not is_free(place)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "mine"]


def test_a_link_to_an_empty_folder_leads_there_and_where_one_works_is_not_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far")
    with folder_written_whole(tmp_path / "link", new=True) as partial:
        (partial / "a").touch()
    assert (tmp_path / "far" / "a").is_file()
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert not is_free(Path("."))
