"""The command line: a file for each command, with HELP, parser(argv) and run(options).

Everything heavy is imported in `run`, so that --help is instant.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from jsonargparse import ArgumentParser, set_parsing_settings

COMMANDS = ("fit", "mix", "evaluate", "sweep", "report", "info", "data")
"""The files of this folder, in the order of --help: a new command is a file and a word here."""
STATUSES = (
    "exit status: 0 done; 2 refused or failed, in one line; 3 stopped early, saved, can go on; 130 stopped at once"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0; 2 where chiasm itself refused something, which is printed in one line; 3 where it was stopped early and can
        go on from what it saved; 130 where the user stopped it at once. Any other exception is a mistake of this
        program and is raised.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    try:
        modules = {name: import_module(f"{__name__}.{name}") for name in COMMANDS}
        description = "Split images into what they show and how; mix the two."
        parser = ArgumentParser(prog="chiasm", description=description, epilog=STATUSES)
        commands = parser.add_subcommands(dest="command")
        for name, module in modules.items():
            commands.add_subcommand(name, module.parser(argv), help=module.HELP)
        options = parser.instantiate(parser.parse_args(argv))
        return modules[options.command].run(options[options.command]) or 0
    except KeyboardInterrupt:
        print("chiasm: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if not type(error).__module__.startswith("chiasm."):
            raise
        print(f"chiasm: {error}", file=sys.stderr)
        return 2
