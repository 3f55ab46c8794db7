"""What runs and sweeps have left in their folders, with what is missing named instead of refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from chiasm.config import Config
from chiasm.data import load_names
from chiasm.files import read_json
from chiasm.runs import CONFIG_FILE, MODEL_FILE, RESULTS_FILE, TRIAL_FILE, RunError, RunFolder, read_metrics
from chiasm.sweep.manifest import SWEEP_FILE
from chiasm.training.budget import Budget

COMPLETE = "complete"
ALMOST = 1 - 1e-6
"""For minutes that were written with a rounding."""


@dataclass(frozen=True)
class Run:
    """One run as its folder tells it.

    Attributes:
        folder: its folder.
        config: its configuration.
        rows: of metrics.csv.
        trial: what its sweep noted of it; empty for a run of its own.
        results: of chiasm evaluate, where that was called.
    """

    folder: RunFolder
    config: Config
    rows: list[dict[str, float]]
    trial: dict[str, Any]
    results: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.path.name

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self.config.train.seed

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The last validation."""
        measured = [row for row in self.rows if any(name.startswith("swap/") for name in row)]
        return {key: value for key, value in measured[-1].items() if "/" in key} if measured else {}

    @cached_property
    def state(self) -> str:
        """Complete, failed, stopped, running as a sweep noted it; complete or unfinished of a run of its own."""
        complete = self.metrics and self.has_model and self._used_up
        return self.trial.get("state", COMPLETE if complete else "unfinished")

    @property
    def _used_up(self) -> bool:
        """Whether the budget is used up; an epoch is taken as each image once, on the devices of one machine."""
        num_train = len(load_names(self.folder.split)["train"]) if self.folder.split.is_file() else 0
        train = self.config.train
        budget = Budget.of(train, num_train / (train.batch_size * train.devices))
        return budget.progress(self.steps, 60 * self.minutes) > ALMOST

    @property
    def has_model(self) -> bool:
        """Whether a model was saved."""
        return (self.folder.model / MODEL_FILE).is_file()

    @property
    def steps(self) -> int:
        """The last step that was noted."""
        return int(max((row["step"] for row in self.rows), default=0))

    @property
    def minutes(self) -> float:
        """The minutes trained, as last noted."""
        return max((row.get("minutes", 0.0) for row in self.rows), default=0.0)

    @property
    def missing(self) -> list[str]:
        """What the run has not (yet) left, and how to get it."""
        lacks = []
        if self.state != COMPLETE:
            reason = self.trial.get("reason")
            lacks.append(f"{self.state}: {reason}" if reason else self.state)
        if not self.metrics:
            lacks.append("no validation was noted")
        if not self.has_model:
            lacks.append("no model was saved")
        return lacks


@dataclass(frozen=True)
class Material:
    """All that a report is about.

    Attributes:
        runs: each once.
        commands: that make them again.
        sweeps: the descriptions of the sweeps among them.
        empty: what was asked for but holds nothing yet, with the reason.
    """

    runs: list[Run]
    commands: list[str]
    sweeps: list[dict[str, Any]]
    empty: list[str]


def read_material(paths: Sequence[Path]) -> Material:
    """Read runs and sweeps.

    Raises:
        RunError: for a folder that is neither a run nor a sweep, or where no run is left to tell of.
    """
    folders: list[Path] = []
    commands, sweeps, empty = [], [], []
    for path in paths:
        if (path / SWEEP_FILE).is_file():
            about = _read_json(path / SWEEP_FILE)
            sweeps.append(about)
            commands.append(about.get("command", ""))
            folders += sorted(file.parent for file in path.glob(f"*/{TRIAL_FILE}"))
        elif (path / CONFIG_FILE).is_file():
            commands.append(f"chiasm fit --config {path / CONFIG_FILE}")
            folders.append(path)
        else:
            raise RunError(f"{path} is neither a run nor a sweep; give a folder of chiasm fit or chiasm sweep.")
    runs = []
    for folder in dict.fromkeys(folders):
        try:
            runs.append(_read_run(folder))
        except RunError as error:
            empty.append(f"{folder.name}: {error}")
    if not runs:
        raise RunError(f"{', '.join(map(str, paths))}: no run has begun; wait for the first one, then report again.")
    return Material(runs, [command for command in commands if command], sweeps, empty)


def _read_run(path: Path) -> Run:
    folder, config = RunFolder.open(path)
    trial, results = (_read_json(path / name) for name in (TRIAL_FILE, RESULTS_FILE))
    return Run(folder, config, read_metrics(folder.metrics), trial, results or None)


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none to be read."""
    try:
        values = read_json(path)
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
