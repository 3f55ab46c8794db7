"""One run of a study: trains it, measures it on held-out images of the validation part, and notes the numbers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.baselines import METHODS, configure, lord_step_size
from chiasm.checkpoint import load_model
from chiasm.config import Config
from chiasm.data import load_split, open_data
from chiasm.evaluation import evaluate_run
from chiasm.evaluation.context import SAMPLES, find_held_out
from chiasm.evaluation.triplets import sample_triplets
from chiasm.files import write_atomically
from chiasm.inference import encode, generate, to_unit
from chiasm.overrides import flatten, from_dict, to_dict
from chiasm.runs import RunFolder
from chiasm.training import FitResult, fit
from chiasm.training.budget import step_size
from studies.run import MEASURED_FILE

NUM_MIXES = 500
NUM_BINS = 40
REFERENCES = ("copy_x1", "copy_x2", "mean")


def train(folder: Path, config: Config, method: str | None) -> FitResult:
    """Train the project's own losses, or a baseline on the same networks, images, split and budget."""
    options: dict[str, Any] = {"name": folder.name, "runs": folder.parent, "progress_bar": False}
    if method is None:
        return fit(config, **options)
    config = configure(method, "compact", {}, flatten(to_dict(config)))
    schedule = lord_step_size if method == "lord" else step_size
    return fit(config, build=METHODS[method], schedule=schedule, **options)


def measure(folder: Path, config: Config, metrics: Sequence[str]) -> dict[str, Any]:
    """The numbers of a trained model on held-out combinations; without those that its images do not allow."""
    results, _ = evaluate_run(folder, part="val", num=NUM_MIXES, metrics=metrics, progress_bar=False)
    measured = results[SAMPLES]
    swap, accuracy, shortcuts = (measured[key] for key in ("swap", "swap_accuracy", "shortcuts"))
    realism = measured.get("realism", {})
    values = {
        "swap": swap["ratio"]["copy_x1"]["mean"],
        "swap_best": swap["swap"]["l1"]["mean"] / min(swap[reference]["l1"]["mean"] for reference in REFERENCES),
        "reconstruction": swap["reconstruction"]["l1"]["mean"],
        "copies": 100 * (shortcuts["copy_x1"]["mean"] + shortcuts["copy_x2"]["mean"]),
        **{key: realism[key]["mixes"]["mean"] for key in ("kid", "detail") if key in realism},
        **{factor: 100 * rates["mix"]["mean"] for factor, rates in accuracy.items()},
        **measure_pixels(RunFolder(folder), config),
    }
    if "leakage" in metrics:
        values["person_in_b"] = 100 * measured["leakage"]["class"]["b"]["mlp"]["mean"]
    return values


def measure_pixels(run: RunFolder, config: Config) -> dict[str, Any]:
    """How the pixels of the mixes and of the true images are distributed, and the percentage below 0."""
    images = open_data(config.data, config.model.side_px, progress_bar=False)
    part = find_held_out(images, load_split(run.split, images), "val")[0]
    x1, x2, truth = (images.gather(index) for index in sample_triplets(images, part.indices, NUM_MIXES, seed=0))
    model = load_model(run.model)
    mixes, true = generate(model, encode(model, x1)[0], encode(model, x2)[1]), to_unit(torch.from_numpy(truth))
    return {
        "dark": 100 * float((mixes < 0).float().mean()),
        "pixels": histogram(mixes),
        "pixels_real": histogram(true),
    }


def histogram(x: torch.Tensor) -> list[float]:
    """The share of pixel values in each of NUM_BINS equal parts of the inputs' scale, [-1, 1]."""
    return (torch.histc(x.clamp(-1, 1), NUM_BINS, -1, 1) / x.numel()).tolist()


def main(told: Mapping[str, Any]) -> None:
    """Make the run that is told of; its numbers appear when it is finished."""
    folder, config = Path(told["folder"]), from_dict(Config, told["config"])
    result = train(folder, config, told["method"])
    if result.interrupted:
        raise SystemExit("stopped before its budget was used up")
    measured = {"recipe": told["recipe"], "values": {**measure(folder, config, told["metrics"]), "steps": result.step}}
    write_atomically(folder / MEASURED_FILE, json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    main(json.load(sys.stdin))
