"""chiasm info: what a trained model is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser

HELP = "what a trained model is"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(usage="chiasm info MODEL", description="What a trained model is: codes, networks, sizes.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    return parser


def run(options: Namespace) -> None:
    """Print what the model is."""
    from chiasm.checkpoint import describe_model, load_model, model_folder
    from chiasm.people import SIGN, people_of

    print(describe_model(load_model(options.model)))
    if people := people_of(model_folder(options.model)):
        print(f"people     {', '.join(SIGN + name for name in people)}")
