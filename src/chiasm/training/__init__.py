"""One loop on Lightning Fabric: order of steps, budgets, logging; no maths."""

from chiasm.training.fit import fit
from chiasm.training.loop import FitResult, TrainingDivergedError

__all__ = ["FitResult", "TrainingDivergedError", "fit"]
