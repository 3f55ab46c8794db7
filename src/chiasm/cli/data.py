"""chiasm data: what a collection of images holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from jsonargparse import Namespace

from chiasm.cli._parser import Parser, output_file
from chiasm.config import Augmentation, DataConfig, StrengthConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

NUM_CHANGED = 12
COLUMNS, MAX_ROWS, MAX_PX = 12, 80, 100_000_000
"""Of the contact sheet: images in a row, and how much of a large collection can be looked at."""
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
    parser.add_argument(
        "--augmentations", action="store_true", help="show instead what --data.a_ignores and b_ignores may name"
    )
    return parser


def run(options: Namespace) -> None:
    """Print what is there, and write a contact sheet."""
    output = output_file(options.output, ".png", ".jpg", ".jpeg")
    import numpy as np

    from chiasm.data import contact_sheet, describe, open_data, save_image, some_rows

    images = open_data(DataConfig(source=options.source), options.side_px)
    print(describe(images))
    if options.augmentations:
        names, sheet = _changed(images.gather(np.random.default_rng(0).permutation(len(images))[:NUM_CHANGED]))
        print(f"rows of the contact sheet: as they are, {', '.join(names)}, each as strong as --data.strength has it")
    else:
        shown = some_rows(images, COLUMNS, max(1, min(MAX_ROWS, MAX_PX // (COLUMNS * options.side_px**2))))
        sheet = contact_sheet(images, shown, COLUMNS)
        if len(shown) < len(images):
            print(f"on the contact sheet: {len(shown):,} of {len(images):,} images")
    save_image(sheet, output)
    print(f"contact sheet: {output}")


def _changed(images: NDArray[np.uint8]) -> tuple[tuple[str, ...], Image.Image]:
    """The changes by name, and a sheet: images as they are in its first row, each change in a row of its own."""
    import torch

    from chiasm.augment import change
    from chiasm.inference import to_bytes, to_unit
    from chiasm.plots import tile

    torch.manual_seed(0)
    names = get_args(Augmentation)
    x = to_unit(torch.from_numpy(images))
    changed = [to_bytes(change(x, (name,), StrengthConfig())) for name in names]
    return names, tile([list(row) for row in (images, *changed)])
