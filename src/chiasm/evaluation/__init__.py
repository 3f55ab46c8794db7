"""Measurements: a model and images in, numbers out."""

from chiasm.evaluation.evaluate import evaluate, save_results
from chiasm.evaluation.evaluate_run import evaluate_run
from chiasm.evaluation.metrics import METRICS
from chiasm.evaluation.table import table

__all__ = ["METRICS", "evaluate", "evaluate_run", "save_results", "table"]
