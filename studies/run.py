"""Runs studies: all their trainings in one queue, then table.md and figure.png beside each.

    python studies/run.py N1             # one study; what is finished is not repeated
    python studies/run.py all --workers 2

Each study is a folder with a study.yaml, over what base.yaml says for all:

    arms        the objectives that it is asked of, as changed settings
    keys        what is varied in every arm, in all combinations
    settings    for an arm further settings, by name
    baselines   methods of benchmarks/baselines.py, each with a multiple of the budget
    budget      of a run: steps, minutes, or both, each for a table of its own
    reference   the setting that all others of an arm are compared with, seed by seed
    measures    the columns of the tables; figure: those that are plotted
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
import yaml

from chiasm.config import Config
from chiasm.data import open_data
from chiasm.overrides import changed, to_dict
from chiasm.presets import from_preset

ROOT = Path(__file__).parents[1]
RECIPE = ("src", "benchmarks", "studies", "pyproject.toml", ":!*.md", ":!*.png")
"""The files that decide what a run comes to, as git finds them: not the tables and figures that are written here."""
MEASURED_FILE = "measured.json"
METRICS = ("swap", "swap_accuracy", "shortcuts", "realism")
"""What every run is measured by; with `person_in_b` also by leakage, which takes several times as long."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a study.

    Attributes:
        arm: its objective.
        setting: the label of what is changed in it.
        budget: what limits it, "steps" or "minutes".
        seed: of the training.
        method: the baseline of that name instead of the project's own losses.
        config: the whole configuration; a baseline takes everything but the losses from it.
        metrics: those of chiasm.evaluation to measure.
    """

    arm: str
    setting: str
    budget: str
    seed: int
    method: str | None
    config: Config
    metrics: tuple[str, ...]

    @property
    def name(self) -> str:
        """The folder's name, made of all that decides what the run comes to: studies share what they have in common."""
        text = json.dumps([self.method, self.metrics, to_dict(self.config)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return f"{self.arm}, {self.setting}, seed {self.seed}, budget in {self.budget}"


def load_study(folder: Path) -> dict[str, Any]:
    """What all studies share, and what this one says."""
    base, own = (yaml.safe_load(path.read_text()) for path in (folder.parent / "base.yaml", folder / "study.yaml"))
    return {**base, **own}


def settings_of(study: Mapping[str, Any], arm: str) -> dict[str, dict[str, Any]]:
    """For the label of each setting of an arm its changes: every combination of the keys, then those with a name."""
    keys = study["keys"]
    points = [dict(zip(keys, values, strict=True)) for values in product(*keys.values())] if keys else []
    return {_label(point): point for point in points} | study["settings"].get(arm, {})


def _label(point: Mapping[str, Any]) -> str:
    shown = {key: f"{value:g}" if isinstance(value, float) else value for key, value in point.items()}
    return ", ".join(f"{key.rpartition('.')[2]} = {value}" for key, value in shown.items())


def list_jobs(study: Mapping[str, Any]) -> list[Job]:
    """All runs in the order in which they are made.

    Whatever changes on the machine meets all settings alike: each seed goes through all of them before the next, and
    arms take turns. Steps come before minutes, so that no run whose time counts has to compile its networks first.
    """
    jobs = []
    metrics = (*METRICS, "leakage") if "person_in_b" in study["measures"] else METRICS
    for seed, (budget, amount) in product(study["seeds"], study["budget"].items()):
        for _, arm, setting, method, times, changes in sorted(_rows(study), key=lambda row: row[0]):
            settings = {
                **study["shared"],
                **study["objectives"].get(arm, {}),
                **study["arms"][arm],
                **changes,
                "train.seed": seed,
                "train.steps": round(times * amount) if budget == "steps" else None,
                "train.max_minutes": float(times * amount) if budget == "minutes" else None,
            }
            config = changed(from_preset(study["preset"]), settings)
            about = {"arm": arm, "setting": setting, "budget": budget, "seed": seed, "method": method}
            jobs.append(Job(**about, config=config, metrics=metrics))
    return jobs


def _rows(study: Mapping[str, Any]) -> Iterator[tuple[int, str, str, str | None, float, dict[str, Any]]]:
    """For each row of a table: its place in the arm, the arm, the setting, the method, the budgets, the changes."""
    for arm in study["arms"]:
        settings = settings_of(study, arm)
        for place, (setting, changes) in enumerate(settings.items()):
            yield place, arm, setting, None, 1, changes
        for place, (method, times) in enumerate(study["baselines"].items(), len(settings)):
            yield place, arm, method if times == 1 else f"{method}, {times:g} x the budget", method, times, {}


def find_recipe(workers: int) -> dict[str, str]:
    """What runs must have in common to stand in one table.

    The commit is the last one that changed RECIPE, with a + where that has changes that are not committed.
    """
    commit = _git("log", "-1", "--format=%h", "--", *RECIPE)
    dirty = "+" if _git("status", "--porcelain", "--", *RECIPE) else ""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {workers} runs at a time on one thread each"
    return {"commit": commit + dirty, "torch": torch.__version__, "machine": machine}


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def read_measured(folder: Path, recipe: Mapping[str, str]) -> dict[str, Any] | None:
    """The numbers of a run that was finished with this recipe; None if there is no such run."""
    file = folder / MEASURED_FILE
    measured = json.loads(file.read_text()) if file.is_file() else {}
    return measured["values"] if measured.get("recipe") == recipe else None


def call(module: str, told: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run a module of the studies with this checkout's code, on one thread."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, "-m", module]
    return subprocess.run(command, input=json.dumps(told), env=environment, capture_output=True, text=True)


def start(job: Job, runs: Path, recipe: Mapping[str, str], workers: int) -> bool:
    """Train and measure one run in a process of its own; what an earlier attempt left is removed.

    Returns:
        Whether it was finished.

    Raises:
        SystemExit: if the code is no longer that of the recipe.
    """
    if find_recipe(workers) != recipe:
        raise SystemExit("the code has changed since the studies began; start them again.")
    folder = runs / job.name
    shutil.rmtree(folder, ignore_errors=True)
    told = {"method": job.method, "config": to_dict(job.config), "metrics": job.metrics}
    ended = call("studies.job", {"folder": str(folder), "recipe": recipe, **told})
    reason = "".join(ended.stderr.strip().splitlines()[-1:])
    print(f"{job}: " + ("done" if ended.returncode == 0 else f"failed: {reason}"), flush=True)
    return ended.returncode == 0


def run_queue(jobs: Sequence[Job], runs: Path, recipe: Mapping[str, str], workers: int) -> bool:
    """Make the runs that are left, as many at a time as there are workers until none is left.

    Nothing is taken over from a checkout with uncommitted changes, which may be others than now.

    Returns:
        Whether all of them were finished.
    """
    kept = not recipe["commit"].endswith("+")
    todo = {job.name: job for job in jobs if not (kept and read_measured(runs / job.name, recipe))}
    print(f"commit {recipe['commit']}: {len(todo)} runs to make, of {len({job.name for job in jobs})}", flush=True)
    with ThreadPoolExecutor(workers) as pool:
        try:
            return all(list(pool.map(lambda job: start(job, runs, recipe, workers), todo.values())))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def find_studies(folder: Path) -> list[str]:
    """The names of all studies in a folder, the ablations first."""
    return sorted((path.parent.name for path in folder.glob("*/study.yaml")), key=str.casefold)


def main() -> int:
    """Run one study or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="its folder's name, or all")
    parser.add_argument("--studies", type=Path, default=Path(__file__).parent, help="folder of all studies")
    parser.add_argument("--runs", type=Path, default=Path("runs/studies"))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    options = parser.parse_args()
    known = find_studies(options.studies)
    if options.study not in (*known, "all"):
        parser.error(f"study: got {options.study!r}; give one of {', '.join(known)}, or all")
    names = known if options.study == "all" else [options.study]
    jobs = {name: list_jobs(load_study(options.studies / name)) for name in names}
    for own in jobs.values():  # images that are missing are told of before anything is trained
        open_data(own[0].config.data, own[0].config.model.side_px, progress_bar=False)
    recipe = find_recipe(options.workers)
    done = run_queue([job for own in jobs.values() for job in own], options.runs, recipe, options.workers)
    for name in names:
        told = {"study": str(options.studies / name), "runs": str(options.runs), "recipe": recipe}
        ended = call("studies.table", told)
        print(f"{name}: {ended.stdout if ended.returncode == 0 else ended.stderr}", flush=True)
        done &= ended.returncode == 0
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
