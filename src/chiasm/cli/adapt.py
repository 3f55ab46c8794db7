"""chiasm adapt: teach a model somebody new from a few images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser
from chiasm.config import ConfigError

HELP = "teach a model somebody new from a few images"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm adapt MODEL PHOTOS... [--name NAME] [-o MODEL2]",
        description="Teach a model a person, an object or a typeface from one to twenty images, in less than a minute; "
        "then it is @NAME wherever chiasm mix takes an image for A. No weight changes: all else is drawn as before.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument("photos", type=str, nargs="+", metavar="PHOTOS", help="a folder of images, or images")
    parser.add_argument("--name", type=str | None, default=None, help="by default that of the folder")
    parser.add_argument(
        "-o", "--output", type=Path | None, default=None, metavar="MODEL2",
        help="a new folder for a copy of the model with the person; by default MODEL gets it",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace the person of that name")
    return parser


def run(options: Namespace) -> None:
    """Adapt, keep the person, and say how to use them."""
    images, name, output = _images(options.photos), _name(options), options.output
    from chiasm.files import folder_written_whole, is_free

    if output is not None and not is_free(output):
        raise ConfigError(
            f"--output: {output} exists; give the name of a new folder, or leave it out for {options.model}."
        )
    from chiasm.checkpoint import model_folder
    from chiasm.mixing import Mixer
    from chiasm.people import SIGN, copy_model, require_new

    mixer, folder = Mixer.load(options.model), model_folder(options.model)
    if not options.overwrite:
        require_new(folder, name)
    if output is None:
        mixer.adapt(images, name, folder=folder, overwrite=True)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        with folder_written_whole(output, new=True) as place:
            copy_model(folder, place)
            mixer.adapt(images, name, folder=place, overwrite=True)
    print(f"{len(images)} images; chiasm mix {output or options.model} {SIGN}{name} IMAGE.jpg")


def _name(options: Namespace) -> str:
    """The name of the person, given or that of the folder of photographs."""
    if options.name is not None:
        return options.name
    if len(options.photos) == 1 and Path(options.photos[0]).is_dir():
        return Path(options.photos[0]).resolve().name
    raise ConfigError("--name: not given; give a name for the person on these images.")


def _images(photos: Sequence[str]) -> list[Path]:
    """The image files given, and those in the folders given, of which it says what was left out.

    Raises:
        ConfigError: if a folder holds none.
    """
    images: list[Path] = []
    for path in map(Path, photos):
        found, left_out = _in_folder(path) if path.is_dir() else ([path], "")
        if not found:
            but = f" but {left_out}" if left_out else ""
            raise ConfigError(
                f"adapt: {path} holds no image to learn from{but}; give a folder of .jpg, .png or other image files."
            )
        if left_out:
            print(f"{path}: left out {left_out}")
        images += found
    return images


def _in_folder(folder: Path) -> tuple[list[Path], str]:
    """The images of a folder but those that chiasm wrote, and what else is there, in words."""
    from chiasm.data.files import find_images, tell_ignored
    from chiasm.data.written import is_written

    found = find_images(folder)
    paths = [folder / name for name, _, _ in found.images]
    images = [path for path in paths if not is_written(path)]
    num_written = len(paths) - len(images)
    written = f"{num_written} image{'s' if num_written > 1 else ''} that chiasm wrote" if num_written else ""
    return images, ", ".join(filter(None, (tell_ignored(found.ignored), written)))
