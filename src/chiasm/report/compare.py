"""Which settings the runs differ in, how well each did over its seeds, and which one wins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from chiasm.evaluation.criterion import has_truth, score
from chiasm.evaluation.metrics.shortcuts import COPY_ALARM
from chiasm.overrides import flatten, to_dict
from chiasm.report.read import COMPLETE, Run
from chiasm.sweep.space import SEED_KEY, show

MAX_NAMED = 4
"""Settings that differ in more keys than these are called by their runs; the page's configurations tell the rest."""
COVERAGE = 0.95
INTERVAL = f"{COVERAGE:.0%} interval of the mean over seeds (Student's t)"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds; without an interval where there is only one seed."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate | None:
        """The mean of values and its interval; None for no values."""
        if not values:
            return None
        mean, n = float(np.mean(values)), len(values)
        if n == 1:
            return cls(mean, None, None, 1)
        half = float(student_t.ppf((1 + COVERAGE) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
        return cls(mean, mean - half, mean + half, n)

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + ("" if self.low is None else f" [{self.low:.4f}, {self.high:.4f}]")


@dataclass(frozen=True)
class Setting:
    """Runs that differ in nothing but their seed.

    Attributes:
        label: the values in which they differ, such as "gamma = 0.4", or the runs' names where these are many.
        point: the values of the keys that differ between settings.
        runs: by seed.
        values: the criterion by seed, of runs that are complete; the mean of several with one seed.
        score: their mean; None where none is complete.
    """

    label: str
    point: dict[str, Any]
    runs: list[Run]
    values: list[float]
    score: Estimate | None

    def mean(self, column: str) -> Estimate | None:
        """A column of the last validation over the seeds."""
        return Estimate.of(_by_seed((run, run.metrics.get(column)) for run in self.runs))


@dataclass(frozen=True)
class Comparison:
    """Settings in ascending order of their values.

    Attributes:
        keys: in which they differ.
        settings: all of them.
        truth: whether the criterion is the swap error.
        winner: the setting of the lowest score; None where nothing is complete.
        verdict: why it wins, and whether the next one might as well.
    """

    keys: list[str]
    settings: list[Setting]
    truth: bool
    winner: Setting | None
    verdict: str

    @property
    def best_run(self) -> Run | None:
        """The winner's run of the lowest score."""
        if self.winner is None:
            return None
        scored = {run.name: score(run.metrics, self.truth) for run in self.winner.runs if run.state == COMPLETE}
        return min(self.winner.runs, key=lambda run: scored.get(run.name) or math.inf)


def compare(runs: Sequence[Run]) -> Comparison:
    """Sort runs into settings and find the best."""
    flats = [flatten(to_dict(run.config)) for run in runs]
    keys = [key for key in flats[0] if key != SEED_KEY and any(flat[key] != flats[0][key] for flat in flats)]
    finished = [run for run in runs if run.state == COMPLETE and run.metrics]
    truth = bool(finished) and all(has_truth(run.metrics) for run in finished)
    by_point: dict[str, list[tuple[dict[str, Any], Run]]] = {}
    for flat, run in zip(flats, runs, strict=True):
        point = {key: flat[key] for key in keys}
        by_point.setdefault(repr(point), []).append((point, run))
    settings = []
    for members in by_point.values():
        point = members[0][0]
        own = sorted((run for _, run in members), key=lambda run: (run.seed, run.name))
        values = _by_seed((run, score(run.metrics, truth)) for run in own)
        settings.append(Setting(_label(point, own), point, own, values, Estimate.of(values)))
    settings.sort(key=lambda setting: [_rank(value) for value in setting.point.values()])
    ranked = sorted((s for s in settings if s.score is not None), key=lambda s: s.score.mean if s.score else 0.0)
    return Comparison(keys, settings, truth, ranked[0] if ranked else None, _verdict(ranked, truth))


def _by_seed(measured: Iterable[tuple[Run, float | None]]) -> list[float]:
    """A number for each seed of the runs that are complete and have it: runs of one seed repeat, and count once."""
    of_seed: dict[int, list[float]] = {}
    for run, value in measured:
        if run.state == COMPLETE and value is not None:
            of_seed.setdefault(run.seed, []).append(value)
    return [float(np.mean(values)) for values in of_seed.values()]


def _verdict(ranked: Sequence[Setting], truth: bool) -> str:
    """Why the first one wins and what is wrong with it all the same, in plain sentences."""
    return " ".join([_order(ranked), *(_reservations(ranked[0], truth) if ranked else [])])


def _reservations(winner: Setting, truth: bool) -> list[str]:
    """Ways in which the best is not good."""
    told = []
    for name in ("x1", "x2"):
        copying, share = winner.mean(f"swap/copy_{name}"), winner.mean(f"shortcut/copy_{name}")
        if truth and winner.score and copying and copying.mean <= winner.score.mean:
            told.append(f"It is no better than copying {name}, which reaches {copying.mean:.4f}.")
        if share and share.mean > COPY_ALARM:
            told.append(f"{share.mean:.0%} of its mixes are copies of {name}.")
    return told


def _order(ranked: Sequence[Setting]) -> str:
    """Which one has the lowest score, and whether that is settled."""
    if not ranked:
        return "No run is complete, so that nothing can be compared yet."
    first = ranked[0].score
    assert first is not None
    told = f"{ranked[0].label} has the lowest mean, {first}, over {first.n} seed{'s' if first.n > 1 else ''}."
    if len(ranked) == 1:
        return told + " There is nothing complete to compare it with."
    second = ranked[1].score
    assert second is not None
    told += f" Next is {ranked[1].label} with {second}."
    if first.high is None or second.low is None:
        return told + " With a single seed there is no interval: the order may be chance."
    if first.high < second.low:
        return told + " Their intervals do not overlap."
    return told + " Their intervals overlap: with these seeds the order of the two is not settled."


def _label(point: dict[str, Any], runs: Sequence[Run]) -> str:
    if len(point) > MAX_NAMED:
        return runs[0].name + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")
    return ", ".join(f"{_short(key, list(point))} = {show(value)}" for key, value in point.items()) or "all runs"


def _short(key: str, keys: Sequence[str]) -> str:
    """The last part of a key, where that is enough to know it by."""
    last = key.rpartition(".")[2]
    return last if [k.rpartition(".")[2] for k in keys].count(last) == 1 else key


def _rank(value: Any) -> tuple[int, float, str]:
    """Numbers by size, after null, before words."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, (int, float)):
        return 1, float(value), ""
    return (2, float(len(value)), str(value)) if isinstance(value, list) else (3, 0.0, str(value))
