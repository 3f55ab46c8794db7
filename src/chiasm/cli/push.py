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
        description="Upload a model, its card, the figure of the card, which shows images of your data, and "
        "the people that it was adapted to, by name. A new repository is private.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument("repo", metavar="USER/NAME", help="the repository on the Hub")
    parser.add_argument("--public", action="store_true", help="let everybody see a new repository")
    return parser


def run(options: Namespace) -> None:
    """Upload, and print where to."""
    from chiasm.hub import push
    from chiasm.people import SIGN

    page, people = push(options.model, options.repo, public=options.public)
    print(page)
    if people:
        print(f"with {', '.join(f'{SIGN}{name}' for name in people)}")
