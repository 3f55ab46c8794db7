"""A model with uneven sizes, and photographs to mix."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chiasm.checkpoint import save_model
from chiasm.networks import CrossModel


@pytest.fixture
def model_folder(model: CrossModel, tmp_path: Path) -> Path:
    """A model in no run; its codes B are rounded, and its weights large enough for codes beyond the first step."""
    model.noise_b = 0.1
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    save_model(model, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Smooth pictures, wide and high, larger than any model's images."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(4)]
    for path, size in zip(paths, [(300, 200), (210, 350), (97, 41), (64, 64)], strict=True):
        coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(path)
    return paths
