"""One loop on Lightning Fabric: order of steps, budgets, logging; no maths."""

from chiasm.training.fit import NoClassesError, fit
from chiasm.training.loop import FitResult, TrainingDivergedError

__all__ = ["FitResult", "NoClassesError", "TrainingDivergedError", "fit"]
