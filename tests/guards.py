"""Breaks each promise on purpose, in a copy of the package, and shows which tests notice: `make guards`.

Exits with 1 if a breach goes unnoticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Breach(NamedTuple):
    """A line of the package, and what a careless change would make of it."""

    promise: str
    file: str
    line: str
    instead: str


EVERYTHING = "np.arange(len(images))"
BREACHES = (
    Breach(
        "training sees the training part alone",
        "training/loop.py",
        "Batches(shown, split.train, ",
        f"Batches(shown, {EVERYTHING}, ",
    ),
    Breach(
        "a baseline is trained on the training part",
        "training/loop.py",
        "Batches(shown, split.train, ",
        'Batches(shown, split.train if getattr(build, "__name__", "") == "build_objective" else split.test, ',
    ),
    Breach(
        "negatives are training images",
        "data/negatives.py",
        "        self.index = indices if len(indices) <= BANK_SIZE",
        f"        indices = {EVERYTHING}\n        self.index = indices if len(indices) <= BANK_SIZE",
    ),
    Breach(
        "groups are those of training images",
        "training/loop.py",
        "content_groups(shown, split.train, config.data.groups, train.seed)",
        f"content_groups(images, {EVERYTHING}, config.data.groups, train.seed)[split.train]",
    ),
    Breach(
        "the codes that a model keeps to hand others out are those of training images",
        "training/loop.py",
        "Memory(self.objective.model, shown, split.train, ",
        f"Memory(self.objective.model, images, {EVERYTHING}, ",
    ),
    Breach(
        "training images alone say whether code A is the mean over mirror images",
        "training/fit.py",
        "tells_no_side(keep_classes(hide_labels(images, config.data), split.train), split.train)",
        f"tells_no_side(hide_labels(images, config.data), {EVERYTHING})",
    ),
    Breach(
        "the labels of held-out images are not known to training",
        "training/loop.py",
        "keep_classes(hide_labels(images, config.data, split.all), split.train)",
        "hide_labels(images, config.data, split.all)",
    ),
    Breach(
        "validation does not look at the test part",
        "training/validate.py",
        "sample_triplets(images.by_codes, split.val, ",
        "sample_triplets(images.by_codes, np.concatenate([split.val, split.test]), ",
    ),
    Breach(
        "the evaluation's classifier learns from training images",
        "evaluation/context.py",
        "fit_classifier(self.images, self.train, ",
        "fit_classifier(self.images, np.arange(len(self.images)), ",
    ),
    Breach(
        "probes learn from training images",
        "evaluation/context.py",
        ".permutation(self.train)[:MAX_PROBE]",
        ".permutation(len(self.images))[:MAX_PROBE]",
    ),
    Breach(
        "retrieval chooses among training images",
        "evaluation/context.py",
        "HeldOut(SAMPLES, samples, split.train, ",
        f"HeldOut(SAMPLES, samples, {EVERYTHING}, ",
    ),
    Breach(
        "the mean image is that of the training part",
        "evaluation/references.py",
        "    total = np.zeros(images.images.shape[1:], dtype=np.float64)",
        f"    indices = {EVERYTHING}\n    total = np.zeros(images.images.shape[1:], dtype=np.float64)",
    ),
)


def failing_tests(breach: Breach) -> list[str]:
    """The guards that fail once a promise is broken."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source)
        file = source / "chiasm" / breach.file
        text = file.read_text(encoding="utf-8")
        if breach.line not in text:
            raise SystemExit(f"{breach.file} no longer holds {breach.line!r}: mend tests/guards.py")
        file.write_text(text.replace(breach.line, breach.instead, 1), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rf", "tests/test_guards.py"]
        environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    found = [line.removeprefix("FAILED ") for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if not found and done.returncode != 0:
        raise SystemExit(f"{breach.promise}: the tests did not run\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return [name.partition("::")[2].partition(" - ")[0] for name in found]


def main() -> int:
    """Break every promise, one after the other."""
    unnoticed = 0
    for breach in BREACHES:
        found = failing_tests(breach)
        unnoticed += not found
        print(
            f"{'caught' if found else 'UNNOTICED':<10}{breach.promise}: {', '.join(found) or 'no test fails'}",
            flush=True,
        )
    print(f"{len(BREACHES) - unnoticed} of {len(BREACHES)} breaches are noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
