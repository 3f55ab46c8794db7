"""What is encoded, and one part of it as a table: the same wherever it is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chiasm import inference
from chiasm.config import DataConfig
from chiasm.data.cache import cache_key, decode_all
from chiasm.data.decode import Decoded, Refused
from chiasm.data.find_source import find_source
from chiasm.data.image_set import UNLABELLED
from chiasm.data.sources.source import Listing, Source
from chiasm.files import text_of
from chiasm.mixing import Mixer
from chiasm.networks import CrossModel

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
"""Raise it whenever the file changes its meaning, so that old parts are not gone on with."""
PART = 4096
"""Images in a part, which is what a kill loses; whole batches, as those of Mixer.encode."""
ABOUT, FAILED = b"chiasm", b"failed"
"""Keys in a file's schema: what made it; and, in a part, the images that could not be used, with the reasons."""


class EncodingError(ValueError):
    """Codes that cannot be written; the message names the file and the remedy."""


@dataclass(frozen=True)
class Work:
    """A model and the images that it encodes, in parts.

    Attributes:
        networks: the model.
        images: where the images come from.
        listing: all of them by name.
        about: what makes the file: the model by name and weights, its codes, its images.
        part: images in a part.
    """

    networks: CrossModel
    images: Source
    listing: Listing
    about: bytes
    part: int

    @property
    def num_parts(self) -> int:
        """How many parts there are."""
        return -(-len(self.listing.names) // self.part)

    def places(self, number: int) -> range:
        """The images of a part: places in the listing."""
        start = number * self.part
        return range(start, min(start + self.part, len(self.listing.names)))


def open_work(model: str | Path, source: str, part: int) -> Work:
    """Find a model and its images; see Work.

    Raises:
        CheckpointError, HubError, DataError: if the model or the source cannot be used.
    """
    networks = Mixer.load(model).model
    images = find_source(DataConfig(source=source))
    return Work(networks, images, images.listing(), _about(Path(model), networks, images), part)


def _about(model: Path, networks: CrossModel, images: Source) -> bytes:
    digest = hashlib.sha256()
    for name, tensor in networks.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    path = model.absolute()
    about = {
        "format": FORMAT,
        "model": path.parent.name if path.name == "model" else path.name,
        "weights": digest.hexdigest(),
        "code_a": networks.config.width_a,
        "code_b": networks.config.code_b,
        "noise_b": networks.noise_b,
        "side_px": networks.config.side_px,
        "fit": networks.fit,
        "images": cache_key(images, networks.config.side_px, networks.fit),
    }
    return json.dumps(about).encode()


def encode_part(work: Work, number: int, advance: Callable[[], object] = lambda: None) -> pa.Table:
    """The rows of a part; its schema says what made it, and which images could not be used.

    Args:
        work: what is encoded.
        number: of the part.
        advance: is called for each image.
    """
    import pyarrow as pa

    networks, listing, places = work.networks, work.listing, work.places(number)
    decoded = decode_all(work.images, places, networks.config.side_px, networks.fit)
    kept: list[int] = []
    failures: list[tuple[str, str]] = []
    codes = [[np.zeros((0, width), np.float32)] for width in (networks.config.width_a, networks.config.code_b)]
    for batch in _batches(listing, zip(places, decoded, strict=True), kept, failures, advance):
        for so_far, of_batch in zip(codes, inference.encode(networks, batch), strict=True):
            so_far.append(of_batch.numpy())
    a, b = map(np.concatenate, codes)
    classes = [text_of(listing.class_names[c]) if c != UNLABELLED else None for c in listing.classes[kept].tolist()]
    columns = {
        "name": pa.array([text_of(listing.names[i]) for i in kept], pa.string()),
        "class": pa.array(classes, pa.string()),
        "a": pa.FixedSizeListArray.from_arrays(pa.array(a.reshape(-1)), a.shape[1]),
        "b": pa.FixedSizeListArray.from_arrays(pa.array(b.reshape(-1)), b.shape[1]),
    }
    return pa.table(columns, metadata={ABOUT: work.about, FAILED: json.dumps(failures)})


def _batches(
    listing: Listing,
    decoded: Iterable[tuple[int, Decoded | Refused]],
    kept: list[int],
    failures: list[tuple[str, str]],
    advance: Callable[[], object],
) -> Iterator[NDArray[np.uint8]]:
    """The images at some places in batches; adds to the places kept and to the failures."""
    batch: list[NDArray[np.uint8]] = []
    for i, result in decoded:
        advance()
        if isinstance(result, Refused):
            failures.append((listing.names[i], result.reason))
            continue
        kept.append(i)
        batch.append(result.pixels)
        if len(batch) == inference.BATCH:
            yield np.stack(batch)
            batch.clear()
    if batch:
        yield np.stack(batch)
