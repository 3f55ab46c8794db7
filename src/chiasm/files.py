"""The one way to write a file that others may read at any time."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4


def write_atomically(path: Path, content: str | Callable[[Path], object]) -> None:
    """Write a whole file, or leave what was there: nobody ever reads half of one, not even after a power failure.

    The file has the usual permissions of a new one, whichever the writer gives it.

    Args:
        path: the file, in a folder that exists.
        content: the text, in UTF-8; or a function that writes it under the path that it is given.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        partial.touch()
        permissions = partial.stat().st_mode
        if isinstance(content, str):
            partial.write_text(content, encoding="utf-8", newline="")
        else:
            content(partial)
        partial.chmod(permissions)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
