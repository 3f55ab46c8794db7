"""Classifiers: the class from a code, or from an image."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class CodeClassifier(nn.Module):
    """Two hidden layers that read the class from a code.

    Args:
        code_width: width of the code.
        num_classes: number of classes.
        hidden: width of the hidden layers.
    """

    def __init__(self, code_width: int, num_classes: int, hidden: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(code_width, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, code: Float[Tensor, "n code"]) -> Float[Tensor, "n classes"]:
        """Codes -> logits of the classes."""
        return self.layers(code)


class ImageClassifier(nn.Module):
    """Stride-2 convolutions, their mean over the image, and one linear map to the classes.

    Without BatchNorm, so that classifying mixed images leaves no trace in it.

    Args:
        widths: output channels of the convolutions.
        num_classes: number of classes.
    """

    def __init__(self, widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        channels = [3, *widths]
        self.convs = nn.ModuleList(
            nn.Conv2d(channels[i], channels[i + 1], 4, stride=2, padding=1) for i in range(len(widths))
        )
        self.classes = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n classes"]:
        """Images in [-1, 1] -> logits of the classes."""
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        return self.classes(x.mean(dim=(2, 3)))
