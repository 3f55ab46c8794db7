"""The trials of a sweep, one after the other, until none is left for any worker."""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from chiasm.checkpoint import CheckpointError
from chiasm.config import Config, ConfigError
from chiasm.data import open_data
from chiasm.evaluation.criterion import criterion, has_truth, score
from chiasm.files import write_atomically
from chiasm.overrides import changed
from chiasm.runs import CONFIG_FILE, TRIAL_FILE, RunError, RunFolder
from chiasm.sweep.manifest import SWEEP_FILE, Outcome, TrialsTable, describe, join
from chiasm.sweep.queue import ClaimedTrial, TrialQueue
from chiasm.sweep.space import Space, point_name
from chiasm.training import FitResult, TrainingDivergedError, fit
from chiasm.training.hardware import num_machines

SECONDS_BETWEEN_LOOKS = 2.0
PACKAGES = ("chiasm", "torch", "lightning-fabric", "numpy", "optuna")


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """What a sweep has come to.

    Attributes:
        folder: of the sweep.
        outcomes: of all trials, those of other workers included.
        interrupted: whether this worker was stopped before all were done.
    """

    folder: Path
    outcomes: list[Outcome]
    interrupted: bool


def sweep(
    space: Space,
    *,
    preset: str = "compact",
    seeds: Sequence[int] = (0,),
    method: Literal["grid", "random", "tpe"] = "grid",
    num_points: int = 20,
    name: str | None = None,
    runs: Path = Path("runs"),
    storage: str | None = None,
    resume: bool = True,
    progress_bar: bool = False,
) -> SweepResult:
    """Work on a sweep until every trial of it is done, by this worker or by others that were started alike.

    What is minimised: chiasm.evaluation.criterion.

    Args:
        space: the settings to try.
        preset: the name of the preset that space.base was made from, for the description.
        seeds: every point is run once for each.
        method: "grid" runs every combination, "random" and "tpe" sample points.
        num_points: how many points to sample.
        name: of the sweep; by default made of the data's name and the keys, so that the same command joins it.
        runs: folder of all runs.
        storage: path or database URL of the optuna study; by default a journal in the sweep's folder.
        resume: whether to go on with, or join, a sweep of that name.
        progress_bar: whether each training shows a bar.

    Raises:
        DataError, ConfigError: for what a user can mend.
    """
    _check(space, seeds, method)
    folder = runs / (name or _default_name(space))
    if not resume and (folder / SWEEP_FILE).exists():
        raise ConfigError(f"--resume: {folder} exists; choose another --name, or go on with it: --resume true.")
    # What no trial could read is the user's to mend, before anything is written.
    open_data(space.base.data, space.base.model.side_px, progress_bar=progress_bar)
    folder.mkdir(parents=True, exist_ok=True)
    join(folder, describe(space, preset, seeds, method, num_points, folder.name, runs, storage))
    queue = TrialQueue(folder, storage, space, seeds, method, num_points)
    interrupted = _work(queue, space, progress_bar)
    return SweepResult(folder=folder, outcomes=queue.outcomes(), interrupted=interrupted)


def _check(space: Space, seeds: Sequence[int], method: str) -> None:
    """Refuse what cannot become a sweep."""
    if not space.keys and len(seeds) == 1:
        raise ConfigError("sweep: there is nothing to vary; give a key several values, such as --loss.gamma 0.4 1.")
    if len(set(seeds)) != len(seeds) or not seeds:
        raise ConfigError(f"--seeds: got {list(seeds)}; give different numbers.")
    if method != "grid" and not space.keys:
        raise ConfigError(f"--method: {method} needs a key to sample; give one a range, such as --loss.gamma 0.1..2.")
    if space.base.train.devices > 1 or num_machines(space.base.train) > 1 or "train.devices" in space.keys:
        raise ConfigError(
            "train.devices: each training of a sweep runs on one device; leave it out, and start the same command once "
            "for each device, with CUDA_VISIBLE_DEVICES."
        )
    if method == "grid":
        space.grid()


def _default_name(space: Space) -> str:
    stem = Path(space.base.data.source).stem or "run"
    keys = [key.rpartition(".")[2] for key in space.keys] or ["seeds"]
    return point_name({stem: "-".join(keys)})


