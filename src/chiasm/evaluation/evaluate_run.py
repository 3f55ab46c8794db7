"""A saved model and the images of its run in, results.json out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from chiasm.checkpoint import load_model
from chiasm.config import Config, ConfigError
from chiasm.data import load_split, make_split, open_data
from chiasm.evaluation.evaluate import evaluate, save_results
from chiasm.evaluation.metrics import choose_metrics
from chiasm.overrides import to_dict
from chiasm.runs import CONFIG_FILE, RESULTS_FILE, RunFolder


def evaluate_run(
    path: Path,
    source: str | None = None,
    *,
    part: Literal["test", "val"] = "test",
    seed: int = 0,
    num: int = 1000,
    metrics: Sequence[str] | None = None,
    output: Path | None = None,
    progress_bar: bool = True,
) -> tuple[dict[str, Any], Path]:
    """Measure a saved model and write the results beside it.

    Args:
        path: a run, or a model folder in a run or of its own.
        source: the images, instead of those of the run; a split of their own is made for them.
        part: "val" to choose a model, "test" to report on it.
        seed: of all sampling, probes and classifiers.
        num: mixes in each part.
        metrics: names of those to measure; by default all.
        output: the file to write, instead of results.json in the run or the model folder.
        progress_bar: whether to show bars.

    Returns:
        What evaluate returns, with the model and its data noted under `about`; and the file they were written to.

    Raises:
        ValueError: for a model, images or settings that cannot be used, with the remedy.
    """
    choose_metrics(metrics)  # refused here already, since opening the images may take minutes
    if num < 1:
        raise ConfigError(f"num: got {num}; give a positive number of mixes.")
    model = load_model(path)
    folder = next((p for p in (path, path.parent) if (p / CONFIG_FILE).is_file()), None)
    run, config = RunFolder.open(folder) if folder is not None else (None, Config())
    if run is None and source is None:
        raise ConfigError(f"{path} lies in no run, so that its images are not known; give DATA too.")
    data = dataclasses.replace(config.data, fit=model.fit, source=source or config.data.source)
    images = open_data(data, model.config.side_px, progress_bar=progress_bar)
    split = load_split(run.split, images) if run is not None and data == config.data else make_split(images, data)
    results = evaluate(
        model,
        images,
        split,
        metrics=metrics,
        seed=seed,
        num=num,
        part=part,
        progress_bar=progress_bar,
    )
    results["about"] |= {"model": str(path), "data": to_dict(data)}
    file = output or (path if run is None else run.path) / RESULTS_FILE
    save_results(results, file)
    return results, file
