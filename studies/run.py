"""Runs a study: trains its sweeps, measures every model, and writes table.md and figure.png beside it.

    python studies/run.py N1             # one study; what is finished is not repeated
    python studies/run.py all

Each study is a folder with a study.yaml: `arms` (the objectives it is asked of, as changed settings), `keys` (what is
swept), `measures` (the columns of the table) and `figure` (those that are plotted). What all share: studies/base.yaml.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from matplotlib.figure import Figure

from chiasm.checkpoint import load_model
from chiasm.data import load_split, open_data
from chiasm.evaluation import evaluate_run
from chiasm.evaluation.context import SAMPLES, find_held_out
from chiasm.evaluation.triplets import sample_triplets
from chiasm.inference import encode, generate, to_unit
from chiasm.overrides import changed
from chiasm.presets import from_preset
from chiasm.report.compare import Comparison, compare
from chiasm.report.read import Run, read_material
from chiasm.sweep import Space
from chiasm.sweep.sweep import sweep

HERE = Path(__file__).parent
BASELINES = HERE.parent / "benchmarks" / "baselines.py"
STUDIES = ("ablation", "ablation-faces", "N1", "N2-Q5", "Q1", "Q2", "Q3", "Q4", "Q6", "Q7")
NUM_MIXES = 500
NUM_BINS = 40
REFERENCES = ("copy_x1", "copy_x2", "mean")
TITLES = {
    "swap": "swap L1 / copy x1",
    "swap_best": "swap L1 / best of copies and mean",
    "person_in_b": "class read from B, %",
    "pose": "pose of x2, %",
    "eyes": "eyes of x2, %",
    "reconstruction": "reconstruction L1",
    "class": "class of x1, %",
    "expression": "expression of x2, %",
    "tilt": "tilt of x2, %",
    "copies": "copies of x1 or x2, %",
    "kid": "KID of mixes",
    "detail": "high-frequency power / real",
    "dark": "pixels below 0, %",
}


def load_study(name: str) -> dict[str, Any]:
    """What all studies share, and what this one says."""
    base, own = (yaml.safe_load(path.read_text()) for path in (HERE / "base.yaml", HERE / name / "study.yaml"))
    return {**base, **own}


def spaces(study: Mapping[str, Any]) -> Iterator[tuple[str, Space]]:
    """The sweep of each arm."""
    for arm, settings in study["arms"].items():
        base = changed(
            from_preset(study["preset"]), {**study["shared"], **study["objectives"].get(arm, {}), **settings}
        )
        yield arm, Space.of(base, study["keys"])


def work(name: str, runs: Path, worker: int) -> None:
    """Train whatever of a study is left, beside other workers; every other one begins with the last arm."""
    study = load_study(name)
    arms = list(spaces(study))
    for arm, space in arms if worker % 2 == 0 else reversed(arms):
        sweep(space, preset=study["preset"], seeds=study["seeds"], name=f"{name}-{arm}", runs=runs)


def train(name: str, runs: Path, workers: int) -> None:
    """Start workers of one thread each, and wait for them; then the baselines, as many at a time."""
    commands = [[sys.executable, __file__, name, "--runs", str(runs), "--work", str(i)] for i in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(start, commands))
        list(pool.map(start, baseline_commands(load_study(name), name, runs)))


def start(command: list[str]) -> None:
    """Run a command on one thread."""
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)


def baseline_commands(study: Mapping[str, Any], name: str, runs: Path) -> list[list[str]]:
    """The trainings of the baselines that are left, on the networks, images and minutes of the arms."""
    settings = dict(study["shared"])
    source, minutes = settings.pop("data.source", "avatars"), settings.pop("train.max_minutes")
    commands = []
    for method in study.get("baselines", []):
        for seed in study["seeds"]:
            run = runs / f"{name}-{method}" / f"seed{seed}"
            if (run / "model").is_dir():
                continue
            shutil.rmtree(run, ignore_errors=True)
            command = [sys.executable, str(BASELINES), method, source, "--preset", study["preset"]]
            command += ["--minutes", minutes, "--seed", seed]
            command += ["--out", run.parent, "--name", run.name]
            command += [word for key, value in settings.items() for word in ("--set", key, json.dumps(value))]
            commands.append([str(word) for word in command])
    return commands


def measure(run: Run) -> dict[str, Any]:
    """The numbers of one model on held-out combinations."""
    file = run.folder.path / "study.json"
    if file.is_file():
        return json.loads(file.read_text())
    results, _ = evaluate_run(run.folder.path, part="val", num=NUM_MIXES, progress_bar=False)
    measured = results[SAMPLES]
    swap, leakage, accuracy, shortcuts = (measured[key] for key in ("swap", "leakage", "swap_accuracy", "shortcuts"))
    realism = measured.get("realism")  # of few images there is none
    values = {
        "swap": swap["ratio"]["copy_x1"]["mean"],
        "swap_best": swap["swap"]["l1"]["mean"] / min(swap[reference]["l1"]["mean"] for reference in REFERENCES),
        "person_in_b": 100 * leakage["class"]["b_used"]["mlp"]["mean"],
        "reconstruction": swap["reconstruction"]["l1"]["mean"],
        "copies": 100 * (shortcuts["copy_x1"]["mean"] + shortcuts["copy_x2"]["mean"]),
        "kid": realism["kid"]["mixes"]["mean"] if realism else math.nan,
        "detail": realism["detail"]["mixes"]["mean"] if realism else math.nan,
        **pixels(run),
        **{factor: 100 * rates["mix"]["mean"] for factor, rates in accuracy.items()},
    }
    file.write_text(json.dumps(values, indent=2))
    return values


def pixels(run: Run) -> dict[str, Any]:
    """How the pixels of the mixes and of the true images are distributed, and the percentage below 0."""
    images = open_data(run.config.data, run.config.model.side_px, progress_bar=False)
    part = find_held_out(images, load_split(run.folder.split, images), "val")[0]
    x1, x2, truth = (images.gather(index) for index in sample_triplets(images, part.indices, NUM_MIXES, seed=0))
    model = load_model(run.folder.model)
    mixes, true = generate(model, encode(model, x1)[0], encode(model, x2)[1]), to_unit(torch.from_numpy(truth))
    return {
        "dark": 100 * float((mixes < 0).float().mean()),
        "dark_real": 100 * float((true < 0).float().mean()),
        "pixels": shares(mixes),
        "pixels_real": shares(true),
    }


def shares(x: torch.Tensor) -> list[float]:
    """The share of pixel values in each of NUM_BINS equal parts of the inputs' scale, [-1, 1]."""
    return (torch.histc(x.clamp(-1, 1), NUM_BINS, -1, 1) / x.numel()).tolist()


