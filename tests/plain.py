"""The networks in a few lines of textbook PyTorch: what the fast form must agree with, and is timed against.

They share the parameters of the model that they are built around, so that outputs and gradients compare directly.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.networks import CrossModel


class PlainGenerator(nn.Module):
    """Upsample, convolve, LeakyReLU, normalise, scale and shift: each operation on its own."""

    def __init__(self, model: CrossModel) -> None:
        super().__init__()
        self.fast = model.generator

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        fast, x = self.fast, b
        a, maps = a[:, : fast.widths_a[0]], a[:, fast.widths_a[0] :]
        if fast.unit_codes:
            a = a / a.square().mean(dim=1, keepdim=True).sqrt()
        layers = fast.dense_modulation.layers
        for i, dense in enumerate(fast.dense):
            if fast.unit_codes and i > 0:
                x = x / x.square().mean(dim=1, keepdim=True).sqrt()
            x = F.leaky_relu(F.linear(x, dense.weight, dense.bias), 0.01)
            if i == len(fast.dense) - 1:
                x = x.view(len(b), fast.base_px, fast.base_px, -1).permute(0, 3, 1, 2).contiguous()
            if len(layers) > 0:
                scale, shift = layers[i](a).reshape(len(a), 2, -1, *[1] * (x.ndim - 2)).unbind(1)
                x = x * scale + shift
        for i, (block, modulation) in enumerate(zip(fast.blocks, fast.modulation.layers, strict=True)):
            if i < len(fast.maps):
                channels, px = fast.maps[i]
                x = torch.cat([x, maps[:, : channels * px**2].reshape(-1, channels, px, px)], dim=1)
                maps = maps[:, channels * px**2 :]
            x, padding = F.interpolate(x, scale_factor=2, mode=block.upsampling), 1
            if block.upsampling == "bilinear":
                x, padding = F.pad(x, (1, 1, 1, 1), mode="replicate"), 0
            x = F.leaky_relu(F.conv2d(x, block.weight, block.bias, padding=padding), 0.01)
            mean = x.mean(dim=(2, 3), keepdim=True)
            std = (((x - mean) ** 2).mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
            scale, shift = modulation(a)[:, :, None, None].chunk(2, dim=1)
            x = (x - mean) / std * scale + shift
        for conv in fast.head:
            x = F.leaky_relu(F.conv2d(x, conv.weight, conv.bias, padding=2), 0.01)
        x = F.conv2d(x, fast.rgb.weight, fast.rgb.bias, padding=fast.rgb.kernel_size[0] // 2)
        return torch.tanh(x) if fast.output == "tanh" else torch.sigmoid(x)


class PlainModel(nn.Module):
    """The encoders as they are, in the layout of textbook code, and the plain generator."""

    def __init__(self, model: CrossModel) -> None:
        super().__init__()
        self.config = model.config
        self.encoder_a, self.encoder_b = model.encoder_a, model.encoder_b
        self.generator = PlainGenerator(model)
        self.to(memory_format=torch.contiguous_format)
