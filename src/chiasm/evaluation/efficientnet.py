"""Features of a network that was trained on ImageNet, with its weights in a package: nothing is downloaded."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.evaluation.classifiers import ByteImages
from chiasm.inference import BATCH, to_unit
from chiasm.networks.photo_features import efficientnet

SIDE_PX = 128


class EfficientNetFeatures(nn.Module):
    """EfficientNet-Lite0 up to its pooled features."""

    def __init__(self) -> None:
        super().__init__()
        self.net = efficientnet()

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1280"]:
        """Images in [-1, 1], the range that the network was trained with, brought to SIDE_PX."""
        x = F.interpolate(x, size=(SIDE_PX, SIDE_PX), mode="bicubic", align_corners=False, antialias=True)
        return self.net.extract_features(x.clamp(-1, 1)).mean(dim=(2, 3))

    @torch.inference_mode()
    def read(self, images: ByteImages) -> Float[Tensor, "n 1280"]:
        """Features of bytes, [n, 3, side, side], in batches."""
        x = torch.from_numpy(images)
        return torch.cat([self(to_unit(chunk)) for chunk in x.split(BATCH)])
