"""The encoders: an image becomes a code, in one of several ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from chiasm.config import ModelConfig
from chiasm.networks.unit_code import unit_code


class Encoder(nn.Module):
    """Strided blocks of [Conv, BatchNorm, LeakyReLU 0.2], then what is left becomes the code.

    Args:
        layers: these.
        maps: by the index of a layer what reads a map from what it gives, in the order in which they follow the code.

    Attributes:
        unit_code: whether the code, apart from its maps, is brought to a root mean square of 1.
        mirror: whether an image's code is the mean over it and its mirror image.

    Source: docs/method.md, sections 2.1 and 2.2.
    """

    def __init__(self, layers: list[nn.Module], maps: Mapping[int, nn.Module] | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.unit_code = self.mirror = False
        self.maps = nn.ModuleDict({str(index): read for index, read in (maps or {}).items()})

    def forward(self, x: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n code"]:
        """Images in [-1, 1] -> codes."""
        if self.mirror:
            x = torch.cat([x, x.flip(-1)])
        seen = {}
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if str(index) in self.maps:
                seen[str(index)] = x
        parts = [x, *(read(seen[index]) for index, read in self.maps.items())]
        if self.mirror:
            parts = [part.unflatten(0, (2, -1)).mean(dim=0) for part in parts]
        code, *maps = (part.flatten(1) for part in parts)
        return torch.cat([unit_code(code) if self.unit_code else code, *maps], dim=1)


def spatial(config: ModelConfig, code_width: int, maps: Sequence[int] = ()) -> Encoder:
    """The last convolution covers the whole remaining map: each place is seen apart."""
    layers = [layer for block in _strided(config) for layer in block]
    read = _maps(config, maps, len(layers))
    rest_px = config.side_px >> config.encoder_halvings
    return Encoder(layers + _code(config, code_width, kernel=rest_px), read)


def pooled(config: ModelConfig, code_width: int, maps: Sequence[int] = ()) -> Encoder:
    """Twice as deep, a block of 3x3 convolutions after each strided one; the mean over all places, then the code."""
    layers: list[nn.Module] = []
    for block, width in zip(_strided(config), config.encoder_widths, strict=True):
        layers += block + _block(width, width, kernel=3, stride=1, padding=1)
    read = _maps(config, maps, len(layers))
    layers += [nn.AdaptiveAvgPool2d(1), *_code(config, code_width, kernel=1)]
    return Encoder(layers, read)


ENCODERS: dict[str, Callable[[ModelConfig, int, Sequence[int]], Encoder]] = {"spatial": spatial, "pooled": pooled}
"""What model.encoder_a and model.encoder_b may name: from the configuration, the width of the code, and the channels of
maps beside it, to an encoder."""


def _maps(config: ModelConfig, maps: Sequence[int], num_layers: int) -> dict[int, nn.Module]:
    """A 1x1 convolution for each map, at the end of the stage, of as many layers each, that sees the map's places."""
    layers_each = num_layers // len(config.encoder_widths)
    return {
        (block + 1) * layers_each - 1: nn.Conv2d(config.encoder_widths[block], width, 1)
        for block, width in zip(config.maps_blocks, maps, strict=False)
    }


def _strided(config: ModelConfig) -> list[list[nn.Module]]:
    """The blocks that make the image smaller."""
    strides = (config.encoder_stride, *(2 for _ in config.encoder_widths[1:]))
    return [
        _block(before, width, kernel=2 * stride, stride=stride, padding=stride // 2)
        for stride, (before, width) in zip(strides, pairwise([3, *config.encoder_widths]), strict=True)
    ]


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
