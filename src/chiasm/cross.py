"""Disassembly, mixing, reassembly: the method in a few pure functions.

Symbols follow docs/notation.md: digit = image, letter = factor, A before B.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from chiasm.draws import own_rows
from chiasm.networks import CrossModel

Images = Float[Tensor, "n 3 side side"]
CodesA = Float[Tensor, "n a"]
CodesB = Float[Tensor, "n b"]


class Codes(NamedTuple):
    """Both codes of a batch."""

    a: CodesA
    b: CodesB


def disassemble(model: CrossModel, x: Images) -> Codes:
    """Code A and code B of images in [-1, 1]."""
    return Codes(model.encoder_a(x), model.encoder_b(x))


def swap_halves(codes: Tensor) -> Tensor:
    """Exchange the first and the second half of a batch: [x1; x2] becomes [x2; x1]."""
    return torch.cat(codes.chunk(2)[::-1])


def generate(model: CrossModel, codes: Codes, slice_size: int = 0) -> Images:
    """Generate images from codes, G(a, b).

    Args:
        model: the networks.
        codes: of the images to generate.
        slice_size: how many images to generate at a time, keeping only their codes and generating them once more in
            the backward pass: memory no longer grows with the batch, for a third more work. 0 keeps all.
    """
    if slice_size == 0 or not torch.is_grad_enabled():
        return model.generator(codes.a, codes.b)
    slices = zip(codes.a.split(slice_size), codes.b.split(slice_size), strict=True)
    return torch.cat([checkpoint(model.generator, a, b, use_reentrant=False) for a, b in slices])


def mix(model: CrossModel, codes: Codes, slice_size: int = 0) -> Images:
    """Generate each image's A with the other image's B: [x_a1b2; x_a2b1] from the codes of [x1; x2]."""
    return generate(model, Codes(codes.a, swap_halves(codes.b)), slice_size)


def add_noise(values: Tensor, sigma: float) -> Tensor:
    """Values with Gaussian noise of the standard deviation sigma.

    On mixed images, so that no faint signal in them can be read again (against the steganography of Chu et al. 2017);
    on codes B, so that they can carry little (Gabbay & Hoshen 2020). Source: docs/method.md, section 6.
    """
    return values + sigma * own_rows(torch.randn_like, values) if sigma > 0 else values


def reassemble(model: CrossModel, codes_of_mix: Codes, slice_size: int = 0) -> Images:
    """Mix the mixed images again, which must return the originals [x1_rec; x2_rec].

    x1_rec takes A from x_a1b2 and B from x_a2b1, so the same exchange of halves returns the originals.
    """
    return mix(model, codes_of_mix, slice_size)
