"""Letters and digits of fonts: the class is the typeface, the content the character; every mix has its truth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from chiasm.config import CHARACTERS, Fit
from chiasm.data.decode import Decoded, Refused, decode_or_refuse
from chiasm.data.files import FileState, find_files, fingerprint_files
from chiasm.data.image_set import DataError
from chiasm.data.sources.source import Listing, natural_key, number_labels

ENDINGS = frozenset([".ttf", ".otf"])
VERSION = 1
"""Raise it whenever the same font would give other drawings."""

CANVAS_PX = 256
LARGEST = 0.82
"""Share of the side that the larger extent of a typeface's largest character takes."""

MEASURED_PT = 200


class _Typeface(NamedTuple):
    name: str
    path: Path
    characters: tuple[str, ...]


class Fonts:
    """Every .ttf and .otf file of a folder and below, named by its path without the ending.

    All characters of a typeface are drawn at one size, each in the centre, black on white. A character that a font
    lacks is left out; so is a font that cannot be read, and the second of two of the same name.

    Args:
        root: the folder.
        characters: what is drawn of each font.
    """

    chunk_size = 72

    def __init__(self, root: Path, characters: str) -> None:
        self.root = root
        self.characters = characters

    @cached_property
    def _files(self) -> list[FileState]:
        return find_files(self.root, ENDINGS).images

    @cached_property
    def _found(self) -> tuple[list[_Typeface], list[tuple[str, str]]]:
        """The typefaces, and what of them cannot be drawn and why."""
        if not self._files:
            raise DataError(f"{self.root}: no .ttf or .otf file in this folder or below; give a folder of fonts.")
        typefaces: dict[str, _Typeface] = {}
        skipped = []
        for file, _, _ in sorted(self._files, key=lambda state: natural_key(state[0])):
            name = file.rpartition(".")[0]
            drawn = _characters(self.root / file, self.characters)
            if name in typefaces:
                skipped.append((file, f"named like {typefaces[name].path.name}, so that it is left out"))
            elif isinstance(drawn, Refused):
                skipped.append((file, drawn.reason))
            else:
                typefaces[name] = _Typeface(name, self.root / file, drawn)
                lacking = [c for c in self.characters if c not in drawn]
                skipped += [(file, f"lacks {' '.join(lacking)}")] if lacking else []
        if not typefaces:
            told = "; ".join(f"{file}: {reason}" for file, reason in skipped[:3])
            raise DataError(f"{self.root}: none of its {len(self._files)} fonts can be used ({told}); give others.")
        return list(typefaces.values()), skipped

    @cached_property
    def _places(self) -> list[tuple[_Typeface, str]]:
        return [(typeface, character) for typeface in self._found[0] for character in typeface.characters]

    def fingerprint(self) -> str:
        """Path, size and time of every font, and the characters."""
        return f"fonts {VERSION} {self.characters} {fingerprint_files(self.root, self._files)}"

    def listing(self) -> Listing:
        """Every character of every font, typeface by typeface."""
        places = self._places
        classes, class_names = number_labels([typeface.name for typeface, _ in places])
        contents, values = number_labels([character for _, character in places], tuple(self.characters))
        return Listing(
            names=tuple(f"{typeface.name}/{character}" for typeface, character in places),
            classes=classes,
            class_names=class_names,
            contents=contents[:, None],
            content_names=("character",),
            content_values=(values,),
            skipped=tuple(self._found[1]),
        )

    def decode(self, indices: Sequence[int], side_px: int, fit: Fit) -> list[Decoded | Refused]:
        """Draws them."""
        fonts: dict[str, ImageFont.FreeTypeFont | Refused] = {}
        results: list[Decoded | Refused] = []
        for typeface, character in (self._places[i] for i in indices):
            if typeface.name not in fonts:
                fonts[typeface.name] = _fitting(typeface.path, typeface.characters)
            font = fonts[typeface.name]
            if isinstance(font, Refused):
                results.append(font)
            else:
                results.append(decode_or_refuse(partial(_draw, font, character), side_px, fit))
        return results


def draw_character(font: str | Path, character: str) -> Image.Image:
    """One character of a font, drawn as the fonts of data.source are if these have the usual characters.

    Args:
        font: a .ttf or .otf file.
        character: a single one.

    Raises:
        DataError: if the font cannot be read or lacks the character.
    """
    usable = _characters(Path(font), CHARACTERS + character)
    if isinstance(usable, Refused):
        raise DataError(f"{font}: {usable.reason}; give a .ttf or .otf file.")
    if character not in usable:
        raise DataError(f"{font}: lacks {character!r}; give another character or another font.")
    fitting = _fitting(Path(font), usable)
    if isinstance(fitting, Refused):
        raise DataError(f"{font}: {fitting.reason}; give another font.")
    return _draw(fitting, character)


def _characters(path: Path, wanted: str) -> tuple[str, ...] | Refused:
    """Those of the wanted characters that a font has."""
    try:
        with path.open("rb") as stream, TTFont(stream, lazy=True) as file:
            glyphs = file.getBestCmap() or {}
        ImageFont.truetype(path, MEASURED_PT)
    # fontTools and FreeType raise OSError, TTLibError, struct.error, AssertionError and more on broken files.
    except Exception as error:
        return Refused(f"cannot be read ({type(error).__name__}: {' '.join(str(error).split())})")
    characters = tuple(c for c in dict.fromkeys(wanted) if ord(c) in glyphs)
    if not characters:
        return Refused("has none of the characters")
    if len(characters) > 1 and len({glyphs[ord(c)] for c in characters}) == 1:
        return Refused("draws the same for every character")
    return characters


def _fitting(path: Path, characters: Sequence[str]) -> ImageFont.FreeTypeFont | Refused:
    """A font at the size at which its largest character takes LARGEST of the canvas."""
    try:
        boxes = [ImageFont.truetype(path, MEASURED_PT).getbbox(c) for c in characters]
        extent = max(max(right - left, bottom - top) for left, top, right, bottom in boxes)
        if extent <= 0:
            return Refused("draws nothing")
        return ImageFont.truetype(path, max(1.0, MEASURED_PT * LARGEST * CANVAS_PX / extent))
    except Exception as error:  # as in _characters
        return Refused(f"cannot be drawn ({type(error).__name__}: {error})")


def _draw(font: ImageFont.FreeTypeFont, character: str) -> Image.Image:
    """A character in the centre of the canvas, black on white."""
    left, top, right, bottom = font.getbbox(character)
    if right <= left or bottom <= top:
        raise ValueError("nothing is drawn")
    image = Image.new("L", (CANVAS_PX, CANVAS_PX), 255)
    place = ((CANVAS_PX - left - right) / 2, (CANVAS_PX - top - bottom) / 2)
    ImageDraw.Draw(image).text(place, character, fill=0, font=font)
    return image
