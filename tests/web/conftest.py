"""Runs, photographs and a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--disable-dev-shm-usage"]


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """A folder of runs with one tiny model in it."""
    shutil.copytree(trained, tmp_path / "runs" / "trained")
    return tmp_path / "runs"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two photographs that are not square."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / "anna.jpg", tmp_path / "ben.png"]
    for path, size in zip(paths, ((40, 30), (25, 50)), strict=True):
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Debian's Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not here")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()
