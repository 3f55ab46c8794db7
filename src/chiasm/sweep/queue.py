"""Who runs which trial: an optuna study in the sweep's folder, and locks that the system lets go when a worker dies.

All workers decide under one lock, so that no trial is lost or taken twice. A worker holds a lock file for as long as
it runs a trial; a trial that is running in the study but not locked has lost its worker, and is queued again. The
kernel drops a lock with its process, so that a worker that was merely suspended keeps its trial. What is to be queued
is derived from the study alone at every claim, so that a worker may die at any point of it. Workers on several
machines need the folder on a shared drive whose locks work (NFS 4 does).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from chiasm.config import ConfigError
from chiasm.sweep.manifest import Outcome
from chiasm.sweep.space import Point, Range, Space, as_argument, point_name

JOURNAL = "journal.log"
MAX_ATTEMPTS = 3
DIED = "its worker died"


@dataclass(frozen=True)
class ClaimedTrial:
    """A trial that this worker runs and nobody else.

    Attributes:
        name: of its run's folder.
        point: the swept settings.
        seed: of the training.
        attempt: 1, and one more for each worker that died while running it.
    """

    name: str
    point: Point
    seed: int
    attempt: int
    trial: Trial
    lock: FileLock


class TrialQueue:
    """The trials of one sweep.

    Args:
        folder: of the sweep.
        storage: of the study: a path or a database's URL, by default a journal in the folder.
        space: the settings to try.
        seeds: every point is run once for each.
        method: "grid" (every combination), "random" or "tpe".
        num_points: how many points "random" and "tpe" draw.
    """

    def __init__(
        self, folder: Path, storage: str | None, space: Space, seeds: Sequence[int], method: str, num_points: int
    ) -> None:
        self.folder, self.space, self.seeds, self.method, self.num_points = folder, space, seeds, method, num_points
        self._grid = space.grid() if method == "grid" else []
        self._gate = FileLock(folder / "sweep.lock")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._gate:
            (folder / "locks").mkdir(exist_ok=True)
            self.study = optuna.create_study(
                storage=_storage(storage or str(folder / JOURNAL)), study_name=folder.name, load_if_exists=True
            )

    def claim(self) -> ClaimedTrial | None:
        """Take the next trial, one of a dead worker included; None where all are taken or done."""
        with self._gate:
            self._fail_orphans()
            self._queue_missing()
            waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            if not waiting and (self.method == "grid" or len(self._drawn()) >= self.num_points):
                return None
            # The number of trials tells the draws of several workers apart, and makes those of one repeatable.
            sampler = optuna.samplers.RandomSampler if self.method == "random" else optuna.samplers.TPESampler
            self.study.sampler = sampler(seed=len(self.study.trials))
            trial = self.study.ask(self._distributions())
            lock = FileLock(self._lock_path(trial.number))
            lock.acquire(timeout=0)
            if "point" not in trial.user_attrs:
                self._name_drawn(trial)
            about = trial.user_attrs
            attempt = 1 + _deaths(self._history()[about["name"]])
        return ClaimedTrial(about["name"], about["point"], about["seed"], attempt, trial, lock)

    def complete(self, claim: ClaimedTrial, value: float, values: dict[str, float]) -> None:
        """Note what a trial has reached."""
        with self._release(claim):
            claim.trial.set_user_attr("values", values)
            self.study.tell(claim.trial, value)

    def fail(self, claim: ClaimedTrial, reason: str) -> None:
        """Note why a trial has failed; it is not tried again."""
        with self._release(claim):
            claim.trial.set_user_attr("reason", reason or "no reason given")
            self.study.tell(claim.trial, state=TrialState.FAIL)

    def put_back(self, claim: ClaimedTrial) -> None:
        """Let a trial that was stopped on purpose be queued again."""
        with self._release(claim):
            claim.trial.set_user_attr("stopped", True)
            self.study.tell(claim.trial, state=TrialState.FAIL)

    def outcomes(self) -> list[Outcome]:
        """All trials, each as its attempts left it, in the order in which they came up."""
        with self._gate:
            history = self._history()
        found = []
        for name, attempts in history.items():
            last = attempts[-1]
            about, state = last.user_attrs, last.state.name.lower()
            reason = about.get("reason", "")
            if last.state == TrialState.FAIL:
                reason = reason or (f"{DIED} {MAX_ATTEMPTS} times" if _deaths(attempts) >= MAX_ATTEMPTS else "")
                state = "failed" if reason else "waiting"
            found.append(
                Outcome(last.number, name, about["point"], about["seed"], state, about.get("values", {}), reason)
            )
        return found

    @contextmanager
    def _release(self, claim: ClaimedTrial) -> Iterator[None]:
        with self._gate:
            yield
            claim.lock.release()
            self._lock_path(claim.trial.number).unlink(missing_ok=True)

    def _history(self) -> dict[str, list[FrozenTrial]]:
        """All attempts at each trial; what a worker drew and died before naming is none."""
        history: dict[str, list[FrozenTrial]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if "point" in trial.user_attrs:
                history.setdefault(trial.user_attrs["name"], []).append(trial)
        return history

    def _fail_orphans(self) -> None:
        """End the attempts of dead workers: those that run, but whose lock is free."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            lock = FileLock(self._lock_path(trial.number))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            self.study.tell(trial.number, state=TrialState.FAIL)
            lock.release()
            self._lock_path(trial.number).unlink(missing_ok=True)

    def _queue_missing(self) -> None:
        """Queue every point, of the grid or drawn, for each seed that it lacks; and what workers have left undone."""
        history = self._history()
        points = [(point_name(point), point, {}) for point in self._grid] if self.method == "grid" else self._drawn()
        wanted = {
            f"{stem}-seed-{seed}".lstrip("-"): (params, {"stem": stem, "seed": seed, "point": point})
            for seed in self.seeds
            for stem, point, params in points
        }
        for name, attempts in history.items():
            about = attempts[0].user_attrs
            wanted.setdefault(name, (_params(attempts[0]), {key: about[key] for key in ("stem", "seed", "point")}))
        for name, (params, about) in wanted.items():
            if all(map(_is_undone, history.get(name, []))) and _deaths(history.get(name, [])) < MAX_ATTEMPTS:
                self.study.enqueue_trial(params, user_attrs={"name": name, **about})

    def _name_drawn(self, trial: Trial) -> None:
        """Name a point that the sampler drew; this trial is the one for the first seed."""
        point = {key: self._decode(key, trial.params[key]) for key in self.space.keys}
        stem, seed = f"{len(self._drawn()):03d}-{point_name(point)}", self.seeds[0]
        for name, value in {"name": f"{stem}-seed-{seed}", "stem": stem, "seed": seed, "point": point}.items():
            trial.set_user_attr(name, value)

    def _drawn(self) -> list[tuple[str, Point, dict[str, Any]]]:
        """The different points that were drawn: the stem of their names, the point, and optuna's parameters."""
        firsts = [attempts[0] for attempts in self._history().values()]
        return list(
            {t.user_attrs["stem"]: (t.user_attrs["stem"], t.user_attrs["point"], _params(t)) for t in firsts}.values()
        )

    def _distributions(self) -> dict[str, BaseDistribution]:
        """What the sampler draws from; a grid draws nothing."""
        if self.method == "grid":
            return {}
        return {key: _distribution(values) for key, values in self.space.keys.items()}

    def _decode(self, key: str, drawn: Any) -> Any:
        values = self.space.keys[key]
        return drawn if isinstance(values, Range) else {as_argument(value): value for value in values}[drawn]

    def _lock_path(self, number: int) -> Path:
        return self.folder / "locks" / f"{number}.lock"


