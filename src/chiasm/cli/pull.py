"""chiasm pull: get a model from the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser

HELP = "get a model from the Hugging Face Hub"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm pull USER/NAME [-o FOLDER]",
        description="Download a model and its card. Nothing else of the repository is read, and nothing is unpickled.",
    )
    parser.add_argument("repo", metavar="USER/NAME", help="the repository on the Hub")
    parser.add_argument(
        "-o", "--output", type=Path | None, default=None, metavar="FOLDER", help="a new folder; by default NAME"
    )
    return parser


def run(options: Namespace) -> None:
    """Download, and print where to."""
    from chiasm.hub import pull

    folder = options.output or Path(options.repo.rpartition("/")[2])
    pull(options.repo, folder)
    print(folder)
