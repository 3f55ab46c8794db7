"""The patch discriminator: is this patch of an image real?"""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


class Discriminator(nn.Module):
    """Stride-2 convolutions that end in one answer a patch; with classes, an answer about the class's image.

    Args:
        widths: output channels of the stride-2 convolutions.
        num_classes: classes that images may be of; 0 for an unconditional discriminator.

    Source: Isola et al. 2017 (patches); Miyato & Koyama 2018, eq. 3 (projection of the class).
    """

    def __init__(self, widths: Sequence[int], num_classes: int = 0) -> None:
        super().__init__()
        channels = [3, *widths]
        self.convs = nn.ModuleList(
            nn.Conv2d(channels[i], channels[i + 1], 4, stride=2, padding=1) for i in range(len(widths))
        )
        self.patches = nn.Conv2d(widths[-1], 1, 3, padding=1)
        # The last row is that of unlabelled images: it stays zero and adds nothing.
        self.classes = nn.Embedding(num_classes + 1, widths[-1], padding_idx=num_classes) if num_classes else None

    def forward(
        self, x: Float[Tensor, "n 3 side side"], classes: Int[Tensor, "n"] | None = None
    ) -> Float[Tensor, "n 1 h w"]:
        """Images in [-1, 1], and their classes (-1: unlabelled) -> one logit a patch, above 0 for real."""
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        logits = self.patches(x)
        if self.classes is None or classes is None:
            return logits
        rows = self.classes(classes.remainder(self.classes.num_embeddings))
        return logits + (rows * x.mean(dim=(2, 3))).sum(dim=1)[:, None, None, None]
