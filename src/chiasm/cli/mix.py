"""chiasm mix: put the A of one image together with the B of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser, output_file
from chiasm.config import ConfigError

HELP = "put the A of one image together with the B of another"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm mix MODEL A.jpg B.jpg [-o FILE]\n       chiasm mix MODEL --a A1.jpg ... --b B1.jpg ... [-o FILE]",
        description="Put the A of one image together with the B of another. In the place of an image for A, @NAME is a "
        "person of chiasm adapt.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument("images", type=str, nargs="*", metavar="A.jpg B.jpg", help="B from the last, A from the others")
    parser.add_argument(
        "--a", type=str, nargs="+", default=[], metavar="A.jpg", help="images for the rows of a whole matrix"
    )
    parser.add_argument("--b", type=str, nargs="+", default=[], metavar="B.jpg", help="images for its columns")
    parser.add_argument("-o", "--output", type=Path, default=Path("mix.png"), metavar="FILE", help="the image to write")
    return parser


def run(options: Namespace) -> None:
    """Write the mixed image, or the matrix of all mixes."""
    images, matrix = options.images, bool(options.a and options.b)
    ways = "give two images (A.jpg B.jpg), or --a A1.jpg A2.jpg ... --b B1.jpg B2.jpg ..."
    if images and (options.a or options.b):
        raise ConfigError(f"mix: got images both with and without --a and --b; {ways}")
    if len(images) < 2 and not matrix:
        got = (
            f"one image alone, {images[0]}" if images else "--a or --b alone" if options.a or options.b else "no image"
        )
        raise ConfigError(f"mix: got {got}; {ways}")
    output = output_file(options.output, ".png", ".jpg", ".jpeg")
    from chiasm.data import save_image
    from chiasm.mixing import Mixer

    mixer = Mixer.load(options.model)
    mixed = mixer.mix(images[:-1], images[-1]) if images else mixer.sheet(options.a, options.b)
    save_image(mixed, output)
    print(output)
