"""Images of a run: held-out ones to choose from, and the training images nearest to any image."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chiasm.config import Config
from chiasm.data import load_names
from chiasm.data.decode import Refused
from chiasm.data.find_source import find_source
from chiasm.files import text_of
from chiasm.image_like import Prepared
from chiasm.mixing import Mixer
from chiasm.runs import WEIGHTS_FILE, RunFolder
from chiasm.web.folder import ServedFolder, written
from chiasm.web.uploads import Picture

NUM_EXAMPLES = 16
NUM_NEAREST = 5
MAX_SEARCHED = 5000


class Trained(NamedTuple):
    """Training images and their codes."""

    pictures: list[Picture]
    num_all: int
    a: NDArray[np.float32]
    b: NDArray[np.float32]


def load_mixer(folder: RunFolder) -> Mixer:
    """The model of a run as it is now.

    Raises:
        CheckpointError: if there is none.
    """
    return _load_mixer(folder, written(folder.model / WEIGHTS_FILE))


@lru_cache(maxsize=2)
def _load_mixer(folder: RunFolder, version: int) -> Mixer:
    return Mixer.load(folder.path)


@lru_cache(maxsize=8)
def examples(folder: RunFolder, config: Config) -> list[Picture]:
    """Some held-out images, one of each class first; no other image of the run is read.

    Raises:
        DataError: if the run's images are not here.
    """
    names = load_names(folder.split)
    held_out = {name for part, some in names.items() if part != "train" for name in some}
    source = find_source(config.data)
    listing = source.listing()
    index = np.array([i for i, name in enumerate(listing.names) if name in held_out], dtype=np.int64)
    index = np.random.default_rng(0).permutation(index)
    _, first = np.unique(listing.classes[index], return_index=True)
    chosen = list(dict.fromkeys([*index[np.sort(first)][:NUM_EXAMPLES].tolist(), *index.tolist()]))[:NUM_EXAMPLES]
    decoded = source.decode(chosen, config.model.side_px, config.data.fit)
    return [
        Picture(text_of(listing.names[i]), image.pixels)
        for i, image in zip(chosen, decoded, strict=True)
        if not isinstance(image, Refused)
    ]


def nearest(codes: NDArray[np.float32], of_trained: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each code the places of the nearest ones: [n, at most NUM_NEAREST], the nearest first."""
    distances = ((codes[:, None] - of_trained[None]) ** 2).sum(axis=2)
    return np.argsort(distances, axis=1, kind="stable")[:, :NUM_NEAREST]


def trained_images(served: ServedFolder, folder: RunFolder, config: Config) -> Trained:
    """A run's training images, MAX_SEARCHED of them at most, with their codes.

    Raises:
        DataError: if the run's images are not here.
    """
    return _trained_images(served, folder, config, written(folder.model / WEIGHTS_FILE))


@lru_cache(maxsize=2)
def _trained_images(served: ServedFolder, folder: RunFolder, config: Config, version: int) -> Trained:
    images, names = served.images_of(config), set(load_names(folder.split)["train"])
    index = np.array([i for i, name in enumerate(images.names) if name in names], dtype=np.int64)
    searched = np.sort(np.random.default_rng(0).permutation(index)[:MAX_SEARCHED])
    pixels = images.gather(searched)
    a, b = load_mixer(folder).encode(map(Prepared, pixels))
    pictures = [Picture(text_of(images.names[i]), image) for i, image in zip(searched.tolist(), pixels, strict=True)]
    return Trained(pictures, len(index), a, b)
