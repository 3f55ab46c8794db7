"""Quality at equal minutes: trains presets and baselines, two at a time on one thread each, and prints how they do.

    python benchmarks/quality.py                             # every preset, every baseline
    python benchmarks/quality.py --minutes 4 photo original

A row each: errors of the last validation, and the minutes until the swap error fell to given shares of copying x1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chiasm.presets import PRESETS
from chiasm.runs import read_metrics

BASELINES = ("naive", "lord", "conditional", "swap-adversarial", "cycle-vae", "ml-vae")
ALL = [*(name for name in PRESETS if name != "tiny"), *BASELINES]
AT_A_TIME = 2
GOALS = (0.5, 0.3, 0.2)


def train(name: str, minutes: float, runs: Path, extra: list[str]) -> None:
    """Train a preset or a baseline on one thread."""
    if name in BASELINES:
        command = [sys.executable, str(Path(__file__).with_name("baselines.py")), name, "--minutes", str(minutes)]
        command += ["--name", name, "--out", str(runs)]
    else:
        command = [sys.executable, "-m", "chiasm", "fit", "--preset", name, "--max-minutes", str(minutes)]
        command += ["--name", name, "--runs", str(runs), *extra]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode != 0:
        raise SystemExit(f"{name}: {ended.stderr.splitlines()[-1]}")


def row(name: str, path: Path) -> str:
    """What the validations of a run have come to."""
    minutes, measured = 0.0, []
    for values in read_metrics(path):
        minutes = values.get("minutes", minutes)  # a validation may have its row beside that of the losses
        if "swap/swap" in values:
            measured.append({**values, "minutes": minutes})
    last = measured[-1]
    cells = [name, f"{last['step']:.0f}"]
    cells += [f"{last[f'swap/{key}']:.3f}" for key in ("reconstruction", "swap", "copy_x1")]
    for goal in GOALS:
        reached = [v["minutes"] for v in measured if v["swap/swap"] <= goal * v["swap/copy_x1"]]
        cells.append(f"{reached[0]:.1f}" if reached else "never")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Train all, then print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=ALL, help=f"presets, or baselines: {', '.join(BASELINES)}")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--runs", type=Path, help="folder to keep the runs in")
    options, extra = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = options.runs or Path(folder)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(lambda name: train(name, options.minutes, runs, extra), options.names))
        heads = ["method", "steps", "reconstruction", "swap", "copy x1", *(f"min. to {g} x copy x1" for g in GOALS)]
        print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for name in options.names:
            print(row(name, runs / name / "metrics.csv"), flush=True)


if __name__ == "__main__":
    main()
