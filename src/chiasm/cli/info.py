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
    from chiasm.people import SIGN, digest_of, people_of

    model, folder = load_model(options.model), model_folder(options.model)
    print(describe_model(model))
    usable = people_of(folder, digest_of(model))
    people = [SIGN + name + ("" if name in usable else " (before it was trained on)") for name in people_of(folder)]
    if people:
        print(f"people     {', '.join(people)}")
