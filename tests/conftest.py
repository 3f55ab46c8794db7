"""Shared fixtures; jaxtyping and beartype check the shapes of every call in the tests."""

import signal
from collections.abc import Iterator
from pathlib import Path

# Before the hook, for what a module imports while the hook loads it is compiled anew in every process.
import beartype  # noqa: F401  (before the hook)
import lightning_fabric  # noqa: F401  (before the hook)
import matplotlib.pyplot  # noqa: F401  (before the hook)
import pytest
import scipy.stats  # noqa: F401  (before the hook)
import torch
import torchmetrics  # noqa: F401  (before the hook)
from jaxtyping import install_import_hook

with install_import_hook("chiasm", "beartype.beartype"):
    import chiasm.cli
    import chiasm.mixing
    import chiasm.training  # noqa: F401  (imported here so that the hook sees them first)

from chiasm.config import Config, ModelConfig
from chiasm.data import ImageSet, open_data
from chiasm.evaluation import classifiers, probes
from chiasm.evaluation.fitting import FitSettings
from chiasm.networks import CrossModel
from chiasm.presets import tiny


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every test run has a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHIASM_CACHE", str(tmp_path_factory.mktemp("cache")))
        # On images this small threads would only wait for one another, those of processes that a test starts, too.
        torch.set_num_threads(1)
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so does whatever that starts: here neither does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def config() -> Config:
    return tiny()


@pytest.fixture
def model() -> CrossModel:
    """A small model with codes of different widths, in training mode."""
    torch.manual_seed(0)
    return CrossModel(
        ModelConfig(
            side_px=16,
            code_a=5,
            code_b=7,
            encoder_widths=(6, 8),
            dense_widths=(9,),
            generator_widths=(8, 6, 4),
        )
    )


@pytest.fixture(scope="session")
def avatars() -> ImageSet:
    """96 images of people rendered at 16 px, whose every recombination is known."""
    preset = tiny()
    return open_data(preset.data, preset.model.side_px, progress_bar=False)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished tiny run."""
    from chiasm.training import fit

    return fit(tiny(), name="trained", runs=tmp_path_factory.mktemp("runs"), progress_bar=False).run


@pytest.fixture(scope="module")
def quick_fits() -> Iterator[None]:
    """Classifiers and probes that learn for a moment, where what they find out does not matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "SETTINGS", FitSettings(lr=4e-3, batch=32, min_steps=5, max_rounds=2))
        short = {kind: (FitSettings(lr=5e-2, min_steps=5, max_rounds=2),) for kind in probes.SETTINGS}
        patch.setattr(probes, "SETTINGS", short)
        yield
