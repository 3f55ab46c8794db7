"""The encoder: an image becomes a code."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn


def _block(in_channels: int, out_channels: int, kernel: int, stride: int, padding: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.2, inplace=True),
    ]


class Encoder(nn.Module):
    """Stride-2 blocks of [Conv 4x4, BatchNorm, LeakyReLU 0.2], then what is left becomes the code.

    Args:
        side_px: height and width of the images.
        widths: output channels of the stride-2 blocks.
        code_width: width of the code.
        code_block: whether the last convolution is a block like the others (the original) or linear with a bias.
        pooled: twice as deep, with a block of 3x3 convolutions after each stride-2 one, and a mean over all places
            before the last convolution, which otherwise has weights of its own for each place.

    Source: docs/method.md, sections 2.1 and 2.2.
    """

    def __init__(
        self, side_px: int, widths: Sequence[int], code_width: int, *, code_block: bool, pooled: bool = False
    ) -> None:
        super().__init__()
        channels = [3, *widths]
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            layers += _block(channels[i], width, kernel=4, stride=2, padding=1)
            layers += _block(width, width, kernel=3, stride=1, padding=1) if pooled else []
        layers += [nn.AdaptiveAvgPool2d(1)] if pooled else []
        rest_px = 1 if pooled else side_px >> len(widths)
        if code_block:
            layers += _block(widths[-1], code_width, kernel=rest_px, stride=1, padding=0)
        else:
            layers += [nn.Conv2d(widths[-1], code_width, rest_px)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n code"]:
        """Images in [-1, 1] -> codes."""
        return self.layers(x).flatten(1)
