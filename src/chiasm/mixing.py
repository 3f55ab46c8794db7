"""The inference API: load a model, take images apart, put any A together with any B."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from chiasm import hub, inference
from chiasm.adapt import adapt_code
from chiasm.checkpoint import load_model, model_folder
from chiasm.config import require
from chiasm.data import DataError
from chiasm.image_like import ImageLike, Images, Prepared, each, square
from chiasm.networks import CrossModel
from chiasm.people import (
    SIGN,
    PersonCode,
    PersonError,
    check_person,
    digest_of,
    load_person,
    name_of,
    people_of,
    require_new,
    save_person,
)
from chiasm.plots import swap_matrix

MAX_STEPS = 256
MAX_ADAPTED = 100
"""Images of a person: with more of them a training pays."""


class Codes(NamedTuple):
    """The codes of images: `a` [n, code_a] and `b` [n, code_b], float32.

    Examples:
        >>> codes = chiasm.load("runs/photos-1").encode("anna.jpg")
        >>> codes.a.shape, codes.b.shape
        ((1, 8), (1, 4))
        >>> a, b = codes
    """

    a: NDArray[np.float32]
    b: NDArray[np.float32]


class Mixer:
    """A trained model at work.

    Wherever an image is taken it may be a path, a PIL image, a uint8 array [height, width, 3], or a torch tensor
    [3, height, width], uint8 or floats in [-1, 1], of any height and width. Wherever several are taken they may be
    one such image, an iterable of them, an array [n, height, width, 3] or a tensor [n, 3, height, width]. Wherever code
    A is taken from images, "@anna" is the person of that name, whom the model was adapted to; "./@anna" is a file. A
    person may be mixed with more of code B than encode hands out, see CrossModel.hand_out_b_to_people.

    Examples:
        >>> mixer = chiasm.Mixer.load("runs/photos-1")
        >>> mixer.mix(a="anna.jpg", b="ben.jpg").save("mixed.png")

    Args:
        model: in evaluation mode.
        device: where to compute; by default a GPU if there is one.
        folder: the model folder that has the people; None where there are none yet.

    Raises:
        DataError: by each method, for an image that cannot be used; a ValueError.
        PersonError: likewise for a person.
    """

    def __init__(self, model: CrossModel, device: str | torch.device | None = None, folder: Path | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = model.to(self.device).eval()
        self._folder = folder
        self._people: dict[str, PersonCode] = {}

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device | None = None) -> Mixer:
        """Read a model.

        Examples:
            >>> mixer = chiasm.Mixer.load("runs/photos-1", device="cpu")

        Args:
            path: a run folder, a model folder, or the name of a model on the Hugging Face Hub, "user/model", where
                neither it nor "user" is a path here. It is downloaded once; HF_ENDPOINT and HF_HUB_OFFLINE hold.
            device: where to compute; by default a GPU if there is one.

        Raises:
            CheckpointError, HubError: if there is no usable model; both are ValueErrors.
        """
        folder = hub.fetch(path) if isinstance(path, str) and hub.is_repo(path) else Path(path)
        return cls(load_model(folder), device, model_folder(folder))

    @property
    def people(self) -> list[str]:
        """The names of the people that the model was adapted to.

        Examples:
            >>> mixer.people
            []
        """
        return sorted({*self._people, *(people_of(self._folder, self._digest) if self._folder else ())})

    def adapt(
        self, images: Images, name: str, *, folder: str | Path | None = None, overwrite: bool = False
    ) -> NDArray[np.float32]:
        """Learn to draw somebody new from a few images; they are then "@name" wherever code A is taken from images.

        Code A is optimised, and with it the scales and shifts that the generator reads from code A, in a few seconds up
        to a minute. No weight changes: nobody else is drawn otherwise.

        Examples:
            >>> from pathlib import Path
            >>> code = mixer.adapt(sorted(Path("photos/anna").glob("*.jpg")), "anna", folder="runs/photos-1")
            >>> mixer.mix(a="@anna", b="smile.jpg").save("mixed.png")

        Args:
            images: 1 to 100 of one person, object or typeface; five differ enough.
            name: a new one: letters, digits, "-", "_", or "." in between.
            folder: the run or model folder to keep the person in; by default only this mixer knows them.
            overwrite: whether a person of that name gives way.

        Returns:
            Their extended code A, [1, extended], which generate takes too: behind the code are offsets to scales and
            shifts, and matrices that mix channels.

        Raises:
            PersonError: for a name that cannot be used, or a folder that has another model.
        """
        check_person(name)
        place = None if folder is None else model_folder(Path(folder))
        if place is not None:
            require(digest_of(load_model(place)) == self._digest, "folder", str(folder), "it has another model")
        if not overwrite:
            require(name not in self._people, "name", name, "this mixer has that person; give overwrite=True")
            if known := place or self._folder:
                require_new(known, name)
        squares = list(islice(self._squares(images), MAX_ADAPTED + 1))
        remedy = f"give at most {MAX_ADAPTED}, or train on them"
        require(len(squares) <= MAX_ADAPTED, "images", f"more than {MAX_ADAPTED}", remedy)
        code = adapt_code(self.model, np.stack(squares))
        if place is not None:
            save_person(place, name, code, self._digest)
        if place is not None and place == self._folder:
            self._people.pop(name, None)  # read from there, see _person
        else:
            self._people[name] = code
        return code.numpy()

    def encode(self, images: Images) -> Codes:
        """The codes of images, which are read in batches: memory does not grow with their number.

        Examples:
            >>> from pathlib import Path
            >>> codes = mixer.encode(sorted(Path("photos/anna").glob("*.jpg")))
            >>> len(codes.a)
            6

        Code B is that which is handed out, see CrossModel.hand_out_b.
        """
        parts = [inference.encode(self.model, batch) for batch in self._batches(images)]
        return Codes(*(torch.cat(codes).numpy() for codes in zip(*parts, strict=True)))

    def mix(self, a: Images, b: ImageLike) -> Image.Image:
        """One image that shows what `a` shows, in the manner of `b`.

        Examples:
            >>> mixer.mix(a="anna.jpg", b="smile.jpg").size
            (16, 16)
            >>> mixed = mixer.mix(a=["photos/anna/0.jpg", "photos/anna/1.jpg"], b="smile.jpg")

        Args:
            a: gives code A. Of several images of the same class the mean code is taken, which is steadier.
            b: gives code B.
        """
        codes_a, of_people = self._codes_a(a)
        codes_b = self._codes_b(b)
        num = codes_b.shape[1]
        require(num == 1, "b", f"{num} images", "give one; for every A with every B there is matrix")
        mean = codes_a.mean(axis=0, keepdims=True), of_people.mean(axis=0, keepdims=True)
        return _picture(self._grid(*mean, codes_b)[0, 0])

    def matrix(self, a: Images, b: Images) -> list[list[Image.Image]]:
        """Every A (rows) with every B (columns).

        Examples:
            >>> rows = mixer.matrix(a=["anna.jpg", "ben.jpg"], b=["smile.jpg", "turn.jpg", "anna.jpg"])
            >>> len(rows), len(rows[0])
            (2, 3)
        """
        return _pictures(self._grid(*self._codes_a(a), self._codes_b(b)))

    def sheet(self, a: Images, b: Images) -> Image.Image:
        """The matrix as one image, with the sources in the first column and the first row.

        In the place of a person stands what the model draws of them with a code B of zeros.

        Examples:
            >>> mixer.sheet(a=["anna.jpg", "ben.jpg"], b=["smile.jpg", "turn.jpg"]).save("matrix.png")
        """
        given, images_b = list(each(a)), self.prepare(b)
        codes_a, of_people = self._codes_a(given)
        no_b = np.zeros((1, self.model.config.code_b), dtype=np.float32)
        images_a = [
            self.prepare(image)[0] if name_of(image) is None else self.generate(code[None], no_b)[0]
            for image, code in zip(given, codes_a, strict=True)
        ]
        grid = self._grid(codes_a, of_people, self._codes_b(map(Prepared, images_b)))
        return swap_matrix(np.stack(images_a), images_b, grid, zoom=1)

    def blend(
        self, a1: ImageLike, a2: ImageLike, b1: ImageLike, b2: ImageLike, steps: int = 5
    ) -> list[list[Image.Image]]:
        """A grid of images between others: code A changes from left to right, code B from top to bottom.

        Examples:
            >>> rows = mixer.blend("anna.jpg", "ben.jpg", "smile.jpg", "turn.jpg", steps=3)
            >>> len(rows), len(rows[0])
            (3, 3)

        Args:
            a1: gives code A of the first column.
            a2: gives code A of the last column.
            b1: gives code B of the first row.
            b2: gives code B of the last row.
            steps: rows and columns, from 2 to 256; codes between are interpolated linearly.
        """
        require(2 <= steps <= MAX_STEPS, "steps", steps, f"give a number from 2 to {MAX_STEPS}")
        ends = *self._codes_a([a1, a2]), self._codes_b([b1, b2]).swapaxes(0, 1)
        codes_a, of_people, codes_b = (np.linspace(first, last, steps, dtype=np.float32) for first, last in ends)
        return _pictures(self._grid(codes_a, of_people, codes_b.swapaxes(0, 1)).swapaxes(0, 1))

    def prepare(self, images: Images) -> NDArray[np.uint8]:
        """Images of any size as the model sees them: [n, 3, side, side] uint8.

        Examples:
            >>> mixer.prepare(["anna.jpg", "ben.jpg"]).shape
            (2, 3, 16, 16)
        """
        return np.stack(list(self._squares(images)))

    def generate(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Images [n, 3, side, side] uint8 for codes A [n, code_a], or of people, and B [n, code_b].

        Examples:
            >>> codes = mixer.encode(["anna.jpg", "ben.jpg"])
            >>> mixer.generate(codes.a, codes.b[::-1]).shape
            (2, 3, 16, 16)
        """
        config, people = self.model.config, self.model.generator.extended_a
        if a.ndim != 2 or b.ndim != 2 or a.shape[1] not in (config.width_a, people) or b.shape[1] != config.code_b:
            wanted = f"[n, {config.width_a}], or [n, {people}] of people, and [n, {config.code_b}]"
            raise DataError(f"got codes of shapes {a.shape} and {b.shape}; give codes A and B, {wanted}.")
        if not len(a) == len(b) > 0:
            raise DataError(f"got {len(a)} codes A and {len(b)} codes B; give one of each for every image.")
        codes = (torch.from_numpy(np.ascontiguousarray(code, dtype=np.float32)) for code in (a, b))
        return inference.to_bytes(inference.generate(self.model, *codes))

    def _grid(
        self, a: NDArray[np.float32], of_people: NDArray[np.float32], b: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """Images for every code A with every code B, as _codes_a and _codes_b give them: [n, m, 3, side, side]."""
        to_images, to_people = b
        codes_b = to_images + of_people[:, None, None] * (to_people - to_images)
        shape = codes_b.shape[:2]
        # Some at a time, so that what memory holds of all of them is their bytes.
        places = np.array_split(np.arange(np.prod(shape)), -(-np.prod(shape) // inference.BATCH))
        index = (np.unravel_index(some, shape) for some in places)
        grid = np.concatenate([self.generate(a[row], codes_b[row, column]) for row, column in index])
        return grid.reshape(*shape, *grid.shape[1:])

    def _codes_b(self, images: Images) -> NDArray[np.float32]:
        """Codes B of images, [2, n, code_b]: those that are mixed with images, and with people.

        Raises:
            DataError: where there is no image.
        """
        parts = []
        for batch in self._batches(images):
            b = inference.read(self.model, self.model.encoder_b, batch).to(self.device)
            parts.append(torch.stack([self.model.hand_out_b(b), self.model.hand_out_b_to_people(b)]))
        return torch.cat(parts, dim=1).cpu().numpy()

    def _codes_a(self, given: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Codes A of images and of people, in their order, [n, code_a], or extended where there is a person; and
        [n] 1 for people, 0 for images."""
        given, parts, of_people = each(given), [], []
        while batch := list(islice(given, inference.BATCH)):
            names = [name_of(one) for one in batch]
            images = [one for one, name in zip(batch, names, strict=True) if name is None]
            of_images = iter(self.encode(images).a if images else ())
            parts += [next(of_images) if name is None else self._person(name)[0] for name in names]
            of_people += [name is not None for name in names]
        width = max(map(len, parts))
        codes = np.stack([np.pad(code, (0, width - len(code))) for code in parts])
        return codes, np.array(of_people, dtype=np.float32)

    def _person(self, name: str) -> NDArray[np.float32]:
        """The extended code A of a person, [1, extended]."""
        if name in self._people:
            return self._people[name].numpy()
        if self._folder is None:
            raise PersonError(f"{SIGN}{name}: this mixer has no such person; see Mixer.adapt")
        # Read each time: another process may replace or remove somebody.
        return load_person(self._folder, name, self.model.generator.extended_a, self._digest).numpy()

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.model)

    def _batches(self, images: Images) -> Iterator[NDArray[np.uint8]]:
        """Images as the model sees them, some at a time: [n, 3, side, side]."""
        squares = self._squares(images)
        while batch := list(islice(squares, inference.BATCH)):
            yield np.stack(batch)

    def _squares(self, images: Images) -> Iterator[NDArray[np.uint8]]:
        return (self._square(image) for image in each(images))

    def _square(self, image: ImageLike) -> NDArray[np.uint8]:
        if name_of(image) is not None:
            raise DataError(f"{image}: a person gives code A alone; give an image here, or ./{image} for a file.")
        return square(image, self.model.config.side_px, self.model.fit)


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))


def _pictures(grid: NDArray[np.uint8]) -> list[list[Image.Image]]:
    return [[_picture(cell) for cell in row] for row in grid]
