"""Reading images: the cache against decoding every time; and how soon things start."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from chiasm.config import DataConfig
from chiasm.data import Batches, open_data, read_image

NUM = 600


def throughput() -> None:
    """Images a second at 64 px, batches of 64: from the cache, and decoding JPEG files."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rng = np.random.default_rng(0)
        for i in range(NUM):
            (root / "jpg" / str(i % 10)).mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 255, (218, 178, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "jpg" / str(i % 10) / f"{i}.jpg")
        images = open_data(DataConfig(source=str(root / "jpg")), 64, cache_dir=root / "cache", progress_bar=False)
        batches = Batches(images, np.arange(len(images)), 64, seed=0)
        rates = {}
        for name, wanted in {
            "cache": {"partners": False},
            "cache, with a partner for each": {"partners": True},
            "cache, with partners, positives and negatives": {"partners": True, "similar": True},
        }.items():
            start = time.perf_counter()
            for _ in batches.iterate(0, 500, **wanted):
                pass
            rates[name] = 500 * 64 / (time.perf_counter() - start)
        paths = sorted((root / "jpg").rglob("*.jpg"))[:300]
        start = time.perf_counter()
        for path in paths:
            read_image(path, 64, "crop")
        rates["decoding 178 x 218 JPEG files"] = len(paths) / (time.perf_counter() - start)
    print("| loader | images/s |\n|---|---|")
    print("\n".join(f"| {name} | {rate:,.0f} |" for name, rate in rates.items()) + "\n")


def seconds(command: list[str], times: int = 5) -> float:
    """The best of some runs of a command."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        best = min(best, time.perf_counter() - start)
    return best


def start_up() -> None:
    """From the command to its help, to an import, and to the first optimiser step on a cached set."""
    python = sys.executable
    bare = seconds([python, "-c", "pass"])
    helped = seconds([python, "-m", "chiasm.cli", "--help"])
    imported = seconds([python, "-c", "import chiasm"])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CHIASM_CACHE"] = str(Path(folder) / "cache")
        fit = [python, "-m", "chiasm.cli", "fit", "--train.compile", "off", "--train.num_val_pairs", "1"]
        fit += ["--data.avatars.num_people", "30", "--runs", folder]
        seconds([*fit, "--steps", "1"], times=1)
        first = seconds([*fit, "--steps", "1"], times=3)
    print("| start | s |\n|---|---|")
    print(f"| python -c pass | {bare:.2f} |\n| chiasm --help | {helped:.2f} |\n| import chiasm | {imported:.2f} |")
    print(f"| chiasm fit, one step, validation and figures, end of the process | {first:.1f} |")


if __name__ == "__main__":
    throughput()
    start_up()