def _work(queue: TrialQueue, space: Space, progress_bar: bool) -> bool:
    """Run trials until none is left for any worker; returns whether this one was stopped."""
    table = TrialsTable(space.keys)
    waits = False
    while True:
        claim = queue.claim()
        table.show(queue.outcomes())
        if claim is not None:
            waits = False
            if not _run(queue, claim, space.config(claim.point, claim.seed), progress_bar):
                return True
            table.show(queue.outcomes())
        else:
            # A worker that dies leaves its trial to those who wait.
            running = [outcome.name for outcome in queue.outcomes() if outcome.state == "running"]
            if not running:
                return False
            if not waits:
                print(f"waiting for other workers: {', '.join(running)}", flush=True)
            waits = True
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _run(queue: TrialQueue, claim: ClaimedTrial, config: Config, progress_bar: bool) -> bool:
    """Run one trial and note what came of it; returns False where somebody asked to stop."""
    run = queue.folder / claim.name
    run.mkdir(exist_ok=True)
    about = {"name": claim.name, "point": claim.point, "seed": claim.seed, "attempt": claim.attempt, **_surroundings()}
    _note(run, about, "running")
    try:
        result = _train(config, queue.folder, claim.name, progress_bar)
    except Exception as error:  # whatever ends a training is that trial's end, not the sweep's
        reason = " ".join(f"{error}".split()) or type(error).__name__
        explained = isinstance(error, (ValueError, TrainingDivergedError))
        reason = reason if explained else f"{type(error).__name__}: {reason}"
        _note(run, about, "failed", reason=reason)
        queue.fail(claim, reason)
        return True
    except BaseException:
        queue.put_back(claim)
        raise
    if result.interrupted:
        _note(run, about, "stopped")
        queue.put_back(claim)
        return False
    truth = has_truth(result.metrics)
    value = score(result.metrics, truth)
    if value is None or not np.isfinite(value):
        reason = f"the last validation has no finite criterion ({value})"
        _note(run, about, "failed", reason=reason)
        queue.fail(claim, reason)
        return True
    values = {name.partition("/")[2]: v for name, v in result.metrics.items() if name.startswith("swap/")}
    _note(run, about, "complete", minutes=result.minutes, steps=result.step, value=value, criterion=criterion(truth))
    queue.complete(claim, value, {**values, "minutes": result.minutes})
    return True


def _train(config: Config, folder: Path, name: str, progress_bar: bool) -> FitResult:
    """Train a run, or go on with what a worker that died or was stopped has left of it."""
    run = RunFolder(folder / name)
    if (run.path / CONFIG_FILE).is_file():
        try:
            before = RunFolder.open(run.path)[1]
            if before == _decided_as(config, before):
                return fit(before, resume=run.path, progress_bar=progress_bar)
        except (CheckpointError, ConfigError, RunError):
            pass  # what is left cannot be used: begin again
    return fit(config, name=name, runs=folder, overwrite=True, progress_bar=progress_bar)


def _decided_as(config: Config, run: Config) -> Config:
    """A configuration as its run has written it: where it says 'auto', with what that came to."""
    auto = config.model.mirror_a == "auto"
    return changed(config, {"model.mirror_a": run.model.mirror_a}) if auto else config


def _note(run: Path, about: dict[str, Any], state: str, **more: Any) -> None:
    """Write what is known of a trial beside its run, for whoever reads without the study."""
    write_atomically(run / TRIAL_FILE, json.dumps({**about, "state": state, **more}, indent=2) + "\n")


def _surroundings() -> dict[str, Any]:
    """What a run was made with: versions, and the machine."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    hardware = {
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
    }
    versions = {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}
    return {"worker": f"{socket.gethostname()}:{os.getpid()}", "hardware": hardware, "versions": versions}


def print_summary(result: SweepResult) -> None:
    """Where the sweep lies and what to do next."""
    counts = {s: sum(o.state == s for o in result.outcomes) for s in ("complete", "failed", "running", "waiting")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    print(f"{result.folder}: {told}")
    if result.interrupted:
        print("stopped early; go on with the same command", file=sys.stdout)
    print(f"its page: chiasm report {result.folder}")
