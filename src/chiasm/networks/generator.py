"""The generator: code B becomes an image, modulated by code A."""

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.config import Upsampling
from chiasm.networks.adain import adain
from chiasm.networks.unit_code import unit_code
from chiasm.networks.upsample import UpsampleConv


class Modulation(nn.Module):
    """One dense layer for each modulated layer turns code A into scales and shifts.

    Args:
        code_a: width of code A.
        widths: channels of each modulated layer.
    """

    def __init__(self, code_a: int, widths: Sequence[int]) -> None:
        super().__init__()
        layers = [nn.Linear(code_a, 2 * width) for width in widths]
        for layer, width in zip(layers, widths, strict=True):
            # Scales around 1 rather than 0, or every layer would fade what it is given.
            with torch.no_grad():
                layer.bias[:width] += 1.0
        self.layers: Sequence[nn.Linear] = nn.ModuleList(layers)  # type: ignore[assignment]  # no Sequence to mypy

    @property
    def num_outputs(self) -> int:
        """How many scales and shifts there are in all."""
        return sum(layer.out_features for layer in self.layers)

    def forward(
        self, a: Float[Tensor, "n a"], offsets: Float[Tensor, "n outputs"] | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        """Codes A, and what is added to the outputs -> for each modulated layer, scale and shift, [n, width] each."""
        outputs = [layer(a) for layer in self.layers]
        if offsets is not None:
            parts = offsets.split([layer.out_features for layer in self.layers], dim=1)
            outputs = [output + part for output, part in zip(outputs, parts, strict=True)]
        pairs = [output.chunk(2, dim=1) for output in outputs]
        return [(scale, shift) for scale, shift in pairs]


def _modulate(x: Float[Tensor, "n values"], scale: Tensor, shift: Tensor) -> Float[Tensor, "n values"]:
    """Scale and shift channels, of which a flat map has the values of a place together."""
    return (x.unflatten(1, (-1, scale.shape[1])) * scale[:, None] + shift[:, None]).flatten(1)


def _mix_channels(x: Float[Tensor, "n c h w"], mixing: Float[Tensor, "n c2"]) -> Float[Tensor, "n c h w"]:
    """Add to every channel a sum of all channels at its place, weighted by each image's own c x c matrix.

    Source: the residual adapter of Rebuffi et al. 2017 (Learning multiple visual domains with residual adapters).
    """
    places = x.permute(0, 2, 3, 1).flatten(1, 2)  # channels last, as convolutions give them
    mixed = torch.baddbmm(places, places, mixing.unflatten(1, (x.shape[1], -1)).transpose(1, 2))
    return mixed.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)


