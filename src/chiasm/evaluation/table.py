"""Results as a table to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.evaluation.context import CLASSES, SAMPLES
from chiasm.evaluation.evaluate import NOT_MEASURED
from chiasm.evaluation.format import Row
from chiasm.evaluation.metrics import METRICS, Metric


def table(results: Mapping[str, Any]) -> str:
    """All results as text: a block for each metric of each part, then what was not measured and why.

    Args:
        results: what evaluate returned, or a results.json.
    """
    about = results["about"]
    blocks = [
        f"part {about['part']}, seed {about['seed']}, noise on code B in training {about['noise_b']:g}, "
        f"{about['num_images'].get('train', 0)} training images; {about['seconds']:.0f} s\n"
        f"[low, high]: {about['interval']}"
    ]
    for part in (SAMPLES, CLASSES):
        if part in results:
            num = about["num_images"][part]
            blocks.append(f"== {part.replace('_', '-', 1).replace('_', ' ')}: {num} images ==")
            blocks += [
                _block(metric, values) for name, metric in METRICS.items() if (values := results[part].get(name))
            ]
    reasons = [f"  {path}: {reason}" for path, reason in results[NOT_MEASURED].items()]
    if reasons:
        blocks.append("\n".join(["not measured", *reasons]))
    return "\n\n".join(blocks)


def _block(metric: Metric, values: Mapping[str, Any]) -> str:
    alarms = [f"  ! {sentence}" for sentence in values.get("alarms", [])]
    return "\n".join([*align(list(metric.rows(values))), *alarms])


def align(rows: Sequence[Row]) -> list[str]:
    """Rows with their columns one below the other, the first row a heading."""
    widths = [max(len(row[c]) for row in rows if c < len(row)) for c in range(max(map(len, rows), default=0))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return [*lines[:1], *("-" * len(line) for line in lines[:1]), *lines[1:]]
