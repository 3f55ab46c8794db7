"""All measurements of one model, on held-out images of known classes and on held-out classes apart."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from chiasm.data import ImageSet, Split
from chiasm.evaluation import bootstrap
from chiasm.evaluation.context import CLASSES, SAMPLES, EvaluationContext, MetricResult, MixedSet, find_held_out
from chiasm.evaluation.metrics import Metric, choose_metrics
from chiasm.files import write_atomically
from chiasm.networks import CrossModel

NOT_MEASURED = "not measured"
PACKAGES = ("chiasm", "torch", "torchmetrics", "numpy", "pillow")


def evaluate(
    model: CrossModel,
    images: ImageSet,
    split: Split,
    *,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    num: int = 1000,
    part: Literal["test", "val"] = "test",
    progress_bar: bool = True,
) -> dict[str, Any]:
    """Measure everything that the images allow, or the metrics that are asked for.

    Args:
        model: in evaluation mode.
        images: the images and what is known of them.
        split: what the model was trained on, and what it was not.
        metrics: names of those to measure, see METRICS; by default all.
        seed: of all sampling, the probes and the classifiers.
        num: mixes in each part.
        part: "val" to choose a model, "test" to report on it.
        progress_bar: whether to show a bar.

    Returns:
        Plain values for JSON: for SAMPLES and CLASSES the results of each metric, numbers as `mean`, `low`, `high`
        and `n`; under NOT_MEASURED for each missing result the reason; and how all this was measured.

    Raises:
        ConfigError: for a name that no metric has.
    """
    started = time.perf_counter()
    chosen = choose_metrics(metrics)
    parts = find_held_out(images, split, part)
    context = EvaluationContext(model, images, split.train, num, seed)
    mixed_sets = [MixedSet(context, part) for part in parts]
    with tqdm(total=len(parts) * len(chosen), disable=not progress_bar, leave=False, unit="metric") as bar:
        measured = {mixed.part.name: _measure(mixed, chosen, bar) for mixed in mixed_sets}
    reasons = {f"{mixed.part.name}.mixes": _left_out(mixed) for mixed in mixed_sets if mixed.num_left_out}
    results = {name: _lift(values, name, reasons) for name, values in measured.items()}
    missing = [name for name in (SAMPLES, CLASSES) if name not in results]
    reasons |= dict.fromkeys(missing, f"the split has no such images in its part {part!r}")
    about = {
        **{"part": part, "seed": seed, "num": num, "noise_b": model.noise_b, "interval": bootstrap.HOW},
        "num_images": {"train": len(split.train)} | {p.name: len(p.indices) for p in parts},
        "num_mixes": {mixed.part.name: len(mixed.triplets.truth) for mixed in mixed_sets},
        "versions": _versions(),
        "seconds": round(time.perf_counter() - started, 1),
    }
    return {"about": about, **results, NOT_MEASURED: reasons}


def _left_out(mixed: MixedSet) -> str:
    return (
        f"{mixed.num_left_out} of {len(mixed.part.indices)} images are the truth of no mix: "
        "no other held-out image has their content, or no other image their class"
    )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def _measure(mixed: MixedSet, metrics: Mapping[str, Metric], bar: tqdm) -> dict[str, MetricResult]:
    """Metrics on one part."""
    results: dict[str, MetricResult] = {}
    for name, metric in metrics.items():
        bar.set_description(f"{mixed.part.name.replace('_', ' ')}: {name}")
        results[name] = _measure_one(mixed, metric)
        bar.update()
    return results


def _measure_one(mixed: MixedSet, metric: Metric) -> MetricResult:
    """Results of a metric, or why there are none; one that fails does not cost the others."""
    try:
        return metric.measure(mixed)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"


def save_results(results: dict[str, Any], path: Path) -> None:
    """Write results as JSON; the file is whole at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def _lift(values: Any, path: str, reasons: dict[str, str]) -> Any:
    """Results without the reasons among them, which are gathered under their paths; JSON holds finite numbers only."""
    if not isinstance(values, dict):
        return values
    kept = {}
    for key, value in values.items():
        if isinstance(value, str):
            reasons[f"{path}.{key}"] = value
        elif isinstance(value, float) and not math.isfinite(value):
            reasons[f"{path}.{key}"] = "not finite"
        else:
            kept[key] = _lift(value, f"{path}.{key}", reasons)
    return kept
