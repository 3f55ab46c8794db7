"""What the runs of a study have come to: table.md and figure.png, for each budget means and paired differences."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from chiasm.report.compare import Estimate
from studies.run import list_jobs, load_study, read_measured

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
SMALL = ("swap", "swap_best", "reconstruction", "kid", "detail")
"""Measures of three digits after the point; the others are percentages."""
ALONE = "Each interval stands for its own difference and is not widened for their number."


@dataclass(frozen=True)
class Row:
    """One setting at one budget; `by_seed` holds the numbers of its finished runs."""

    arm: str
    setting: str
    by_seed: dict[int, dict[str, Any]]

    def mean(self, key: str) -> Estimate | None:
        """A measure over the seeds, with its t interval."""
        return Estimate.of([values[key] for values in self.by_seed.values() if key in values])

    def difference(self, reference: Row, key: str) -> Estimate | None:
        """How far a measure is above that of another row, over the differences of runs of the same seed."""
        pairs = [(self.by_seed[s], reference.by_seed[s]) for s in self.by_seed if s in reference.by_seed]
        return Estimate.of([own[key] - other[key] for own, other in pairs if key in own and key in other])


Rows = dict[str, list[Row]]
"""For each budget its rows."""


def gather(study: Mapping[str, Any], runs: Path, recipe: Mapping[str, str]) -> tuple[Rows, list[str]]:
    """The numbers of all finished runs, and which runs are missing."""
    found: dict[str, dict[tuple[str, str], Row]] = {budget: {} for budget in study["budget"]}
    missing = []
    for job in list_jobs(study):
        row = found[job.budget].setdefault((job.arm, job.setting), Row(job.arm, job.setting, {}))
        values = read_measured(runs / job.name, recipe)
        if values is None:
            missing.append(str(job))
        else:
            row.by_seed[job.seed] = values
    arms = list(study["arms"])
    return {b: sorted(rows.values(), key=lambda row: arms.index(row.arm)) for b, rows in found.items()}, missing


def report(name: str, study: Mapping[str, Any], rows: Rows, missing: Sequence[str], recipe: Mapping[str, str]) -> str:
    """The text of table.md."""
    seeds = ", ".join(map(str, study["seeds"]))
    parts = [
        f"Commit {recipe['commit']}, `python studies/run.py {name}`; torch {recipe['torch']}; {recipe['machine']}.",
    ]
    if missing:
        parts.append("Not measured, since the run failed: " + "; ".join(missing) + ".")
    for budget, own in rows.items():
        parts += [
            f"## Budget: {study['budget'][budget]} {budget} a run",
            f"Mean over the seeds {seeds} ± half of its 95 % interval (Student's t).",
            means(study, own),
            f"Difference from `{study['reference']}` of the same objective, paired by seed, likewise. {ALONE}",
            differences(study, own),
        ]
    return "\n\n".join(parts) + "\n"


def means(study: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """A line for each setting: its mean and interval, and the steps it made."""
    lines = []
    for row in rows:
        cells = [show(row.mean(key), key) for key in study["measures"]]
        steps = [values["steps"] for values in row.by_seed.values()]
        lines.append([row.arm, row.setting, *cells, f"{np.mean(steps):.0f}" if steps else "–"])
    return grid([*(TITLES[key] for key in study["measures"]), "steps"], lines)


def differences(study: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """A line for each setting but the reference of its arm: how far it is from that."""
    references = {row.arm: row for row in rows if row.setting == study["reference"]}
    lines = []
    for row in rows:
        if row is not references[row.arm]:
            apart = {key: row.difference(references[row.arm], key) for key in study["measures"]}
            lines.append([row.arm, row.setting, *(show(value, key, sign="+") for key, value in apart.items())])
    return grid([TITLES[key] for key in study["measures"]], lines)


def show(estimate: Estimate | None, key: str, sign: str = "") -> str:
    """A mean and half of its interval in the digits of its measure; a dash where nothing was measured."""
    if estimate is None:
        return "–"
    digits = 3 if key in SMALL else 1
    half = "" if estimate.high is None else f" ± {estimate.high - estimate.mean:.{digits}f}"
    return f"{estimate.mean:{sign}.{digits}f}{half}"


def grid(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    head = ["objective", "setting", *titles]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *lines))


def plot(study: Mapping[str, Any], rows: Rows, path: Path) -> None:
    """The plotted measures of every setting with their intervals: a line for each budget, a colour for each arm."""
    num = len(study["figure"])
    figure = Figure(figsize=(4.5 * num, 3.8 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), num, squeeze=False)
    for line, (budget, own) in zip(axes, rows.items(), strict=True):
        labels = list(dict.fromkeys(row.setting for row in own))
        for axis, key in zip(line, study["figure"], strict=True):
            for i, arm in enumerate(study["arms"]):
                shown = [(row.setting, row.mean(key)) for row in own if row.arm == arm]
                known = [(labels.index(setting) + 0.12 * i, value) for setting, value in shown if value is not None]
                halves = [0.0 if value.high is None else value.high - value.mean for _, value in known]
                places, heights = [place for place, _ in known], [value.mean for _, value in known]
                axis.errorbar(places, heights, yerr=halves, fmt="o", capsize=3, label=arm)
            axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right", fontsize=7)
            axis.set_title(f"{TITLES[key]}\n{study['budget'][budget]} {budget}", fontsize=10)
            axis.grid(alpha=0.25)
    if len(study["arms"]) > 1:
        axes[0, 0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def plot_pixels(rows: Sequence[Row], path: Path) -> None:
    """How the pixels of the mixes are distributed on the inputs' scale, beside those of the true images."""
    arms = list(dict.fromkeys(row.arm for row in rows))
    figure = Figure(figsize=(4.5 * len(arms), 3.4), layout="constrained")
    for axis, arm in zip(figure.subplots(1, len(arms), squeeze=False)[0], arms, strict=True):
        own = [row for row in rows if row.arm == arm and row.by_seed]
        shown = [(row.setting, "pixels", row, {}) for row in own]
        shown += [("true images", "pixels_real", row, {"color": "0.6"}) for row in own[:1]]
        for label, key, row, style in shown:
            shares = np.mean([values[key] for values in row.by_seed.values()], axis=0)
            axis.stairs(shares, np.linspace(-1, 1, len(shares) + 1), label=label, **style)
        axis.set(title=arm, xlabel="pixel value on the inputs' scale", ylabel="share of the pixels", yscale="log")
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def main(told: Mapping[str, Any]) -> None:
    """Write what the study that is told of has come to into its folder."""
    folder, recipe = Path(told["study"]), told["recipe"]
    study = load_study(folder)
    rows, missing = gather(study, Path(told["runs"]), recipe)
    if not any(row.by_seed for own in rows.values() for row in own):
        raise SystemExit("no run was finished, so that there is nothing to write.")
    text = report(folder.name, study, rows, missing, recipe)
    (folder / "table.md").write_text(text, encoding="utf-8")
    plot(study, rows, folder / "figure.png")
    if "dark" in study["measures"]:
        plot_pixels(next(iter(rows.values())), folder / "pixels.png")
    print(text)


if __name__ == "__main__":
    main(json.load(sys.stdin))
