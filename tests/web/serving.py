"""A page served by `chiasm serve`, as a user starts it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(runs: Path, home: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`chiasm serve` with a home folder that must stay empty; its address and its process."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "CHIASM_", "GRADIO_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "chiasm", "serve", str(runs), "--port", "0"],
        env=kept | {"HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        cwd=home,
    )
    try:
        line = process.stdout.readline()
        yield re.search(r"http://\S+", line)[0], process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        process.stdout.close()
