"""Disassembly, mixing, reassembly: the method in a few pure functions.

Symbols follow docs/notation.md: digit = image, letter = factor, A before B.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from chiasm.networks import CrossModel

_share: ContextVar[tuple[int, int]] = ContextVar("share", default=(0, 1))

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


@contextmanager
def shared_noise(rank: int, world_size: int) -> Iterator[None]:
    """Draw noise for the batch of all devices, which have the same seed, and take this device's share of it.

    Args:
        rank: number of this device, from 0.
        world_size: number of devices.
    """
    before = _share.set((rank, world_size))
    try:
        yield
    finally:
        _share.reset(before)


def _own_rows(draw: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """Random values for this device's rows, shared out as pairs are: a part of the first halves and of the second."""
    rank, world_size = _share.get()
    if world_size == 1:
        return draw(like)
    of_all = draw(torch.cat([like.detach()] * world_size))
    return torch.cat([half.chunk(world_size)[rank] for half in of_all.chunk(2)])


def add_noise(values: Tensor, sigma: float) -> Tensor:
    """Values with Gaussian noise of the standard deviation sigma.

    On mixed images, so that no faint signal in them can be read again (against the steganography of Chu et al. 2017);
    on codes B, so that they can carry little (Gabbay & Hoshen 2020). Source: docs/method.md, section 6.
    """
    return values + sigma * _own_rows(torch.randn_like, values) if sigma > 0 else values


def random_shift(x: Images, reach: float) -> Images:
    """Images that are each shifted by a random distance of their own, the edge repeated where they leave the frame.

    A code of the shifted image cannot tell where exactly things stand in the image to be generated.

    Args:
        x: the images.
        reach: the largest distance, as a fraction of the side, both across and down.
    """
    if reach == 0:
        return x
    affine = torch.eye(2, 3, device=x.device).repeat(len(x), 1, 1)
    random = _own_rows(torch.rand_like, affine[:, :, 2])
    affine[:, :, 2] = 2 * reach * (2 * random - 1)  # the side is 2 in these units
    grid = F.affine_grid(affine, list(x.shape), align_corners=False).to(x.dtype)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def reassemble(model: CrossModel, codes_of_mix: Codes, slice_size: int = 0) -> Images:
    """Mix the mixed images again, which must return the originals [x1_rec; x2_rec].

    x1_rec takes A from x_a1b2 and B from x_a2b1, so the same exchange of halves returns the originals.
    """
    return mix(model, codes_of_mix, slice_size)
