"""Codes of a size that does not grow, as a function."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def unit_code(code: Float[Tensor, "n width"]) -> Float[Tensor, "n width"]:
    """Each code with a root mean square of 1.

    A code that may grow does, and what it modulates with it, so that steps of the same size come to mean ever less.
    """
    return F.normalize(code, dim=1) * code.shape[1] ** 0.5
