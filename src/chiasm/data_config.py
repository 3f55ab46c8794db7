"""What is learned from: the settings of the images, their labels, and the changes that a code must ignore."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from chiasm.checks import absolute_source, check_numbers, number, require

Fit = Literal["crop", "close", "pad"]
"""How an image becomes square: by cutting out its centre, the middle of that, or by repeating its edge."""

Augmentation = Literal["rotate", "flip", "shift", "zoom", "colour", "light", "blur"]
"""Changes of an image that leave the thing shown as it is; each is a function of chiasm.augment."""

MAX_SEED = 2**63 - 1

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass(frozen=True, kw_only=True)
class AvatarsConfig:
    """The embedded default data: people rendered offline, whose every recombination is known."""

    num_people: int = number(240, 2, 100_000)
    """Number of people (classes); each is a seed that fixes hair, skin, clothes and glasses."""
    num_expressions: int = number(12, 2, 12)
    """Number of facial expressions, 2 to 12."""
    tilts_deg: tuple[int, ...] = number((-20, 0, 20), -90, 90)
    """Angles of the image in degrees, clockwise."""
    mirror: bool = True
    """Whether everybody is shown facing either side."""

    def __post_init__(self) -> None:
        check_numbers("data.avatars", self)
        different = len(set(self.tilts_deg)) == len(self.tilts_deg) > 0
        require(different, "data.avatars.tilts_deg", self.tilts_deg, "give different angles from -90 to 90")


@dataclass(frozen=True, kw_only=True)
class StrengthConfig:
    """How far each change of data.a_ignores, b_ignores and vary goes at most; each image gets a random one."""

    rotate: float = number(60.0, 0, 180)
    """Largest turn, in degrees, either way: at least twice as far as the images themselves differ."""
    flip: float = number(0.5, 0, 1)
    """Share of the images that are mirrored left to right."""
    shift: float = number(0.1, 0, 0.5)
    """Largest shift across and down, as a fraction of the side."""
    zoom: float = number(0.25, 0, 3)
    """Larger or smaller by at most a factor of 1 + this."""
    colour: float = number(1.0, 0, 1)
    """Largest turn of the hues, in half circles, and largest loss of colour."""
    light: float = number(0.3, 0, 1)
    """Largest change of contrast, as a factor of 1 + this, and of brightness on [-1, 1]."""
    blur: float = number(0.03, 0, 0.5)
    """Largest standard deviation of the Gaussian window, as a fraction of the side."""

    def __post_init__(self) -> None:
        check_numbers("data.strength", self)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images come from and how they are split."""

    source: str = "avatars"
    """'avatars', a folder of images, or any other source in README.md; paths become absolute."""
    fit: Fit = "crop"
    """How an image becomes square: 'crop' its centre, 'close' three fifths of that, 'pad' it with its own edge."""
    cache: Literal["disk", "off"] = "disk"
    """'disk' keeps the decoded images, so that training starts at once ever after; 'off' decodes an image whenever it
    is needed, for collections whose decoded images (3 bytes a pixel) do not fit on the disk."""
    held_out: float = 0.2
    """Fraction of the images (combinations) kept from training: half for validation, half for the test."""
    held_out_classes: float = 0.1
    """Fraction of the classes kept from training altogether, likewise; none when there are fewer than 10."""
    split_seed: int = number(0, 0, MAX_SEED)
    """Seed of the split, independent of the training seed so that runs stay comparable."""
    supervision: Literal["class", "partial", "pairs", "augmentations", "none"] = "class"
    """Labels that training sees: all, of some images, that some pairs share their class, or none; none, but a_ignores,
    is 'augmentations'."""
    labelled: float = 0.1
    """Fraction of the images that 'partial' or 'pairs' shows labels of."""
    pairs: str | None = None
    """With supervision 'pairs' a CSV table of two columns, file names that show the same thing; they take the place of
    'labelled'."""
    a_ignores: tuple[Augmentation, ...] = ()
    """What code A must not tell, of rotate flip shift zoom colour light blur: it is read from images changed so, and
    must draw them as they were."""
    b_ignores: tuple[Augmentation, ...] = ()
    """Likewise code B."""
    partners: int = number(1, 1, 64)
    """Other images of its class from which an image is drawn in training: code A is the mean over one to so many, and
    drops what changes among them."""
    groups: int = number(0, 0, 4096)
    """Where images of a class all show different things, such as the characters of a typeface, about how many things
    there are: the training images are grouped by what they show, without labels of it, and code B is read from another
    image of the group, which cannot tell the class; of a quarter, for which the group is not clear, and with 0 of all,
    from the image itself. Needs classes."""
    own_partner: float = number(0.0, 0, 1)
    """Share of the images that are their own partner, changed as a_ignores says or mirrored by model.mirror_a, beside
    those with another image of their class: code A then learns to read what it has never seen."""
    vary: tuple[Augmentation, ...] = ()
    """Changes, of the same words, that make other classes of those there are: an image and its partner are changed
    alike."""
    strength: StrengthConfig = field(default_factory=StrengthConfig)
    a_contents: tuple[str, ...] = ()
    """Known contents that belong to code A beside the class, such as expression: of importance to the evaluation
    alone."""
    characters: str = CHARACTERS
    """What 'fonts:FOLDER' draws of each font."""
    avatars: AvatarsConfig = field(default_factory=AvatarsConfig)

    def __post_init__(self) -> None:
        usable = bool(self.source) and "\0" not in self.source
        require(usable, "data.source", self.source, "give 'avatars' or the path of your images")
        object.__setattr__(self, "source", absolute_source(self.source))
        check_numbers("data", self)
        require(0 < self.held_out <= 0.5, "data.held_out", self.held_out, "give a fraction in (0, 0.5]")
        require(
            0 <= self.held_out_classes <= 0.5,
            "data.held_out_classes",
            self.held_out_classes,
            "give a fraction in [0, 0.5]",
        )
        different = len(set(self.characters)) == len(self.characters) >= 1 and not re.search(r"\s", self.characters)
        require(different, "data.characters", self.characters, "give different characters, without blanks")
        require(0 < self.labelled <= 1, "data.labelled", self.labelled, "give a fraction in (0, 1]")
        if self.pairs is not None:
            fits = bool(self.pairs) and "\0" not in self.pairs and self.supervision == "pairs"
            require(fits, "data.pairs", self.pairs, "give a CSV table, and --data.supervision pairs beside it")
            object.__setattr__(self, "pairs", absolute_source(self.pairs))
        self._check_codes()

    def _check_codes(self) -> None:
        """What each code must ignore."""
        for key in ("a_ignores", "b_ignores", "vary"):
            self._check_ignored(f"data.{key}", getattr(self, key))
        both = [name for name in self.a_ignores if name in self.b_ignores]
        require(
            not both, "data.b_ignores", self.b_ignores, f"code A ignores {' and '.join(both)} already; leave it out"
        )
        labelled = self.partners == 1 or self.supervision not in ("augmentations", "none")
        wanted = "without labels no image has a partner; give 1"
        require(labelled, "data.partners", self.partners, wanted)
        wanted = "images are grouped by what those of a class do not share; give 0, or all labels: 'class'"
        require(self.groups == 0 or self.supervision == "class", "data.groups", self.groups, wanted)
        named = self.supervision != "augmentations" or bool(self.a_ignores)
        wanted = "without labels this is all that parts the codes; name what code A must ignore, such as rotate flip"
        require(named, "data.a_ignores", self.a_ignores, wanted)

    def _check_ignored(self, key: str, names: tuple[Augmentation, ...]) -> None:
        known = get_args(Augmentation)
        require(set(names) <= set(known), key, names, f"give any of {', '.join(known)}")
        require(len(set(names)) == len(names), key, names, "give each once")
        still = [name for name in names if getattr(self.strength, name) == 0]
        require(
            not still, key, names, f"give data.strength.{still[0] if still else ''} a number above 0, or leave it out"
        )
