"""What the tests of slips share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.cli import main


def write_images(folder: Path, names: list[str], seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / name)


def refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with exit status 2 and one line that holds all words, those parted by ' | '."""
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("chiasm: ")
    assert message.count("\n") == 1, message
    assert len(message) < 1000
    for word in words.split(" | "):
        assert word in message