def gather(name: str, runs: Path) -> dict[str, Comparison]:
    """Measure every finished run; its numbers join the metrics of its last validation."""
    study, compared = load_study(name), {}
    folders = {arm: [runs / f"{name}-{arm}"] for arm, _ in spaces(study)}
    for method in study.get("baselines", []):
        folders[method] = [runs / f"{name}-{method}" / f"seed{seed}" for seed in study["seeds"]]
    for arm, paths in folders.items():
        found = [run for run in read_material(paths).runs if run.state == "complete"]
        for run in found:
            values = measure(run)
            run.metrics.update({f"study/{key}": value for key, value in values.items() if not isinstance(value, list)})
        compared[arm] = compare(found)
    return compared


def table(study: Mapping[str, Any], compared: Mapping[str, Comparison]) -> str:
    """A row for each setting: mean and 95 % interval over the seeds."""
    head = ["objective", "setting", *(TITLES[key] for key in study["measures"]), "steps"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for arm, comparison in compared.items():
        for setting in comparison.settings:
            cells = []
            for key in study["measures"]:
                estimate = setting.mean(f"study/{key}")
                assert estimate is not None
                digits = 3 if key in ("swap", "swap_best", "reconstruction", "kid", "detail") else 1
                half = "" if estimate.high is None else f" ± {estimate.high - estimate.mean:.{digits}f}"
                cells.append(f"{estimate.mean:.{digits}f}{half}")
            steps = f"{np.mean([run.steps for run in setting.runs]):.0f}"
            lines.append("| " + " | ".join([arm, setting.label, *cells, steps]) + " |")
    return "\n".join(lines) + "\n"


def plot(study: Mapping[str, Any], compared: Mapping[str, Comparison], path: Path) -> None:
    """The plotted measures of every setting with their intervals, a colour for each objective."""
    figure = Figure(figsize=(4.5 * len(study["figure"]), 3.6), layout="constrained")
    axes = figure.subplots(1, len(study["figure"]), squeeze=False)[0]
    for axis, key in zip(axes, study["figure"], strict=True):
        for row, (arm, comparison) in enumerate(compared.items()):
            estimates = [setting.mean(f"study/{key}") for setting in comparison.settings]
            places = np.arange(len(estimates)) + 0.12 * row if study["keys"] else [row]
            means = [e.mean for e in estimates if e]
            halves = [e.high - e.mean if e.high is not None else 0.0 for e in estimates if e]
            axis.errorbar(places, means, yerr=halves, fmt="o-", capsize=3, label=arm)
        labels = (
            [setting.label.replace(", ", "\n") for setting in comparison.settings] if study["keys"] else [*compared]
        )
        axis.set_xticks(range(len(labels)), labels, rotation=45 if len(labels) > 3 else 0, ha="right", fontsize=7)
        axis.set_title(TITLES[key], fontsize=10)
        axis.grid(alpha=0.25)
    if study["keys"]:
        axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def draw_pixels(compared: Mapping[str, Comparison], path: Path) -> None:
    """How the pixels of the mixes are distributed on the inputs' scale, beside those of the true images."""
    figure = Figure(figsize=(4.5 * len(compared), 3.4), layout="constrained")
    axes = figure.subplots(1, len(compared), squeeze=False)[0]
    places = np.linspace(-1, 1, NUM_BINS + 1)
    for axis, (arm, comparison) in zip(axes, compared.items(), strict=True):
        read = [
            (setting.label, [json.loads((run.folder.path / "study.json").read_text()) for run in setting.runs])
            for setting in comparison.settings
        ]
        axis.stairs(np.mean([v["pixels_real"] for v in read[0][1]], axis=0), places, label="true images", color="0.6")
        for label, values in read:
            axis.stairs(np.mean([v["pixels"] for v in values], axis=0), places, label=label)
        axis.set(title=arm, xlabel="pixel value on the inputs' scale", yscale="log")
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def publish(name: str, runs: Path) -> None:
    """Write what a study has come to into its folder."""
    study, compared = load_study(name), gather(name, runs)
    (HERE / name / "table.md").write_text(table(study, compared))
    plot(study, compared, HERE / name / "figure.png")
    if "dark" in study["measures"]:
        draw_pixels(compared, HERE / name / "pixels.png")
    print((HERE / name / "table.md").read_text())


def main() -> None:
    """Run one study or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=[*STUDIES, "all"])
    parser.add_argument("--runs", type=Path, default=Path("runs/studies"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=int, metavar="I", help="be the I-th worker: train only")
    options = parser.parse_args()
    for name in STUDIES if options.study == "all" else [options.study]:
        if options.work is not None:
            work(name, options.runs, options.work)
            continue
        train(name, options.runs, options.workers)
        publish(name, options.runs)


if __name__ == "__main__":
    main()