def _is_undone(attempt: FrozenTrial) -> bool:
    """Whether an attempt ended without a result: its worker died or was stopped."""
    return attempt.state == TrialState.FAIL and "reason" not in attempt.user_attrs


def _deaths(attempts: Sequence[FrozenTrial]) -> int:
    """How many workers died of a trial, or with it."""
    return sum(_is_undone(attempt) and "stopped" not in attempt.user_attrs for attempt in attempts)


def _params(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters as optuna drew them, or will once the trial runs."""
    return trial.params or trial.system_attrs.get("fixed_params", {})


def _distribution(values: list[Any] | Range) -> BaseDistribution:
    if isinstance(values, list):
        return CategoricalDistribution([as_argument(value) for value in values])
    if isinstance(values.low, int) and isinstance(values.high, int):
        return IntDistribution(values.low, values.high, log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _storage(place: str) -> BaseStorage:
    if "://" in place:
        try:
            return optuna.storages.get_storage(place)
        except Exception as error:
            raise ConfigError(f"--storage: got {place!r}, which cannot be opened ({error}); give a path.") from error
    # Optuna's own lock files outlive a killed worker for half a minute.
    return JournalStorage(JournalFileBackend(place, lock_obj=_JournalLock(f"{place}.lock")))  # type: ignore[arg-type]  # no subclass


class _JournalLock:
    """The journal's lock, in the form that optuna asks for."""

    def __init__(self, path: str) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Let go of the lock."""
        self._lock.release()
