"""What all commands share: a parser that says every slip in one line, and the check of a file to write."""

from __future__ import annotations

import re
from argparse import SUPPRESS, Action
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from chiasm.config import ConfigError

WANTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list such as 8 16, or of names",
}
"""What to give for a type, by the name that jsonargparse's messages have for it."""


class Formatter(DefaultHelpFormatter):
    """Help without the types, which the defaults show, and without defaults that are nothing."""

    def _get_help_string(self, action: Action) -> str:
        told = action.nargs != 0 and action.default not in (None, SUPPRESS, [], ())
        return (action.help or "") + (" (default: %(default)s)" if told else "")


class Parser(ArgumentParser):
    """No flag may be abbreviated: what is chosen by its full name, such as the preset, would be lost."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Formatter, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse the command line."""
        slip = " ".join(message.split()) + self._meant(message)
        raise ConfigError(_wrong_value(message) or f"{slip} (chiasm --help, chiasm COMMAND --help)") from ex

    def _meant(self, message: str) -> str:
        """The flag that was presumably meant by one that does not exist: of another section, or of a like spelling."""
        found = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        if found is None:
            return ""
        flag, known = found[1], list(self._option_string_actions)
        elsewhere = [other for other in known if other.endswith("." + flag.rpartition(".")[2])]
        near = elsewhere or get_close_matches(flag, known, n=1)
        return f"; did you mean {near[0]}?" if near else ""


def _wrong_value(message: str) -> str | None:
    """Which value of which flag is wrong, and what to give; None where that is not what the parser says."""
    found = re.match(r'Parser key "([^"]+)"[^:]*:(.*?)(?:Got|Given) value: (.*)', message, re.DOTALL)
    if found is None:
        return None
    key, expected, value = found.groups()
    choices = re.search(r"Literal\[(.*?)\]", expected)
    wanted = [f"one of {choices[1]}"] if choices else [WANTED[name] for name in WANTED if f"'{name}'" in expected]
    if not wanted:
        return None
    flag = key if "." in key else key.replace("_", "-")
    return f"--{flag}: got {' '.join(value.split())!r}; give {wanted[0]}."


def join_lists(argv: Sequence[str], flags: Collection[str]) -> list[str]:
    """The command line with the words after some flags as one list: `--data.a_ignores rotate flip`.

    Args:
        argv: the words.
        flags: those that take a list; a word with a bracket is a list already.
    """
    words: list[str] = []
    taken: list[str] | None = None
    for word in [*argv, "--"]:
        if taken is not None and word.startswith("--"):
            words += [taken[0]] if len(taken) == 1 and taken[0].startswith("[") else [f"[{', '.join(taken)}]"]
            taken = None
        if taken is None:
            words.append(word)
            taken = [] if word in flags else None
        else:
            taken.append(word)
    return words[:-1]


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
