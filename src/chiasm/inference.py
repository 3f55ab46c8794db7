"""A model's codes and images for any number of inputs, in batches."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from chiasm.networks import CrossModel

BATCH = 64


def to_unit(images: UInt8[Tensor, "n 3 side side"]) -> Float[Tensor, "n 3 side side"]:
    """Bytes in 0..255 -> floats in [-1, 1], in the layout that convolutions like."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1.0)


def to_bytes(x: Float[Tensor, "n 3 side side"]) -> NDArray[np.uint8]:
    """Floats in [-1, 1] -> bytes in 0..255, clipped."""
    return x.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu().contiguous().numpy()


def encode(model: CrossModel, images: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Codes A and B of images, B as it is handed out.

    Args:
        model: in evaluation mode.
        images: [n, 3, side, side] uint8.

    Returns:
        [n, a] and [n, b] on the CPU; see CrossModel.hand_out for B.
    """
    a, b = read_codes(model, images)
    return a, hand_out(model, b)


@torch.inference_mode()
def hand_out(model: CrossModel, b: Float[Tensor, "n b"]) -> Float[Tensor, "n b"]:
    """Codes B as they are handed out, from codes as the encoder gives them; on the CPU. See CrossModel.hand_out."""
    device = next(model.parameters()).device
    return torch.cat([model.hand_out(part.to(device)).cpu() for part in b.split(BATCH)])


@torch.inference_mode()
def read_codes(model: CrossModel, images: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """As encode, with codes B as the encoder gives them."""
    device = next(model.parameters()).device
    codes_a, codes_b = [], []
    for start in range(0, len(images), BATCH):
        x = to_unit(torch.from_numpy(np.array(images[start : start + BATCH])).to(device))
        codes_a.append(model.encoder_a(x).cpu())
        codes_b.append(model.encoder_b(x).cpu())
    return torch.cat(codes_a), torch.cat(codes_b)


@torch.inference_mode()
def generate(model: CrossModel, a: Tensor, b: Tensor) -> Tensor:
    """Images for codes: [n, a] and [n, b] -> [n, 3, side, side] floats in the generator's range, on the CPU."""
    device = next(model.parameters()).device
    generated = [
        model.generator(a[start : start + BATCH].to(device), b[start : start + BATCH].to(device)).cpu()
        for start in range(0, len(a), BATCH)
    ]
    return torch.cat(generated)
