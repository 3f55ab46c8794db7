"""chiasm data: what a collection of images holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser, output_file
from chiasm.config import DataConfig

HELP = "what a collection of images holds"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm data [DATA] [options]",
        description="What a collection of images holds, and what of it cannot be used.",
    )
    parser.add_argument("source", nargs="?", default="avatars", metavar="DATA", help="as for fit")
    parser.add_argument("--side-px", type=int, default=64, metavar="N", help="height and width to look at")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("contact_sheet.png"), metavar="FILE", help="the contact sheet"
    )
    return parser


def run(options: Namespace) -> None:
    """Print what is there, and write a contact sheet."""
    output = output_file(options.output, ".png", ".jpg", ".jpeg")
    import numpy as np

    from chiasm.data import contact_sheet, describe, open_data, save_image

    images = open_data(DataConfig(source=options.source), options.side_px)
    print(describe(images))
    save_image(contact_sheet(images, np.arange(len(images)), 12), output)
    print(f"contact sheet: {output}")
