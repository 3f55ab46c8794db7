"""Encoding a folder of JPEG files: images a second, and peak memory, by number of images. A process for each point."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

DISTINCT = 500
NUMS = (10_000, 100_000)
LISTED = 200_000


def make_images(folder: Path, num: int) -> None:
    """Names for 500 smooth images of 178 x 218 pixels, about 8 kB each."""
    first = []
    for i in range(num):
        path = folder / f"{i // 1000:04d}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if i < DISTINCT:
            coarse = np.random.default_rng(i).integers(0, 255, (22, 18, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((178, 218), Image.Resampling.BICUBIC).save(path)
            first.append(path)
        else:
            os.link(first[i % DISTINCT], path)


def encode(preset: str, source: str, output: str) -> None:
    """Print images a second of the whole command without its imports, and the peak memory in MiB."""
    import torch

    from chiasm.checkpoint import save_model
    from chiasm.encoding import encode_source
    from chiasm.networks import CrossModel
    from chiasm.presets import PRESETS

    torch.manual_seed(0)
    model = Path(output).parent / preset
    save_model(CrossModel(PRESETS[preset]().model), model)
    start = time.perf_counter()
    num = encode_source(model, source, Path(output), progress_bar=False).num
    seconds = time.perf_counter() - start
    print(f"{num / seconds:,.0f} | {_peak_mib():,.0f}")


def listing(source: str) -> None:
    """Print the seconds and the memory in MiB that the names of a folder's images take."""
    from chiasm.config import DataConfig
    from chiasm.data.find_source import find_source

    before, start = _peak_mib(), time.perf_counter()
    images = find_source(DataConfig(source=source))
    images.fingerprint()
    names = images.listing().names
    print(f"{len(names):,} names: {time.perf_counter() - start:.1f} s, {_peak_mib() - before:,.0f} MiB")


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _fresh(*arguments: str) -> str:
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """All points."""
    print("| preset | images | images/s | peak memory, MiB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for num in NUMS:
            make_images(Path(name) / str(num), num)
            for preset in ("tiny", "compact"):
                output = Path(name) / f"{preset}-{num}.parquet"
                told = _fresh("encode", preset, str(Path(name) / str(num)), str(output))
                print(f"| {preset} | {num:,} | {told} |", flush=True)
        make_images(Path(name) / "listed", LISTED)
        print("\n" + _fresh("listing", str(Path(name) / "listed")))


if __name__ == "__main__":
    {"encode": encode, "listing": listing}[sys.argv[1]](*sys.argv[2:]) if sys.argv[1:] else main()
