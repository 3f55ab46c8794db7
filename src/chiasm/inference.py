"""A model's codes and images for any number of inputs, in batches."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from chiasm.networks import CrossModel

BATCH = 64


def to_unit(images: UInt8[Tensor, "n 3 side side"]) -> Float[Tensor, "n 3 side side"]:
    """Bytes in 0..255 -> floats in [-1, 1], in the layout that convolutions like."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1.0)


def to_bytes(x: Float[Tensor, "n 3 side side"]) -> NDArray[np.uint8]:
    """Floats in [-1, 1] -> bytes in 0..255, clipped."""
    return x.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu().contiguous().numpy()


def encode(model: CrossModel, images: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Codes A and B of images as they are handed out.

    Args:
        model: in evaluation mode.
        images: [n, 3, side, side] uint8.

    Returns:
        [n, a] and [n, b] on the CPU; see CrossModel.hand_out_a and hand_out_b.
    """
    return hand_out(model, *read_codes(model, images))


@torch.inference_mode()
def hand_out(
    model: CrossModel, a: Float[Tensor, "n a"], b: Float[Tensor, "n b"]
) -> tuple[Float[Tensor, "n a"], Float[Tensor, "n b"]]:
    """Codes as they are handed out, from codes as the encoders give them; on the CPU."""
    device = next(model.parameters()).device
    codes_a = [model.hand_out_a(part.to(device)).cpu() for part in a.split(BATCH)]
    codes_b = [model.hand_out_b(part.to(device)).cpu() for part in b.split(BATCH)]
    return torch.cat(codes_a), torch.cat(codes_b)


def read_codes(model: CrossModel, images: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """As encode, with codes as the encoders give them."""
    return read(model, model.encoder_a, images), read(model, model.encoder_b, images)


@torch.inference_mode()
def read(model: CrossModel, encoder: nn.Module, images: NDArray[np.uint8]) -> Float[Tensor, "n code"]:
    """Codes of images, [n, 3, side, side] uint8, as one of a model's encoders gives them; on the CPU."""
    device = next(model.parameters()).device
    batches = (np.array(images[start : start + BATCH]) for start in range(0, len(images), BATCH))
    return torch.cat([encoder(to_unit(torch.from_numpy(batch).to(device))).cpu() for batch in batches])


@torch.inference_mode()
def generate(model: CrossModel, a: Tensor, b: Tensor) -> Tensor:
    """Images for codes: [n, a] and [n, b] -> [n, 3, side, side] floats in the generator's range, on the CPU."""
    device = next(model.parameters()).device
    generated = [
        model.generator(a[start : start + BATCH].to(device), b[start : start + BATCH].to(device)).cpu()
        for start in range(0, len(a), BATCH)
    ]
    return torch.cat(generated)
