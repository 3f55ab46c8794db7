"""chiasm mix: put the A of one image together with the B of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from chiasm.config import ConfigError

HELP = "put the A of one image together with the B of another"


def parser(argv: Sequence[str]) -> ArgumentParser:
    """What may be given."""
    parser = ArgumentParser(description="Put the A of one image together with the B of another.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument(
        "images", type=Path, nargs="*", metavar="A.jpg B.jpg", help="B from the last, A from the others"
    )
    parser.add_argument("--a", type=Path, nargs="+", default=[], help="images for the rows of a whole matrix")
    parser.add_argument("--b", type=Path, nargs="+", default=[], help="images for its columns")
    parser.add_argument("-o", "--output", type=Path, default=Path("mix.png"), help="the image to write")
    return parser


def run(options: Namespace) -> None:
    """Write the mixed image, or the matrix of all mixes."""
    images = options.images
    if (len(images) < 2) == (not options.a or not options.b):
        raise ConfigError("mix: give two images (A.jpg B.jpg), or --a A1.jpg A2.jpg ... --b B1.jpg B2.jpg ...")
    from chiasm.mixing import Mixer

    mixer = Mixer.load(options.model)
    mixed = mixer.mix(images[:-1], images[-1]) if images else mixer.sheet(options.a, options.b)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    mixed.save(options.output)
    print(options.output)
