"""The encoders: an image becomes a code, in one of several ways."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from chiasm.config import ModelConfig


class Encoder(nn.Module):
    """Stride-2 blocks of [Conv 4x4, BatchNorm, LeakyReLU 0.2], then what is left becomes the code.

    Source: docs/method.md, sections 2.1 and 2.2.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n code"]:
        """Images in [-1, 1] -> codes."""
        return self.layers(x).flatten(1)


def spatial(config: ModelConfig, code_width: int) -> Encoder:
    """The last convolution covers the whole remaining map: each place is seen apart."""
    layers: list[nn.Module] = []
    for before, width in pairwise([3, *config.encoder_widths]):
        layers += _block(before, width, kernel=4, stride=2, padding=1)
    rest_px = config.side_px >> len(config.encoder_widths)
    return Encoder(layers + _code(config, code_width, kernel=rest_px))


def pooled(config: ModelConfig, code_width: int) -> Encoder:
    """Twice as deep, a block of 3x3 convolutions after each stride-2 one; the mean over all places, then the code."""
    layers: list[nn.Module] = []
    for before, width in pairwise([3, *config.encoder_widths]):
        layers += _block(before, width, kernel=4, stride=2, padding=1)
        layers += _block(width, width, kernel=3, stride=1, padding=1)
    return Encoder([*layers, nn.AdaptiveAvgPool2d(1), *_code(config, code_width, kernel=1)])


ENCODERS: dict[str, Callable[[ModelConfig, int], nn.Module]] = {"spatial": spatial, "pooled": pooled}
"""What model.encoder_a and model.encoder_b may name: from the configuration and the width of the code to an encoder."""


def _block(in_channels: int, out_channels: int, *, kernel: int, stride: int, padding: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.2, inplace=True),
    ]


def _code(config: ModelConfig, code_width: int, *, kernel: int) -> list[nn.Module]:
    """The last convolution: a block like the others (the original), or linear with a bias."""
    width = config.encoder_widths[-1]
    if config.code_block:
        return _block(width, code_width, kernel=kernel, stride=1, padding=0)
    return [nn.Conv2d(width, code_width, kernel)]
