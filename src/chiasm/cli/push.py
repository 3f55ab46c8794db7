"""chiasm push: put a model on the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser

HELP = "put a model on the Hugging Face Hub"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm push MODEL USER/NAME [--public]",
        description="Upload a model, its card and the figure of the card, which shows images of your data. "
        "A new repository is private.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument("repo", metavar="USER/NAME", help="the repository on the Hub")
    parser.add_argument("--public", action="store_true", help="let everybody see a new repository")
    return parser


def run(options: Namespace) -> None:
    """Upload, and print where to."""
    from chiasm.hub import push

    print(push(options.model, options.repo, public=options.public))
