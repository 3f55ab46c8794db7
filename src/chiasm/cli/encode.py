"""chiasm encode: the codes of any number of images as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser, output_file

HELP = "the codes of any number of images as a table"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm encode MODEL DATA [-o FILE] [--on ray] [--overwrite]",
        description="Write the codes of all images as a Parquet file. Killed, the same command goes on.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument("source", metavar="DATA", help="as for fit")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("codes.parquet"), metavar="FILE", help="the file to write"
    )
    parser.add_argument(
        "--on", choices=["here", "ray"], default="here", help="'ray': on the machines of a Ray cluster (docs/scale.md)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write an earlier file again, begin again over parts of other codes"
    )
    return parser


def run(options: Namespace) -> None:
    """Write the codes, and say what could not be used."""
    output = output_file(options.output, ".parquet")
    from chiasm.encoding import encode_source

    encoded = encode_source(options.model, options.source, output, overwrite=options.overwrite, on=options.on)
    print(f"{output}: codes of {encoded.num:,} images")
    if encoded.num_failed:
        print(f"could not be used: {encoded.num_failed:,}, see {encoded.failures}")
