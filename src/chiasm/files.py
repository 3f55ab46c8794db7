"""The ways to write a file or a folder that others may read at any time, and to read JSON that others may have made."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON in UTF-8, or lists in lists without end; the message names it.
    """
    return parse_json(path.read_bytes(), str(path))


def parse_json(content: bytes, name: str) -> Any:
    """What some bytes of JSON say; likewise."""
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON that can be used ({error})") from error


def text_of(name: str) -> str:
    """A name that may be no text, as files' names need not be, in letters that every file holds."""
    return name.encode("utf-8", "backslashreplace").decode()


def write_atomically(path: Path, content: str | Callable[[Path], object]) -> None:
    """Write a whole file, or leave what was there: nobody ever reads half of one, not even after a power failure.

    The file has the usual permissions of a new one, whichever the writer gives it.

    Args:
        path: the file, in a folder that exists.
        content: the text, in UTF-8, what has no place in it, such as a byte of a file name of another encoding, as an
            escape (which JSON reads as what it was); or a function that writes it under the path that it is given.
    """
    partial = _partial(path)
    try:
        partial.touch()
        permissions = partial.stat().st_mode
        if isinstance(content, str):
            partial.write_text(content, encoding="utf-8", errors="backslashreplace", newline="")
        else:
            content(partial)
        partial.chmod(permissions)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path, *, new: bool = False) -> Iterator[Path]:
    """A folder that has its name only once all its files are written, and is on the disk when this ends.

    Args:
        path: the folder, in one that exists; what is there goes when the new one is whole.
        new: whether nothing but an empty folder may be there by then, see is_free.

    Yields:
        Where to write the files, each by write_atomically.

    Raises:
        OSError: if it is to be new and has been filled meanwhile.
    """
    path = path.resolve()
    partial = _partial(path)
    partial.mkdir()
    try:
        yield partial
        _sync_folder(partial)
        if path.exists():
            (Path.rmdir if new else shutil.rmtree)(path)
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_free(path: Path) -> bool:
    """Whether a new folder can have a path: nothing is there, or an empty folder in which nobody works."""
    empty = path.is_dir() and not any(path.iterdir()) and path.resolve() != Path.cwd()
    return empty or not path.exists()


def remove_partials(folder: Path, pattern: str) -> None:
    """Remove what killed writers have left beside paths in a folder.

    Args:
        folder: nobody else may be writing these paths.
        pattern: of the paths, as for glob.
    """
    parents, slash, name = pattern.rpartition("/")
    for partial in folder.glob(f"{parents}{slash}.{name}.{'[0-9a-f]' * 32}"):
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink()


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid4().hex}")


def _sync_folder(path: Path) -> None:
    if os.name == "nt":  # which opens no folders
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
