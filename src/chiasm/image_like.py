"""What the inference API takes for an image, and for several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from chiasm.config import Fit
from chiasm.data import DataError, decode_image, read_image
from chiasm.inference import to_bytes


@dataclass(frozen=True)
class Prepared:
    """An image as the model sees it already, [3, side, side] uint8: no fit cuts it again."""

    pixels: NDArray[np.uint8]


ImageLike = str | Path | Image.Image | NDArray[Any] | Tensor | Prepared
"""A path; a PIL image; a uint8 array [height, width, 3], or grey [height, width], or with transparency
[height, width, 4]; a tensor [3, height, width], uint8 or floats in [-1, 1]."""
Images = ImageLike | Iterable[ImageLike]
"""One image, or any number: a list, an iterator, an array [n, height, width, 3], a tensor [n, 3, height, width]."""

ARRAYS = (
    "give a uint8 array [height, width, 3] or [n, height, width, 3], or a torch tensor [3, height, width] or "
    "[n, 3, height, width], uint8 or floats in [-1, 1]"
)


def each(images: Images) -> Iterator[ImageLike]:
    """Images one by one, however they were given.

    Raises:
        DataError: if there is none.
    """
    if isinstance(images, (str, Path, Image.Image, Prepared)) or (
        isinstance(images, (np.ndarray, Tensor)) and images.ndim != 4
    ):
        yield images
        return
    if not isinstance(images, Iterable):
        raise DataError(f"got {type(images).__name__}; give a path, a PIL image, an array or a tensor, or several.")
    i = -1
    for i, image in enumerate(images):  # noqa: B007  (i counts them)
        yield image
    if i < 0:
        raise DataError("got no image; give at least one.")


def square(image: ImageLike, side_px: int, fit: Fit) -> NDArray[np.uint8]:
    """An image as the networks see it.

    Args:
        image: in any of the ways of ImageLike.
        side_px: height and width of the result.
        fit: 'crop', 'close' or 'pad', see chiasm.data.decode_image.

    Returns:
        [3, side_px, side_px] uint8.

    Raises:
        DataError: if the file or the array cannot be used, with the reason.
    """
    if isinstance(image, (str, Path)):
        return read_image(image, side_px, fit)
    if isinstance(image, Prepared):
        if image.pixels.shape != (3, side_px, side_px):
            raise DataError(f"got prepared pixels of shape {image.pixels.shape}; this model takes {side_px} px.")
        return image.pixels
    if isinstance(image, Tensor):
        image = _from_tensor(image)
    if isinstance(image, np.ndarray):
        image = _from_array(image)
    if not isinstance(image, Image.Image):
        raise DataError(f"got an image of type {type(image).__name__}; give a path, a PIL image, an array or a tensor.")
    try:
        return decode_image(image, side_px, fit)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # read from its file only now
        raise DataError(f"got a PIL image that cannot be read ({error}); open another.") from error


def _from_tensor(image: Tensor) -> NDArray[np.uint8]:
    """[height, width, 3] of a tensor [3, height, width]."""
    shape = tuple(image.shape)
    if len(shape) != 3 or shape[0] != 3 or 0 in shape:
        raise DataError(f"got a tensor of shape {shape}; {ARRAYS}.")
    image = image.detach().cpu()
    if image.is_floating_point():
        low, high = image.min().item(), image.max().item()
        if not (low >= -1 and high <= 1):
            raise DataError(f"got a tensor of floats from {low:g} to {high:g}; {ARRAYS}.")
        return to_bytes(image.to(torch.float32)[None])[0].transpose(1, 2, 0)
    if image.dtype != torch.uint8:
        raise DataError(f"got a tensor of {image.dtype}; {ARRAYS}.")
    return image.numpy().transpose(1, 2, 0)


def _from_array(image: NDArray[Any]) -> Image.Image:
    colours = image.shape[2:] in ((), (3,), (4,))
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or not colours or image.size == 0:
        raise DataError(f"got an array of {image.dtype} and shape {image.shape}; {ARRAYS}.")
    return Image.fromarray(np.ascontiguousarray(image))
