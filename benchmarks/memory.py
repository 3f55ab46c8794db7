"""Peak memory of training: how it grows with the batch, and with the data set. Each point is a fresh process."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__)


def peak_of_batch(form: str, batch: int) -> None:
    """Two steps of preset `original` at a batch size; print the peak resident memory in GiB."""
    import torch

    sys.path.insert(0, str(HERE.parents[1]))
    from chiasm.networks import CrossModel
    from chiasm.objective import Objective
    from chiasm.presets import PRESETS
    from tests.plain import PlainModel

    config = PRESETS["original"]()
    model: torch.nn.Module = CrossModel(config.model)
    if form == "plain":
        model = PlainModel(model)
    objective = Objective(model, config.loss, slice_size=4 if form == "sliced" else 0)
    optimizer = torch.optim.Adam(objective.parameters(), fused=True)
    x = torch.rand(batch, 3, 128, 128) * 2 - 1
    for _ in range(2):
        terms = objective(Batch(x), 1.0).terms
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def memory_of_data(num: int) -> None:
    """A hundred steps of preset compact on a synthetic cache of 64 px images; print the anonymous memory in MiB."""
    import torch

    from chiasm.batch import Batch
    from chiasm.data import Batches, ImageSet
    from chiasm.data.packed_strings import PackedStrings
    from chiasm.inference import to_unit
    from chiasm.networks import CrossModel
    from chiasm.objective import Objective
    from chiasm.presets import PRESETS

    config = PRESETS["compact"]()
    objective = Objective(CrossModel(config.model), config.loss, num_classes=200)
    with tempfile.TemporaryDirectory() as folder:
        # Sparse files: zeros that take no room on the disk, but are mapped like any others.
        images = _mapped(Path(folder) / "images.npy", np.uint8, (num, 3, 64, 64))
        classes = _mapped(Path(folder) / "classes.npy", np.int64, (num,), np.arange(num) % 200)
        ends = _mapped(Path(folder) / "ends.npy", np.int64, (num,), 8 * np.arange(1, num + 1))
        labelled = ImageSet(
            images=images,
            names=PackedStrings(_mapped(Path(folder) / "text.npy", np.uint8, (8 * num,)), ends),
            classes=classes,
            class_names=tuple(map(str, range(200))),
            contents=_mapped(Path(folder) / "contents.npy", np.int64, (num, 1)),
        )
        batches = Batches(labelled, np.arange(num), config.train.batch_size, seed=0)
        for loaded in batches.iterate(0, 100, similar=True):
            pixels = (loaded.x, loaded.x_partner, loaded.x_positive, loaded.x_negative)
            x, partner, *similar = (to_unit(torch.from_numpy(p)) for p in pixels)
            labels = torch.from_numpy(loaded.is_negative), torch.from_numpy(classes[loaded.index])
            terms = objective(Batch(x, partner, None, *similar, *labels), 1.0).terms
            torch.stack(list(terms.values())).sum().backward()
        status = Path("/proc/self/status").read_text().splitlines()
        anonymous = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
        print(anonymous / 2**10)


def _mapped(
    path: Path, kind: type[np.generic], shape: tuple[int, ...], values: NDArray[np.int64] | None = None
) -> NDArray[Any]:
    """A memory-mapped column of a cache."""
    column = np.lib.format.open_memmap(path, "w+", kind, shape)
    if values is not None:
        column[:] = values
    del column
    return np.asarray(np.lib.format.open_memmap(path, "r"))


def point(kind: str, *arguments: object) -> float:
    """Measure one point in a process of its own."""
    command = [sys.executable, str(HERE), kind, *map(str, arguments)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print both tables."""
    print("| original, batch | plain, GiB | ours | in slices of 4 |\n|---|---|---|---|")
    peaks = {form: [point("batch", form, n) for n in (4, 8, 16)] for form in ("plain", "ours", "sliced")}
    for i, batch in enumerate((4, 8, 16)):
        print(f"| {batch} | " + " | ".join(f"{peak[i]:.2f}" for peak in peaks.values()) + " |")
    slopes = [(peak[2] - peak[0]) / 12 for peak in peaks.values()]
    print("| each further image | " + " | ".join(f"{slope:.3f}" for slope in slopes) + " |")
    print(f"| 64 | | | {point('batch', 'sliced', 64):.2f} |\n")
    print("| images | anonymous memory, MiB |\n|---|---|")
    for num in (10_000, 100_000, 1_000_000):
        print(f"| {num:,} | {point('data', num):.0f} |", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["batch", form, batch]:
            peak_of_batch(form, int(batch))
        case ["data", num]:
            memory_of_data(int(num))
        case _:
            main()
