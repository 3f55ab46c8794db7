"""Peak memory of training: how it grows with the batch, and with the data set. Each point is a fresh process."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__)


def peak_of_batch(form: str, batch: int) -> None:
    """Two steps of preset report at a batch size; print the peak resident memory in GiB."""
    import torch

    sys.path.insert(0, str(HERE.parents[1]))
    from chiasm.networks import CrossModel
    from chiasm.objective import Objective
    from chiasm.presets import PRESETS
    from tests.plain import PlainModel

    config = PRESETS["report"]()
    model: torch.nn.Module = CrossModel(config.model)
    if form == "plain":
        model = PlainModel(model)
    objective = Objective(model, config.loss, slice_size=4 if form == "sliced" else 0)
    optimizer = torch.optim.Adam(objective.parameters(), fused=True)
    x = torch.rand(batch, 3, 128, 128) * 2 - 1
    for _ in range(2):
        terms = objective(x, None, None, 1.0).terms
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def peak_of_data(num: int) -> None:
    """2,000 batches of 64 from a synthetic cache of 64 px pictures; print the peak anonymous memory in MiB."""
    from chiasm.data import Batches, ImageSet

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        # A sparse file: the pictures are zeros that take no room on the disk, but are mapped like any others.
        images = np.lib.format.open_memmap(path, "w+", np.uint8, (num, 3, 64, 64))
        del images
        images = np.lib.format.open_memmap(path, "r")
        classes = np.arange(num) // 50
        labelled = ImageSet(
            images=images,
            names=tuple(map(str, range(num))),
            classes=classes,
            class_names=tuple(map(str, range(int(classes.max()) + 1))),
            contents=np.zeros((num, 0), dtype=np.int64),
        )
        for _ in Batches(labelled, np.arange(num), 64, seed=0).iterate(0, 2000):
            pass
        status = Path("/proc/self/status").read_text().splitlines()
        anonymous = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
        print(anonymous / 2**10)


def point(kind: str, *arguments: object) -> float:
    """Measure one point in a process of its own."""
    command = [sys.executable, str(HERE), kind, *map(str, arguments)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print both tables."""
    print("| report, batch | plain, GiB | ours | in slices of 4 |\n|---|---|---|---|")
    peaks = {form: [point("batch", form, n) for n in (4, 8, 16)] for form in ("plain", "ours", "sliced")}
    for i, batch in enumerate((4, 8, 16)):
        print(f"| {batch} | " + " | ".join(f"{peak[i]:.2f}" for peak in peaks.values()) + " |")
    slopes = [(peak[2] - peak[0]) / 12 for peak in peaks.values()]
    print("| each further picture | " + " | ".join(f"{slope:.3f}" for slope in slopes) + " |")
    print(f"| 64 | | | {point('batch', 'sliced', 64):.2f} |\n")
    print("| pictures | anonymous memory, MiB |\n|---|---|")
    for num in (10_000, 100_000, 1_000_000):
        print(f"| {num:,} | {point('data', num):.0f} |", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["batch", form, batch]:
            peak_of_batch(form, int(batch))
        case ["data", num]:
            peak_of_data(int(num))
        case _:
            main()
