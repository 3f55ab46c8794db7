"""The embedded data: people rendered offline, of whom every recombination of factors is in the set."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache, cached_property, lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from chiasm.config import AvatarsConfig, Fit
from chiasm.data.decode import Decoded, Refused, decode_image
from chiasm.data.image_set import DataError
from chiasm.data.sources.source import Listing

# Chosen to differ at 64 pixels, the most different first.
EXPRESSIONS = (
    "awe",
    "blank",
    "cute",
    "cyclops",
    "eyesClosed",
    "rage",
    "smileBig",
    "suspicious",
    "lovingGrin1",
    "monster",
    "concerned",
    "hectic",
)
# No eyepatch or sunglasses: they would hide the eyes, and with them the expression.
GLASSES = ("glasses", "glasses2", "glasses3", "glasses4", "glasses5")
MIN_DIFFERENCE = 2.0
"""Mean difference of 8-bit pixels from which two people count as different."""
CONTENT_NAMES = ("expression", "tilt", "mirror")


class Avatars:
    """Open Peeps (CC0) as rendered by DiceBear.

    A is the person: hair, skin, clothes, beard and glasses. B is expression x tilt x mirror: the face may
    be flipped, then the image is turned clockwise by the tilt, so that the tilt is what one sees.
    """

    # Large, since every chunk starts an interpreter of its own.
    chunk_size = 720

    def __init__(self, config: AvatarsConfig) -> None:
        self.config = config
        self._mirrors = (False, True) if config.mirror else (False,)

    @cached_property
    def _grid(self) -> list[tuple[int, str, int, bool]]:
        """Seed, expression, tilt and mirror of every image."""
        seeds = distinct_people(self.config.num_people)
        expressions = EXPRESSIONS[: self.config.num_expressions]
        return list(itertools.product(seeds, expressions, self.config.tilts_deg, self._mirrors))

    def fingerprint(self) -> str:
        """The configuration and everything that renders."""
        versions = {name: version(name) for name in ("dicebear-core", "dicebear-styles", "resvg-py")}
        return json.dumps({"avatars": dataclasses.asdict(self.config), "versions": versions, "drawing": 2})

    def listing(self) -> Listing:
        """The full grid, person by person."""
        values = (
            EXPRESSIONS[: self.config.num_expressions],
            tuple(str(tilt) for tilt in self.config.tilts_deg),
            ("plain", "mirrored")[: len(self._mirrors)],
        )
        counts = (self.config.num_people, *map(len, values))
        factors = np.indices(counts).reshape(len(counts), -1).T.astype(np.int64)
        assert len(self._grid) == len(factors)  # and it is laid out before threads ask for it
        return Listing(
            names=tuple(
                f"person-{p:04d}/{'_'.join(content)}"
                for p in range(self.config.num_people)
                for content in itertools.product(*values)
            ),
            classes=np.ascontiguousarray(factors[:, 0]),
            class_names=tuple(f"person-{p:04d}" for p in range(self.config.num_people)),
            contents=np.ascontiguousarray(factors[:, 1:]),
            content_names=CONTENT_NAMES,
            content_values=values,
        )

    def decode(self, indices: Sequence[int], side_px: int, fit: Fit) -> list[Decoded | Refused]:
        """Renders in another interpreter, since the renderer holds this one's lock; a few it renders here."""
        people = [self._grid[i] for i in indices]
        few = len(people) < 64 or not sys.executable
        pixels = render_all(people, side_px) if few else _render_in_subprocess(people, side_px)
        return [Decoded(p, (side_px, side_px)) for p in pixels]


def distinct_people(num: int) -> tuple[int, ...]:
    """Seeds of people who do not look alike.

    About one seed in ten gives a person already seen, or differing in a few pixels of clothing only; a
    split by class would then test on people of the training.

    Args:
        num: how many people.

    Returns:
        num seeds, ascending; a larger num only adds to them.

    Raises:
        DataError: if there are not as many.
    """
    found: list[int] = []
    faces = np.empty((num, 3 * 32 * 32), dtype=np.float32)
    for seed in range(4 * num + 100):
        face = np.asarray(render_avatar(seed, "blank", 0, False, 32), dtype=np.float32).ravel()
        if np.abs(faces[: len(found)] - face).mean(axis=1).min(initial=255) >= MIN_DIFFERENCE:
            faces[len(found)] = face
            found.append(seed)
            if len(found) == num:
                return tuple(found)
    raise DataError(f"data.avatars.num_people: got {num}; give at most {len(found)}, as many as can be told apart.")


def render_avatar(person: int, expression: str, tilt_deg: int, mirror: bool, side_px: int) -> Image.Image:
    """Renders one image.

    Args:
        person: seed of the person, of everything but the expression; see distinct_people.
        expression: one of EXPRESSIONS.
        tilt_deg: clockwise turn of the image, after mirroring.
        mirror: whether the face is flipped left to right.
        side_px: height and width.

    Returns:
        An RGB image on white.
    """
    if not mirror:
        return _render_plain(person, expression, tilt_deg, side_px)
    # Flipping and then turning is turning the other way and then flipping: the same rendering serves both
    # sides, so that they are mirror images to the pixel and cost half the time.
    return ImageOps.mirror(_render_plain(person, expression, -tilt_deg, side_px))


@lru_cache(maxsize=64)
def _render_plain(person: int, expression: str, tilt_deg: int, side_px: int) -> Image.Image:
    import resvg_py
    from dicebear import Avatar

    options: dict[str, Any] = {
        "seed": f"person-{person:04d}",
        "expressionVariant": expression,
        "accessoriesVariant": list(GLASSES),
        "maskProbability": 0,
        "scale": 1.15,
        "rotate": tilt_deg,
    }
    svg = Avatar(_style(), options).to_string()
    png = resvg_py.svg_to_bytes(
        svg_string=svg, width=side_px, height=side_px, background="#ffffff", skip_system_fonts=True
    )
    return Image.open(io.BytesIO(png)).convert("RGB")


@cache
def _style() -> Any:
    from dicebear import Style

    return Style(json.loads(files("dicebear_styles").joinpath("open-peeps.json").read_text(encoding="utf-8")))


def render_all(people: Sequence[tuple[int, str, int, bool]], side_px: int) -> NDArray[np.uint8]:
    """Renders images one after the other.

    Args:
        people: person, expression, tilt and mirror of each, see render_avatar.
        side_px: height and width.

    Returns:
        [n, 3, side_px, side_px] uint8.
    """
    return np.stack([decode_image(render_avatar(*person, side_px), side_px) for person in people])


def render_to_stdout() -> None:
    """The work of another interpreter: reads JSON from standard input, writes raw pixels."""
    request = json.load(sys.stdin)
    sys.stdout.buffer.write(render_all(request["people"], request["side_px"]).tobytes())


def _render_in_subprocess(people: list[tuple[int, str, int, bool]], side_px: int) -> NDArray[np.uint8]:
    # A process pool would run the user's script again, or fail in a notebook; this does neither.
    command = [
        sys.executable,
        "-P",
        "-c",
        "from chiasm.data.sources.avatars import render_to_stdout; render_to_stdout()",
    ]
    request = json.dumps({"people": people, "side_px": side_px})
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, input=request.encode(), capture_output=True, check=False, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"rendering avatars failed ({done.returncode}): {done.stderr.decode()[-2000:]}")
    return np.frombuffer(done.stdout, dtype=np.uint8).reshape(len(people), 3, side_px, side_px)
