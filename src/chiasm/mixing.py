"""The inference API: load a model, take images apart, put any A together with any B."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from chiasm.checkpoint import load_model
from chiasm.data import decode_image, read_image
from chiasm.inference import encode, generate, to_bytes
from chiasm.networks import CrossModel
from chiasm.plots import swap_matrix

ImageLike = str | Path | Image.Image | NDArray[np.uint8]


class Mixer:
    """A trained model at work.

    Args:
        model: in evaluation mode.
        device: where to compute; by default a GPU if there is one.
    """

    def __init__(self, model: CrossModel, device: str | torch.device | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = model.to(self.device).eval()

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device | None = None) -> Mixer:
        """Read a model from a run folder or a model folder.

        Raises:
            CheckpointError: if the folder holds no usable model.
        """
        return cls(load_model(Path(path)), device)

    def mix(self, a: ImageLike | list[ImageLike], b: ImageLike) -> Image.Image:
        """One image that shows what `a` shows, in the manner of `b`.

        Args:
            a: gives code A; a path, a PIL image, or a uint8 array [height, width, 3]. Of several images of
                the same class the mean code is taken, which is steadier.
            b: gives code B, likewise.
        """
        several = a if isinstance(a, list) else [a]
        code_a = self.encode(several)[0].mean(axis=0, keepdims=True)
        code_b = self.encode([b])[1]
        return Image.fromarray(self.generate(code_a, code_b)[0].transpose(1, 2, 0))

    def matrix(self, a: Sequence[ImageLike], b: Sequence[ImageLike]) -> list[list[Image.Image]]:
        """Every A (rows) with every B (columns)."""
        return [[Image.fromarray(cell.transpose(1, 2, 0)) for cell in row] for row in self._mixes(a, b)]

    def sheet(self, a: Sequence[ImageLike], b: Sequence[ImageLike]) -> Image.Image:
        """The matrix as one image, with the sources in the first column and the first row."""
        return swap_matrix(self.prepare(a), self.prepare(b), self._mixes(a, b), zoom=1)

    def prepare(self, images: Sequence[ImageLike]) -> NDArray[np.uint8]:
        """Images of any size as the model sees them: [n, 3, side, side] uint8."""
        return np.stack([self._square(image) for image in images])

    def encode(self, images: Sequence[ImageLike]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Codes A [n, a] and B [n, b] of images."""
        a, b = encode(self.model, self.prepare(images))
        return a.numpy(), b.numpy()

    def generate(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Images [n, 3, side, side] uint8 for codes A [n, a] and B [n, b]."""
        return to_bytes(generate(self.model, torch.from_numpy(a), torch.from_numpy(b)))

    def _mixes(self, a: Sequence[ImageLike], b: Sequence[ImageLike]) -> NDArray[np.uint8]:
        codes_a, codes_b = self.encode(a)[0], self.encode(b)[1]
        grid = self.generate(np.repeat(codes_a, len(b), axis=0), np.tile(codes_b, (len(a), 1)))
        return grid.reshape(len(a), len(b), *grid.shape[1:])

    def _square(self, image: ImageLike) -> NDArray[np.uint8]:
        transform = self.model.config.side_px, self.model.fit
        if isinstance(image, (str, Path)):
            return read_image(image, *transform)
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        return decode_image(image, *transform)
