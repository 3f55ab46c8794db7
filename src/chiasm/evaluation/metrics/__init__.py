"""The metrics of the evaluation. A new one is a file with measure() and rows(), and its line in METRICS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from chiasm.config import ConfigError
from chiasm.evaluation.context import MetricResult, MixedSet
from chiasm.evaluation.face_judge import require_packages
from chiasm.evaluation.format import Row
from chiasm.evaluation.metrics import (
    disentanglement,
    faces,
    invariance,
    leakage,
    realism,
    shortcuts,
    swap_accuracy,
    swap_error,
)


class Metric(NamedTuple):
    """A metric.

    Attributes:
        measure: the mixes of one part in, results out, or the reason why there are none.
        rows: results -> the rows of their table, the heading first.
        require: refuses to begin without what an extra brings; such a metric is measured only when it is named.
    """

    measure: Callable[[MixedSet], MetricResult]
    rows: Callable[[Mapping[str, Any]], Iterator[Row]]
    require: Callable[[], None] | None = None


METRICS: dict[str, Metric] = {
    "swap": Metric(swap_error.measure, swap_error.rows),
    "leakage": Metric(leakage.measure, leakage.rows),
    "swap_accuracy": Metric(swap_accuracy.measure, swap_accuracy.rows),
    "shortcuts": Metric(shortcuts.measure, shortcuts.rows),
    "realism": Metric(realism.measure, realism.rows),
    "disentanglement": Metric(disentanglement.measure, disentanglement.rows),
    "invariance": Metric(invariance.measure, invariance.rows),
    "faces": Metric(faces.measure, faces.rows, require_packages),
}
"""All metrics by the name that results and `--metrics` give them, in the order in which they are shown."""


def choose_metrics(names: Sequence[str] | None) -> dict[str, Metric]:
    """The named metrics, or all that need no extra; in the order of METRICS.

    Raises:
        ConfigError: for a name that no metric has, or whose packages are not installed.
    """
    if names is None:
        return {name: metric for name, metric in METRICS.items() if metric.require is None}
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ConfigError(f"metrics: got {', '.join(unknown)}; give any of {', '.join(METRICS)}.")
    chosen = {name: metric for name, metric in METRICS.items() if name in names}
    for metric in chosen.values():
        if metric.require is not None:
            metric.require()
    return chosen
