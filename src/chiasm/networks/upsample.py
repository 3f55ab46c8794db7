"""Doubling the side and convolving in one; nearest upsampling with 2.25 times fewer multiplications than in two."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.config import Upsampling

TAPS: dict[Upsampling, tuple[float, ...]] = {"nearest": (1.0, 1.0), "bilinear": (0.25, 0.75, 0.75, 0.25)}
"""What a pixel gives to each row, and each column, of the image of twice the side."""


class UpsampleConv(nn.Module):
    """Upsampling by 2 and a 3x3 convolution, computed as one transposed convolution.

    Giving every pixel to the places around it and then weighting a 3x3 window is the same linear map as a transposed
    convolution with stride 2 whose kernel is the 3x3 kernel convolved with what a pixel gives; the borders agree
    exactly. Beyond them lies 0 for nearest upsampling, and the border itself for bilinear, which would fade to it
    otherwise. The weight is kept in the layout of the plain convolution.

    Args:
        in_channels: channels of the features given.
        out_channels: channels of the features returned.
        upsampling: 'nearest' repeats every pixel, 'bilinear' goes evenly from one to the next.
    """

    def __init__(self, in_channels: int, out_channels: int, upsampling: Upsampling = "nearest") -> None:
        super().__init__()
        self.upsampling = upsampling
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.empty(out_channels))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        bound = 1 / math.sqrt(in_channels * 9)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        """Features of any range -> features of twice the height and width."""
        if self.upsampling == "nearest":
            return F.conv_transpose2d(x, self._kernel(), self.bias, stride=2, padding=1)
        for dim in (2, 3):
            x = torch.cat([x.narrow(dim, 0, 1), x, x.narrow(dim, -1, 1)], dim=dim)
        return F.conv_transpose2d(x, self._kernel(), self.bias, stride=2, padding=4)

    def _kernel(self) -> Float[Tensor, "c d k k"]:
        """The 3x3 kernel convolved with what a pixel gives."""
        flipped, taps = self.weight.flip(2, 3).transpose(0, 1), list(enumerate(TAPS[self.upsampling]))
        last = len(taps) - 1
        shifted = [F.pad(y * x * flipped, (j, last - j, i, last - i)) for i, y in taps for j, x in taps]
        return torch.stack(shifted).sum(dim=0)
