"""Kills `chiasm encode` before each of its operations on files and goes on, and exits with 1 unless all end alike.

As tests/kills.py does with trainings: every life is a fork of this process.
"""

import os
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import kills
import numpy as np
import torch
from PIL import Image

from chiasm.checkpoint import save_model
from chiasm.data import cache
from chiasm.encoding import encode
from chiasm.networks import CrossModel
from chiasm.presets import tiny


def main() -> None:
    """All kills."""
    torch.set_num_threads(1)
    os.fsync, kills.FSYNC_S = kills.fsync, 0
    encode.PART, cache.FEW = 4, 0
    with TemporaryDirectory() as name:
        made = Path(name)
        save_model(CrossModel(tiny().model), made / "m")
        for i in range(11):
            pixels = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(made / f"{i}.png")
        (made / "5.png").write_bytes(b"broken")
        print(f"{before_each_operation(made)} kills, one before every operation on files; all the same bytes")


def before_each_operation(made: Path) -> int:
    """How often it was killed."""
    num_kills, finished, expected = 0, False, None
    while not finished:
        with TemporaryDirectory() as name:
            folder = Path(name)
            work = partial(encode.encode_source, made / "m", str(made), folder / "c.parquet", progress_bar=False)
            if expected is None:
                kills.first_life(work)
                expected = files(folder)
                continue
            finished = kills.live(partial(kills.kill_before, 1 + num_kills, folder, work))
            if not finished:
                num_kills += 1
                # Killed when all is written, it leaves nothing to do, and is refused.
                if files(folder) != expected:
                    kills.live(work)
            kills.compare(expected, files(folder))
    return num_kills


def files(folder: Path) -> dict[str, bytes]:
    """What is there, but for locks and partial files."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "lock"}


if __name__ == "__main__":
    sys.exit(main())
