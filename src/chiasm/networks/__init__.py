"""Networks: encoders, the AdaIN generator, and the model that holds them."""

from chiasm.networks.model import CrossModel

__all__ = ["CrossModel"]
