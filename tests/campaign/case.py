"""One bad input: how it is made, what must come of it, what came of it."""

from __future__ import annotations

import io
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chiasm.cli import main

SECONDS = 60
MAX_MESSAGE = 1500
FINE = ("works", "refused")

Wanted = Literal["works", "refused", "either"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bad input.

    Attributes:
        family: the kind of input.
        name: what is bad.
        make: writes it into the folder to work in, given that folder and a finished run, and returns the command line.
        wanted: what must come of it.
        words: that the refusal must hold, such as the file or the key.
        printed: that the output must hold where it works, such as the number of files left out; "|" parts alternatives.
        max_file: bytes that a file can grow to, as on a full disk.
    """

    family: str
    name: str
    make: Callable[[Path, Path], list[str]]
    wanted: Wanted = "either"
    words: tuple[str, ...] = ()
    printed: tuple[str, ...] = ()
    max_file: int | None = None


class Hung(BaseException):
    """Nothing came of it in SECONDS; no handler of the program's catches this."""


def attempt(case: Case, folder: Path, run: Path) -> tuple[str, str]:
    """What comes of a case in an empty folder, and what was said of it.

    Returns:
        "works", "refused", "traceback", "hung", "wrong" (it works where it must not, or does not where it must),
        "unclear" (the refusal is no one line that names what is bad); and the message.
    """
    folder.mkdir()
    os.chdir(folder)
    arguments = case.make(folder, run)
    # As a terminal or a pipe: what UTF-8 cannot hold is an error.
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err), watched(), full_disk(case.max_file):
            status = main(arguments)
    except Hung:
        return "hung", err.getvalue()[-MAX_MESSAGE:]
    except BaseException as error:
        return "traceback", f"{type(error).__name__}: {error}"[:MAX_MESSAGE]
    finally:
        os.chdir(folder.parent)
        shutil.rmtree(folder, ignore_errors=True)
    out.flush()
    printed = out.buffer.getvalue().decode() + err.getvalue()  # type: ignore[attr-defined]
    if status != 2:
        lacking = [words for words in case.printed if not any(word in printed for word in words.split("|"))]
        fine = case.wanted != "refused" and status in (0, 3) and not lacking
        return (
            ("works", "") if fine else ("wrong", f"exit status {status}, lacking {lacking}: {printed[-MAX_MESSAGE:]}")
        )
    line = err.getvalue().rstrip("\n").splitlines()[-1] if err.getvalue().strip() else ""
    if case.wanted == "works":
        return "wrong", line[:MAX_MESSAGE]
    clear = line.startswith("chiasm: ") and len(line) <= MAX_MESSAGE and "Traceback" not in printed
    # A number in the middle of a bar's line is no line of its own.
    clear &= all(word in line for word in case.words)
    return ("refused" if clear else "unclear"), line[:MAX_MESSAGE]


@contextmanager
def watched() -> Iterator[None]:
    """Raise Hung after SECONDS."""

    def give_up(*_: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def full_disk(max_file: int | None) -> Iterator[None]:
    """Let no file grow beyond a size."""
    if max_file is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    on_signal = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_file, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, on_signal)
