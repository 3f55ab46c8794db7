"""Quality at equal minutes: trains presets side by side, one thread each, and prints their validation errors by minute.

python benchmarks/quality.py --minutes 6 photo report
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from chiasm.training.run import read_metrics


def train(preset: str, minutes: float, runs: Path, extra: list[str]) -> subprocess.Popen:
    """Start a training on one thread."""
    command = [sys.executable, "-m", "chiasm.cli", "fit", "--preset", preset, "--max-minutes", str(minutes)]
    command += ["--name", preset, "--runs", str(runs), *extra]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Train, then print a row for each preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--runs", type=Path, help="folder to keep the runs in")
    options, extra = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = options.runs or Path(folder)
        for process in [train(preset, options.minutes, runs, extra) for preset in options.presets]:
            process.wait()
        print("| preset | steps | s a step | reconstruction | swap | copy x1 |\n|---|---|---|---|---|---|")
        for preset in options.presets:
            last = read_metrics(runs / preset / "metrics.csv")[-1]
            errors = " | ".join(f"{last[f'swap/{name}']:.3f}" for name in ("reconstruction", "swap", "copy_x1"))
            print(f"| {preset} | {last['step']:.0f} | {60 * options.minutes / last['step']:.2f} | {errors} |")


if __name__ == "__main__":
    main()
