"""A model with uneven sizes, and photographs to mix."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chiasm.checkpoint import save_model
from chiasm.export.graphs import write_graphs
from chiasm.networks import CrossModel


@pytest.fixture(scope="session", autouse=True)
def _exported_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Exporting takes long: who exports a model that was exported before gets a copy of its graphs."""
    exported: dict[tuple, dict[str, Path]] = {}

    def write_or_copy(model: CrossModel, folder: Path) -> dict[str, Path]:
        tensors = tuple((name, tensor.numpy().tobytes()) for name, tensor in model.state_dict().items())
        key = (repr(model.config), model.noise_b, tensors)
        if key not in exported:
            exported[key] = write_graphs(model, tmp_path_factory.mktemp("graphs"))
        return {name: Path(shutil.copy(path, folder)) for name, path in exported[key].items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chiasm.export.onnx.write_graphs", write_or_copy)
        yield


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
