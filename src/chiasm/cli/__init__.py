"""The command line: a file for each command, with HELP, parser(argv) and run(options).

Everything heavy is imported in `run`, so that --help is instant.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from jsonargparse import set_parsing_settings

from chiasm.cli._parser import Parser, join_lists

COMMANDS = (
    "fit",
    "mix",
    "adapt",
    "encode",
    "serve",
    "evaluate",
    "sweep",
    "report",
    "export",
    "push",
    "pull",
    "info",
    "data",
)
"""The files of this folder, in the order of --help: a new command is a file and a word here."""
STATUSES = (
    "exit status: 0 done; 2 refused or failed, in one line; 3 stopped early, saved, can go on; 130 stopped at once"
)


REMEDIES = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EFBIG: "write to a disk that takes larger files, or raise the limit: ulimit -f",
    errno.EROFS: "write to another folder",
    errno.EACCES: "choose what is yours to read and write, or change its permissions",
    errno.EPERM: "choose what is yours to read and write, or change its permissions",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EIO: "the disk or the network may be failing",
}
"""What to do about an error of the file system; about any other one, to check the path."""
MAX_TOLD = 1000
"""Characters of a message; of a longer one the middle is left out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0; 2 where chiasm itself or the file system refused something, which is printed in one line; 3 where it was
        stopped early and can go on from what it saved; 130 where the user stopped it at once. Any other exception is a
        mistake of this program and is raised.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold what the terminal has no letters for.
        sys.stdout.reconfigure(errors="backslashreplace")
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    try:
        modules = {name: import_module(f"{__name__}.{name}") for name in COMMANDS}
        argv = join_lists(argv, modules["fit"].LISTS) if argv[:1] == ["fit"] else argv
        description = "Split images into what they show and how; mix the two."
        parser = Parser(prog="chiasm", usage="chiasm COMMAND ...", description=description, epilog=STATUSES)
        version_line = f"chiasm {version('chiasm')}"
        parser.add_argument("--version", action="version", version=version_line, help="show the version and exit")
        commands = parser.add_subcommands(dest="command", title="commands", description="More: chiasm COMMAND --help")
        for name, module in modules.items():
            commands.add_subcommand(name, module.parser(argv), help=module.HELP)
        options = parser.instantiate(parser.parse_args(argv or ["--help"]))
        return modules[options.command].run(options[options.command]) or 0
    except KeyboardInterrupt:
        print("chiasm: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        print(f"chiasm: {_one_line(told)}", file=sys.stderr)
        return 2


def _one_line(told: str) -> str:
    """A message without breaks and what a terminal would obey, at most MAX_TOLD characters long."""
    told = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(told.split()))
    return told if len(told) <= MAX_TOLD else f"{told[: MAX_TOLD // 2 - 3]} ... {told[-MAX_TOLD // 2 + 3 :]}"


def _told(error: Exception) -> str | None:
    """What is wrong and the remedy, in one line; None for a mistake of this program."""
    if type(error).__module__.startswith("chiasm."):
        return str(error)
    if not isinstance(error, OSError) or (error.filename is None and error.errno not in REMEDIES):
        return None
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{where}{error.strerror}; {REMEDIES.get(error.errno or 0, 'check the path')}."
