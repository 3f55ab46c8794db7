"""The clock to a fixed quality: how long the default trains on the avatars until its mixes are right.

    python benchmarks/speedrun.py --steps 4000               # seeds 0 to 2 of this checkout
    python benchmarks/speedrun.py --steps 4000 --seeds 0 --also ../old --also-steps 12000 -- --train.lr 2e-3

A training of so many steps counts from the start of its process: imports, compilation (a short training before has its
kernels cached) and the last validation are in it. Whether it reached TARGET is judged afterwards, off the clock, by the
evaluation's own classifiers on the validation split. The record is the smallest budget that reaches it with every seed,
for the step size falls as the budget ends. With --also, another checkout trains in turns with this one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chiasm.checkpoint import load_model
from chiasm.data import load_split, open_data
from chiasm.evaluation import evaluate
from chiasm.presets import compact
from chiasm.runs import RunFolder

TARGET = {"swap / copy x1": 0.10, "person": 0.90, "expression": 0.95}
BATCH = compact().train.batch_size
WARM_STEPS = 20
"""Of the training that has the kernels cached."""
HERE = Path(__file__).parents[1]


def train(checkout: Path, steps: int, seed: int, threads: int, run: Path, extra: list[str]) -> float:
    """Seconds of one training, its process included."""
    settings = ["--max-minutes", "null", "--steps", str(steps), "--train.seed", str(seed)]
    command = [sys.executable, "-c", "from chiasm.cli import main; raise SystemExit(main())", "fit", *settings]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(checkout / "src")}
    started = time.perf_counter()
    ended = subprocess.run(
        [*command, "--name", run.name, "--runs", str(run.parent), *extra],
        env=environment,
        capture_output=True,
        text=True,
    )
    if ended.returncode != 0:
        raise SystemExit(f"{checkout}, seed {seed}: {ended.stderr.splitlines()[-1]}")
    return time.perf_counter() - started


def judge(run: Path) -> dict[str, float]:
    """What the target asks of, on the validation split of a run."""
    model = load_model(run)
    # The avatars are always the same, and another checkout may write its settings in another way.
    images = open_data(compact().data, model.config.side_px, progress_bar=False)
    split, metrics = load_split(RunFolder(run).split, images), ["swap", "swap_accuracy"]
    results = evaluate(model, images, split, metrics=metrics, part="val", progress_bar=False)
    held_out = results["held_out_samples"]
    accuracy = held_out["swap_accuracy"]
    return {
        "swap / copy x1": held_out["swap"]["ratio"]["copy_x1"]["mean"],
        "person": accuracy["class"]["mix"]["mean"],
        "expression": accuracy["expression"]["mix"]["mean"],
    }


def reached(values: dict[str, float]) -> bool:
    """Whether a model is as good as the target."""
    error, goal = values["swap / copy x1"], TARGET["swap / copy x1"]
    return error <= goal and all(values[name] >= TARGET[name] for name in ("person", "expression"))


def main() -> None:
    """Train and judge in turns; a row for each run, then the median minutes and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, required=True, help="the budget of this checkout")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--also", type=Path, help="another checkout, trained in turns with this one")
    parser.add_argument("--also-steps", type=int, help="its budget, the same by default")
    parser.add_argument("extra", nargs="*", metavar="-- SETTINGS", help="further settings of this checkout's training")
    options = parser.parse_args()
    arms = [("this", HERE, options.steps, options.extra)]
    if options.also is not None:
        arms.append(("also", options.also, options.also_steps or options.steps, []))
    minutes: dict[str, list[float]] = {name: [] for name, *_ in arms}
    print(f"| checkout | seed | steps | images | minutes | {' | '.join(TARGET)} | target |")
    print("|---" * (len(TARGET) + 6) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, checkout, _, extra in arms:
            train(checkout, WARM_STEPS, 0, options.threads, Path(folder) / f"{name}-warm", extra)
        for seed in options.seeds:
            for name, checkout, steps, extra in arms:
                run = Path(folder) / f"{name}-{seed}"
                seconds = train(checkout, steps, seed, options.threads, run, extra)
                values = judge(run)
                minutes[name].append(seconds / 60)
                cells = [name, seed, steps, steps * BATCH, f"{seconds / 60:.2f}"]
                cells += [*(f"{value:.3f}" for value in values.values()), "yes" if reached(values) else "no"]
                print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    for name, all_minutes in minutes.items():
        print(f"{name}: median {statistics.median(all_minutes):.2f} minutes")
    if len(arms) == 2:
        print(f"ratio also / this: {statistics.median(minutes['also']) / statistics.median(minutes['this']):.2f}")


if __name__ == "__main__":
    main()