class Generator(nn.Module):
    """Code B becomes a small feature map; blocks of [upsample x2, conv 3x3, LeakyReLU, AdaIN] enlarge it.

    Args:
        side_px: height and width of the images generated.
        code_a: width of code A.
        code_b: width of code B.
        dense_widths: hidden widths of the dense layers.
        modulate_dense: whether code A scales and shifts the channels of the dense layers and of the first map, too,
            in the same way but without normalisation.
        unit_codes: whether the vector of code A, and what a dense layer takes from another, are brought to a root mean
            square of 1 first.
        widths: channels of the first map, then of each block.
        maps_a: channels of the maps of code A that stand beside the first map, beside what the first block gives, ...
        last_upsampling: how the last block doubles the side; the others repeat pixels.
        head_widths: channels of 5x5 convolutions at full size.
        rgb_kernel: kernel size of the last convolution.
        output: last activation; 'tanh' for [-1, 1], 'sigmoid' for [0, 1].

    Source: Gabbay & Hoshen, ICLR 2020 (LORD), as restated in docs/method.md, section 2.1.
    """

    def __init__(
        self,
        side_px: int,
        code_a: int,
        code_b: int,
        *,
        dense_widths: Sequence[int],
        modulate_dense: bool,
        unit_codes: bool,
        widths: Sequence[int],
        maps_a: Sequence[int] = (),
        last_upsampling: Upsampling = "nearest",
        head_widths: Sequence[int],
        rgb_kernel: int,
        output: Literal["tanh", "sigmoid"],
    ) -> None:
        super().__init__()
        self.base_px = side_px >> (len(widths) - 1)
        sizes = [code_b, *dense_widths, widths[0] * self.base_px**2]
        self.dense = nn.ModuleList(nn.Linear(sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1))
        self.maps = [(channels, self.base_px << i) for i, channels in enumerate(maps_a)]
        self.widths_a = [code_a, *(channels * px**2 for channels, px in self.maps)]
        beside = [*maps_a, *(0 for _ in widths[len(maps_a) :])]
        sizes_blocks = [(widths[i] + beside[i], widths[i + 1]) for i in range(len(widths) - 1)]
        self.blocks = nn.ModuleList(UpsampleConv(*sizes) for sizes in sizes_blocks[:-1])
        self.blocks.append(UpsampleConv(*sizes_blocks[-1], last_upsampling))
        self.dense_modulation = Modulation(code_a, [*dense_widths, widths[0]] if modulate_dense else [])
        self.modulation = Modulation(code_a, widths[1:])
        self.widths_mixing = [width**2 for width in widths[1:]]
        self.shape_image = (3, side_px, side_px)
        head = [widths[-1], *head_widths]
        self.head = nn.ModuleList(nn.Conv2d(head[i], head[i + 1], 5, padding=2) for i in range(len(head) - 1))
        self.rgb = nn.Conv2d(head[-1], 3, rgb_kernel, padding=rgb_kernel // 2)
        self.unit_codes, self.output = unit_codes, output

    @property
    def widths_offsets(self) -> list[int]:
        """How many offsets to scales and shifts the dense layers take, and the blocks."""
        return [self.dense_modulation.num_outputs, self.modulation.num_outputs]

    @property
    def width_image(self) -> int:
        """How many values an image has."""
        return math.prod(self.shape_image)

    @property
    def extended_a(self) -> int:
        """The width of a code A with all that may follow: offsets, a matrix that mixes channels for each block, and an
        image."""
        return sum(self.widths_a) + sum(self.widths_offsets) + sum(self.widths_mixing) + self.width_image

    def forward(self, a: Float[Tensor, "n a"], b: Float[Tensor, "n b"]) -> Float[Tensor, "n 3 side side"]:
        """Codes A and B -> images in [-1, 1] (tanh) or [0, 1] (sigmoid).

        A is the vector, then the maps; it may be extended by offsets to the scales and shifts, those of the dense
        layers first, by matrices for _mix_channels, one for each block, and by an image that is added to what is drawn,
        before the last activation.
        """
        widths = [*self.widths_offsets, *self.widths_mixing, self.width_image] if a.shape[1] == self.extended_a else []
        a, *parts = a.split(self.widths_a + widths, dim=1)
        a = unit_code(a) if self.unit_codes else a
        maps, extension = parts[: len(self.maps)], parts[len(self.maps) :]
        of_dense, of_blocks, *mixings, image = extension or (None, None, None)
        x = b
        for i, (dense, pair) in enumerate(zip_longest(self.dense, self.dense_modulation(a, of_dense))):
            x = unit_code(x) if self.unit_codes and i > 0 else x
            x = F.leaky_relu(dense(x), 0.01)
            x = x if pair is None else _modulate(x, *pair)
        # The dense layer writes the channels last already: to turn its image would take as long as a convolution.
        x = x.unflatten(1, (self.base_px, self.base_px, -1)).permute(0, 3, 1, 2)
        for i, (block, (scale, shift)) in enumerate(zip(self.blocks, self.modulation(a, of_blocks), strict=True)):
            if i < len(maps):
                channels, px = self.maps[i]
                x = torch.cat([x, maps[i].unflatten(1, (channels, px, px))], dim=1)
            x = block(x)  # n, width, 2h, 2w
            x = _mix_channels(x, mixings[i]) if mixings else x
            x = adain(F.leaky_relu(x, 0.01), scale, shift)
        for conv in self.head:
            x = F.leaky_relu(conv(x), 0.01)
        x = self.rgb(x)
        x = x if image is None else x + image.unflatten(1, self.shape_image)
        return torch.tanh(x) if self.output == "tanh" else torch.sigmoid(x)
