from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.data import UNLABELLED, ImageSet

SIZE = (24, 16)  # width, height


@pytest.fixture(autouse=True)
def cache_dir(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CHIASM_CACHE", str(folder))
    return folder


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Writes an image of one colour, or of noise."""

    def write(path: Path, colour: int | None = None, size: tuple[int, int] = SIZE) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = sum(path.name.encode())
        shape = (size[1], size[0], 3)
        noise = np.random.default_rng(seed).integers(0, 256, shape)
        pixels = noise if colour is None else np.full(shape, colour)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def image_set() -> Callable[..., ImageSet]:
    """A set in memory whose image i has the value i (mod 256) everywhere, but for a pixel that tells 0 from 256."""

    def build(classes: list[int], **fields: object) -> ImageSet:
        n = len(classes)
        values = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1)
        images = np.broadcast_to(values, (n, 3, 4, 4)).copy()
        images[:, 2, 3, 3] += (np.arange(n) // 256).astype(np.uint8)
        num_classes = max([*classes, UNLABELLED]) + 1
        defaults: dict[str, object] = {
            "images": images,
            "names": tuple(f"p{i}" for i in range(n)),
            "classes": np.array(classes, dtype=np.int64),
            "class_names": tuple(f"c{i}" for i in range(num_classes)),
            "contents": np.zeros((n, 0), dtype=np.int64),
        }
        return ImageSet(**(defaults | fields))  # type: ignore[arg-type]  # fields of many types in one dictionary

    return build
