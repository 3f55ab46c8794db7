"""All measurements, one after another, each in a process of its own; about an hour, most of it in quality.py."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import torch

PARTS = ("steps.py", "memory.py", "loading.py", "inference.py", "export.py", "quality.py")

if __name__ == "__main__":
    print(f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for part in PARTS:
        print(f"\n### {part}\n", flush=True)
        subprocess.run([sys.executable, str(Path(__file__).parent / part)], check=True)
