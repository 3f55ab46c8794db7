"""One loop on Lightning Fabric: order of steps, budgets, logging; no maths."""

from chiasm.training.fit import fit

__all__ = ["fit"]
