"""What a sweep is, as JSON beside its runs, and its table while it runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from chiasm.config import Config, ConfigError
from chiasm.files import read_json, write_atomically
from chiasm.overrides import flatten, from_dict, to_dict
from chiasm.presets import PRESETS
from chiasm.sweep.space import Point, Space, as_argument, show

SWEEP_FILE = "sweep.json"
COLUMNS = ("swap", "reconstruction", "minutes")


@dataclass(frozen=True)
class Outcome:
    """A trial as all workers see it: `state` is waiting, running, complete or failed, `values` what it reached."""

    number: int
    name: str
    point: Point
    seed: int
    state: str
    values: dict[str, float]
    reason: str


def describe(
    space: Space,
    preset: str,
    seeds: Sequence[int],
    method: str,
    num_points: int,
    name: str,
    runs: Path,
    storage: str | None,
) -> dict[str, Any]:
    """A sweep in plain JSON types."""
    drawn = {} if method == "grid" else {"num_points": num_points}
    return {
        "name": name,
        "preset": preset,
        "method": method,
        "keys": space.describe(),
        "seeds": list(seeds),
        **drawn,
        "runs": str(runs),
        "storage": storage,
        "config": to_dict(space.base),
    }


def join(folder: Path, wanted: dict[str, Any]) -> None:
    """Write the description of a new sweep; or check that a sweep is the one that is meant, and note what is added.

    Raises:
        ConfigError: if the folder holds another sweep, naming what differs.
    """
    path = folder / SWEEP_FILE
    with FileLock(folder / "sweep.lock"):
        if path.exists():
            there = read_json(path)
            _check_same(folder, there, wanted)
            for key, values in wanted["keys"].items():
                wanted["keys"][key] = _merge(there["keys"][key], values)
            wanted["seeds"] = _merge(there["seeds"], wanted["seeds"])
        wanted["command"] = command(wanted)
        write_atomically(path, json.dumps(wanted, indent=2) + "\n")


def command(about: Mapping[str, Any]) -> str:
    """The command that makes a sweep again, from its description."""
    preset = flatten(to_dict(PRESETS[about["preset"]]()))
    words = ["chiasm", "sweep", "--preset", about["preset"]]
    for key, value in flatten(about["config"]).items():
        if value != preset[key] and key not in about["keys"] and key != "train.seed":
            words += [f"--{key}", as_argument(value)]
    for key, values in about["keys"].items():
        words += [f"--{key}", *map(as_argument, [values] if isinstance(values, dict) else values)]
    words += ["--seeds", *map(str, about["seeds"]), "--method", about["method"], "--name", about["name"]]
    if "num_points" in about:
        words += ["--trials", str(about["num_points"])]
    if about["runs"] != "runs":
        words += ["--runs", about["runs"]]
    if about["storage"] is not None:
        words += ["--storage", about["storage"]]
    return shlex.join(words)


def _check_same(folder: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Another command may add values and seeds to a grid, and nothing else."""

    def fixed(about: Mapping[str, Any]) -> dict[str, Any]:
        keys = {key: values if about["method"] != "grid" else "swept" for key, values in about["keys"].items()}
        # A key that a later version has added had its default before.
        config = to_dict(from_dict(Config, about["config"]))
        settings = {k: v for k, v in flatten(config).items() if k not in about["keys"]}
        return {"--method": about["method"], **{f"--{key}": value for key, value in (settings | keys).items()}}

    before, now = fixed(there), fixed(wanted)
    differs = [key for key in dict.fromkeys([*before, *now]) if before.get(key) != now.get(key)]
    if differs:
        key = differs[0]
        raise ConfigError(
            f"{key}: {folder} is a sweep with {before.get(key)!r}, not {now.get(key)!r}; give that, or choose "
            "another --name."
        )


def _merge(there: Any, wanted: Any) -> Any:
    """Values of both, in the order of their size where they have one."""
    if isinstance(there, dict):
        return there
    merged = [*there, *(value for value in wanted if value not in there)]
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in merged)
    return sorted(merged) if numbers else merged


class TrialsTable:
    """The trials as they end, a line each."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = list(keys)
        self._head = ["trial", *(key.rpartition(".")[2] for key in self._keys), "seed", *COLUMNS, "state"]
        self._shown: set[str] = set()

    def show(self, outcomes: Sequence[Outcome]) -> None:
        """Print the trials that have ended since the last time."""
        for outcome in outcomes:
            if outcome.state in ("complete", "failed") and outcome.name not in self._shown:
                if not self._shown:
                    self._print(self._head)
                self._shown.add(outcome.name)
                settings = [show(outcome.point[key]) for key in self._keys]
                numbers = [f"{outcome.values[c]:.4f}" if c in outcome.values else "-" for c in COLUMNS]
                state = outcome.state + (f": {outcome.reason}" if outcome.reason else "")
                self._print([str(outcome.number), *settings, str(outcome.seed), *numbers, state])

    def _print(self, cells: Sequence[str]) -> None:
        wide = [cell.ljust(max(8, len(head))) for cell, head in zip(cells, self._head, strict=True)]
        print("  ".join(wide).rstrip(), flush=True)
