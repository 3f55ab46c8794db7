"""Doubling the side, with 2.25 times fewer multiplications than upsampling first."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class UpsampleConv(nn.Module):
    """Nearest upsampling by 2 and a 3x3 convolution, computed as one transposed convolution.

    Repeating every pixel twice and then weighting a 3x3 window is the same linear map as a transposed
    convolution with stride 2 and padding 1 whose 4x4 kernel is the 3x3 kernel convolved with a 2x2 block
    of ones; the borders agree exactly. The weight is kept in the layout of the plain convolution.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.empty(out_channels))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        bound = 1 / math.sqrt(in_channels * 9)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        """Features of any range -> features of twice the height and width."""
        flipped = self.weight.flip(2, 3).transpose(0, 1)
        shifted = [F.pad(flipped, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1)]
        kernel = torch.stack(shifted).sum(dim=0)
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)
