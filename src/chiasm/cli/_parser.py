"""What all commands share: a parser that says every slip in one line, and the check of a file to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from chiasm.config import ConfigError


class Parser(ArgumentParser):
    """No flag may be abbreviated: what is chosen by its full name, such as the preset, would be lost."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse the command line."""
        raise ConfigError(f"{' '.join(message.split())} (chiasm --help, chiasm COMMAND --help)") from ex


def output_file(path: Path, *endings: str) -> Path:
    """A file that can be written, in a folder that is made where it is missing.

    Args:
        path: as given by the user.
        endings: that the name may have, such as ".png".

    Raises:
        ConfigError: for another ending, or where there is something else than a file.
        OSError: if its folder cannot be made.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f"--output: {path} is no file; give a name in a folder, such as {path / 'new'}{endings[0]}.")
    if path.suffix.lower() not in endings:
        raise ConfigError(f"--output: got {str(path)!r}; give a name that ends in {' or '.join(endings)}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def runs_folder(path: Path) -> Path:
    """The folder of all runs, which need not exist yet.

    Raises:
        ConfigError: if it is something else.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"--runs: {path} is no folder; give the folder to put runs into.")
    return path
