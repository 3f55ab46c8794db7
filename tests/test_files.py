import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from chiasm.files import write_atomically


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
