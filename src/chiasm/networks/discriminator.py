"""The patch discriminators: is this patch of an image real?"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.config import GanConfig
from chiasm.networks.photo_features import CHANNELS, PhotoFeatures

WIDTH = 64


class Discriminator(nn.Module):
    """Stride-2 convolutions that end in one answer a patch; with classes, an answer about the class's image.

    Args:
        widths: output channels of the stride-2 convolutions.
        num_classes: classes that images may be of; 0 for an unconditional discriminator.

    Source: Isola et al. 2017; the answer about the class: _of_class.
    """

    def __init__(self, widths: Sequence[int], num_classes: int = 0) -> None:
        super().__init__()
        channels = [3, *widths]
        self.convs = nn.ModuleList(
            nn.Conv2d(channels[i], channels[i + 1], 4, stride=2, padding=1) for i in range(len(widths))
        )
        self.patches = nn.Conv2d(widths[-1], 1, 3, padding=1)
        self.classes = _class_rows(num_classes, widths[-1])

    def forward(
        self, x: Float[Tensor, "n 3 side side"], classes: Int[Tensor, "n"] | None = None
    ) -> Float[Tensor, "n patches"]:
        """Images in [-1, 1], and their classes (-1: unlabelled) -> one logit a patch, above 0 for real."""
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        return self.patches(x).flatten(1) + _of_class(x, self.classes, classes)


class FeatureDiscriminator(nn.Module):
    """Sees features of photographs: one answer for every two pixels and one for every eight.

    A few convolutions are all that it has to learn.

    Args:
        num_classes: as Discriminator's.

    Raises:
        ConfigError: where the packages that hold the features are not installed.

    Source: Sauer et al. 2021 (Projected GANs), without their random projections.
    """

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__()
        # In a tuple, so that its weights are no part of this module.
        self._features = (PhotoFeatures(),)
        halves, quarters, eighths = CHANNELS
        self.textures = nn.Sequential(
            nn.Conv2d(halves, WIDTH, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(WIDTH, 1, 3, padding=1)
        )
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(halves, WIDTH, 4, stride=4),
                nn.Conv2d(quarters, WIDTH, 4, stride=2, padding=1),
                nn.Conv2d(eighths, WIDTH, 3, padding=1),
            ]
        )
        self.joined = nn.Conv2d(3 * WIDTH, 2 * WIDTH, 3, padding=1)
        self.patches = nn.Conv2d(2 * WIDTH, 1, 3, padding=1)
        self.classes = _class_rows(num_classes, 2 * WIDTH)

    def forward(
        self, x: Float[Tensor, "n 3 side side"], classes: Int[Tensor, "n"] | None = None
    ) -> Float[Tensor, "n patches"]:
        """As Discriminator's."""
        features = [_unit_power(f) for f in self._features[0].to(x.device)(x)]
        seen = [F.leaky_relu(conv(f), 0.2) for conv, f in zip(self.convs, features, strict=True)]
        joined = F.leaky_relu(self.joined(torch.cat(seen, dim=1)), 0.2)
        logits = self.patches(joined).flatten(1) + _of_class(joined, self.classes, classes)
        return torch.cat([logits, self.textures(features[0]).flatten(1)], dim=1)


AnyDiscriminator = Discriminator | FeatureDiscriminator


def build_discriminator(config: GanConfig, num_classes: int) -> AnyDiscriminator:
    """The discriminator that a configuration asks for.

    Args:
        config: what it sees, and whether it is told of classes.
        num_classes: how many there are.
    """
    told = num_classes if config.conditional else 0
    return FeatureDiscriminator(told) if config.sees == "features" else Discriminator(config.widths, told)


def _class_rows(num_classes: int, width: int) -> nn.Embedding | None:
    # The last row is that of unlabelled images: it stays zero and adds nothing.
    return nn.Embedding(num_classes + 1, width, padding_idx=num_classes) if num_classes else None


def _of_class(
    x: Float[Tensor, "n width h w"], rows: nn.Embedding | None, classes: Int[Tensor, "n"] | None
) -> Float[Tensor, "n 1"] | float:
    """What to add to every logit of an image: how far its mean features are those of its class.

    Source: Miyato & Koyama 2018, eq. 3 (projection).
    """
    if rows is None or classes is None:
        return 0.0
    return (rows(classes.remainder(rows.num_embeddings)) * x.mean(dim=(2, 3))).sum(dim=1, keepdim=True)


def _unit_power(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """As unit_code, of a whole map, whose layout it keeps."""
    return x / x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-6)
