"""Disassembly, mixing, reassembly: the method in a few pure functions.

Symbols follow docs/notation.md: digit = picture, letter = factor, A before B.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

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


def mix(model: CrossModel, codes: Codes) -> Images:
    """Draw each picture's A with its partner's B: [x_a1b2; x_a2b1] from the codes of [x1; x2]."""
    return model.generator(codes.a, swap_halves(codes.b))


def reassemble(model: CrossModel, codes_of_mix: Codes) -> Images:
    """Mix the mixed pictures again, which must return the originals [x1_rec; x2_rec].

    x1_rec takes A from x_a1b2 and B from x_a2b1, so the same exchange of halves leads home.
    """
    return mix(model, codes_of_mix)
