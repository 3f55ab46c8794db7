"""The weighted sum that the discriminator minimises."""

from typing import Any

import torch
from torch import nn

from chiasm.batch import Terms
from chiasm.config import GanConfig
from chiasm.cross import Images
from chiasm.losses import Classes, discriminator_loss, r1_penalty
from chiasm.networks.discriminator import build_discriminator


class DiscriminatorObjective(nn.Module):
    """What the discriminator minimises, eq. 19 and 21; the networks that made the images get no gradient.

    Args:
        config: kind of loss, widths and penalty.
        num_classes: classes that the discriminator is told of; 0 for none.
    """

    def __init__(self, config: GanConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.discriminator = build_discriminator(config, num_classes)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """As Objective's."""
        return [{"params": list(self.parameters()), "lr_share": 1.0}]

    def forward(self, x: Images, x_generated: Images, classes: Classes | None) -> Terms:
        """The weighted terms, by name.

        Args:
            x: real images.
            x_generated: generated ones, which show the same classes in this order, without gradient.
            classes: of both, -1 for unlabelled ones.
        """
        penalised = self.config.r1 > 0 and torch.is_grad_enabled()
        x = x.detach().requires_grad_(penalised)
        on_real = self.discriminator(x, classes)
        on_generated = self.discriminator(x_generated, classes)
        terms = {"discriminator": discriminator_loss(self.config.kind, on_real, on_generated)}
        if penalised:
            terms["r1"] = self.config.r1 * r1_penalty(on_real, x)
        return terms
