"""Images that are decoded whenever they are asked for, since all of them do not fit on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.config import Fit
from chiasm.data.decode import Decoded, Refused
from chiasm.data.image_set import DataError
from chiasm.data.sources.source import Source


class OnDemand:
    """Stands for the array [n, 3, side, side] uint8 of a source's usable images.

    Args:
        source: where the images come from.
        places: [n] places of the usable images in the source's listing, in order.
        names: of these images.
        side_px: height and width of the decoded images.
        fit: as for decode_image.
        num_workers: threads that decode.
    """

    def __init__(
        self,
        source: Source,
        places: NDArray[np.int64],
        names: Sequence[str],
        side_px: int,
        fit: Fit,
        num_workers: int,
    ) -> None:
        self.source, self.places, self.names, self.fit = source, places, names, fit
        self.shape = (len(places), 3, side_px, side_px)
        self.num_workers = num_workers

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.num_workers, "decode")

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """As of the array.

        Raises:
            DataError: for an image that could be decoded before, and cannot any more.
        """
        places = self.places[index]
        flat = places.reshape(-1)
        parts = np.array_split(flat, max(1, min(len(flat), self.num_workers)))
        pixels = np.empty((len(flat), *self.shape[1:]), np.uint8)
        for row, result in enumerate(result for part in self._pool.map(self._decode, parts) for result in part):
            if isinstance(result, Refused):
                name = self.names[int(np.searchsorted(self.places, flat[row]))]
                raise DataError(f"{name}: {result.reason}; it could be used before: put it back, and go on.")
            pixels[row] = result.pixels
        return pixels.reshape(*places.shape, *self.shape[1:])

    def _decode(self, places: NDArray[np.int64]) -> list[Decoded | Refused]:
        return self.source.decode(places.tolist(), self.shape[-1], self.fit)
