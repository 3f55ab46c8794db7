"""Disassembly, mixing, reassembly: the method in a few pure functions.

Symbols follow docs/notation.md: digit = picture, letter = factor, A before B.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from chiasm.networks import CrossModel

Images = Float[Tensor, "n 3 side side"]
CodesA = Float[Tensor, "n a"]
CodesB = Float[Tensor, "n b"]


class Codes(NamedTuple):
    """Both codes of a batch."""

    a: CodesA
    b: CodesB


def disassemble(model: CrossModel, x: Images) -> Codes:
    """Take pictures in [-1, 1] apart into code A and code B."""
    return Codes(model.encoder_a(x), model.encoder_b(x))


def swap_halves(codes: Tensor) -> Tensor:
    """Exchange the first and the second half of a batch: x1 becomes x2's partner and the other way round."""
    return torch.cat(codes.chunk(2)[::-1])


def draw(model: CrossModel, codes: Codes, slice_size: int = 0) -> Images:
    """Draw pictures from codes, G(a, b).

    Args:
        model: the networks.
        codes: of the pictures to draw.
        slice_size: how many pictures to draw at a time, keeping only their codes and drawing them once more in
            the backward pass: memory no longer grows with the batch, for a third more work. 0 keeps all.
    """
    if slice_size == 0 or not torch.is_grad_enabled():
        return model.generator(codes.a, codes.b)
    slices = zip(codes.a.split(slice_size), codes.b.split(slice_size), strict=True)
    return torch.cat([checkpoint(model.generator, a, b, use_reentrant=False) for a, b in slices])


def mix(model: CrossModel, codes: Codes, slice_size: int = 0) -> Images:
    """Draw each picture's A with its partner's B: [x_a1b2; x_a2b1] from the codes of [x1; x2]."""
    return draw(model, Codes(codes.a, swap_halves(codes.b)), slice_size)


def disturb(x_mix: Images, sigma: float) -> Images:
    """Mixed pictures with noise of a standard deviation sigma, so that no faint signal in them can be read again.

    Source: against the steganography of Chu et al. 2017; spec/cross-training.md, section 6.
    """
    return x_mix + sigma * torch.randn_like(x_mix) if sigma > 0 else x_mix


def move(x: Images, reach: float) -> Images:
    """Pictures that are each moved by a random distance of their own, the edge repeated where they leave the frame.

    A code that is read from them in place of the pictures to be drawn cannot tell where exactly things stand.

    Args:
        x: the pictures.
        reach: the largest distance, as a fraction of the side, both across and down.
    """
    if reach == 0:
        return x
    affine = torch.eye(2, 3, device=x.device).repeat(len(x), 1, 1)
    affine[:, :, 2] = 2 * reach * (2 * torch.rand(len(x), 2, device=x.device) - 1)  # the side is 2 in these units
    grid = F.affine_grid(affine, list(x.shape), align_corners=False).to(x.dtype)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def reassemble(model: CrossModel, codes_of_mix: Codes, slice_size: int = 0) -> Images:
    """Mix the mixed pictures again, which must return the originals [x1_rec; x2_rec].

    x1_rec takes A from x_a1b2 and B from x_a2b1, so the same exchange of halves leads home.
    """
    return mix(model, codes_of_mix, slice_size)
