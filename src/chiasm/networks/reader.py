"""A reader: it tells the class from a code."""

from jaxtyping import Float
from torch import Tensor, nn


class CodeReader(nn.Module):
    """Two hidden layers that read the class from a code.

    Args:
        code_width: width of the code.
        num_classes: classes to tell apart.
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
