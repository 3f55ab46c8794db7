"""A saved model and the images of its run in, results.json out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chiasm.card import write_card
from chiasm.checkpoint import load_model
from chiasm.config import Config, ConfigError, DataConfig, require
from chiasm.data import DataError, ImageSet, Split, load_names, load_split, make_split, open_data, split_of_new
from chiasm.evaluation.context import CLASSES, SAMPLES
from chiasm.evaluation.earlier import with_earlier
from chiasm.evaluation.evaluate import evaluate, save_results
from chiasm.evaluation.metrics import choose_metrics
from chiasm.evaluation.metrics.shortcuts import alarms
from chiasm.evaluation.table import table
from chiasm.overrides import to_dict
from chiasm.people import digest_of
from chiasm.runs import CONFIG_FILE, RESULTS_FILE, RunFolder, read_metrics

MAX_MIXES = 1_000_000
UNKNOWN = "unknown"


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
    """Measure a saved model and write the results beside it, and those on a run's own images into its model's card.

    Results there of other metrics stay, where they were measured alike; the file of others gets a number.

    Args:
        path: a run, or a model folder in a run or of its own.
        source: the images, instead of those of the run. Of these the run's training images are found by name and by
            content, and all others are measured. Where there are none, a split of their own is made: one part of them
            teaches classifiers and probes, and the other is measured. So it is for a model that lies in no run, of
            which it is not known what it was trained on.
        part: "val" to choose a model, "test" to report on it.
        seed: of all sampling, probes and classifiers.
        num: mixes in each part.
        metrics: names of those to measure; by default all.
        output: the file to write, instead of results.json in the run or the model folder; the card then stays as it is.
        progress_bar: whether to show bars.

    Returns:
        What evaluate returns, with the model and its data noted under `about`; and the file they are in.

    Raises:
        ValueError: for a model, images or settings that cannot be used, with the remedy.
    """
    choose_metrics(metrics)  # refused here already, since opening the images may take minutes
    require(1 <= num <= MAX_MIXES, "num", num, f"give a positive number of mixes, at most {MAX_MIXES}")
    require(seed >= 0, "seed", seed, "give a number >= 0")
    model = load_model(path)
    folder = next((p for p in (path, path.absolute().parent) if (p / CONFIG_FILE).is_file()), None)
    run, config = RunFolder.open(folder) if folder is not None else (None, Config())
    if run is None and source is None:
        raise ConfigError(f"{path} lies in no run, so that its images are not known; give DATA too.")
    data = dataclasses.replace(config.data, fit=model.fit, source=source or config.data.source)
    images = open_data(data, model.config.side_px, progress_bar=progress_bar)
    split, trained_on = _split(run, config.data, images, data, source is not None, progress_bar)
    if trained_on not in (None, UNKNOWN, 0) and part == "val":
        raise ConfigError("part: got 'val', but of these images all that the run was not trained on are for the test.")
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
    results["about"] |= {"model": str(path), "weights": digest_of(model), "data": to_dict(data)}
    results["about"]["labels"] = _digest_of_labels(images)
    if trained_on is not None:
        results["about"]["trained_on"] = trained_on
    file = output or (path if run is None else run.path) / RESULTS_FILE
    all_of_them = results if output is not None else with_earlier(results, file)
    save_results(all_of_them, file)
    if run is not None and trained_on is None and output is None:
        write_card(run, config, alarms=_alarms(run, all_of_them), evaluation=table(all_of_them))
    return results, file


def _alarms(run: RunFolder, results: dict[str, Any]) -> list[str]:
    """What is wrong with a model, as the metrics say; where they say nothing, as the end of its training did."""
    measured = [values for part in (SAMPLES, CLASSES) for values in results.get(part, {}).values()]
    raised = [alarm for values in measured if isinstance(values, dict) for alarm in values.get("alarms", [])]
    last = {key: value for row in read_metrics(run.metrics) for key, value in row.items()}
    shortcuts = {key.removeprefix("shortcut/"): value for key, value in last.items() if key.startswith("shortcut/")}
    return raised or alarms(shortcuts)


def _split(
    run: RunFolder | None, own: DataConfig, images: ImageSet, data: DataConfig, given: bool, progress_bar: bool
) -> tuple[Split, int | str | None]:
    """Which images are held out; and on how many the run was trained, where these are others than its own."""
    if run is None:
        return make_split(images, data), UNKNOWN
    names = load_names(run.split)
    if data == own and (not given or set(images.names) <= {name for part in names.values() for name in part}):
        return load_split(run.split, images), None
    trained = _trained_on(set(names["train"]), own, images, data, progress_bar)
    return (split_of_new(images, trained), int(trained.sum())) if trained.any() else (make_split(images, data), 0)


def _trained_on(
    names: set[str], own: DataConfig, images: ImageSet, data: DataConfig, progress_bar: bool
) -> NDArray[np.bool_]:
    """[n] whether a run was trained on an image: on one of that name in its own folder, or of that content anywhere."""
    digests = images.digests()
    named = _named(images, names)
    if data.source == own.source:
        return named | np.isin(digests, digests[named])
    try:
        originals = open_data(
            dataclasses.replace(own, fit=data.fit), images.images.shape[-1], progress_bar=progress_bar
        )
    except DataError:  # the run's own images have gone, perhaps to where these are
        return named
    return np.isin(digests, originals.digests()[_named(originals, names)])


def _digest_of_labels(images: ImageSet) -> str:
    """A hash of the names, classes and contents of images."""
    digest = hashlib.sha256(np.ascontiguousarray(images.classes).tobytes() + images.contents.tobytes())
    for name in images.names:
        digest.update(f"{name}\0".encode(errors="surrogatepass"))
    return digest.hexdigest()


def _named(images: ImageSet, names: set[str]) -> NDArray[np.bool_]:
    return np.fromiter((name in names for name in images.names), dtype=bool, count=len(images))
