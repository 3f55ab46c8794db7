"""torch.compile where it pays, and quietly not where it cannot work."""

from __future__ import annotations

import os
import shutil
import warnings

import torch

from chiasm.config import TrainConfig
from chiasm.data.cache import default_cache_dir
from chiasm.networks import CrossModel
from chiasm.training.budget import Budget

# Compiling takes half a minute to a minute on a CPU; shorter runs would lose more than they win.
MIN_SECONDS = 180
MIN_STEPS = 1500


def compile_networks(model: CrossModel, config: TrainConfig, budget: Budget) -> bool:
    """Compile the encoders and the generator in place.

    Args:
        model: the networks; their weights and names stay as they are.
        config: `compile` is 'on', 'off', or 'auto' for runs long enough to pay for it.
        budget: how long the run is.

    Returns:
        Whether the networks were compiled.
    """
    if config.compile == "off":
        return False
    long_enough = (budget.steps is None or budget.steps >= MIN_STEPS) and (
        budget.seconds is None or budget.seconds >= MIN_SECONDS
    )
    if config.compile == "auto" and not long_enough:
        return False
    if not torch.cuda.is_available() and not any(map(shutil.which, ("g++", "clang++", "cl"))):
        warnings.warn("no C++ compiler here: training goes on without torch.compile, slower", stacklevel=2)
        return False
    # What was compiled once is found again by the next run; torch's own default is a folder that reboots empty.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(default_cache_dir() / "compiled"))
    # A process may compile a function eight times and then runs it slowly; a sweep trains more models than that.
    torch.compiler.reset()
    for network in (model.encoder_a, model.encoder_b, model.generator):
        # Kernels for each size of batch apart: those for any size depend on which sizes came first, so that a run that
        # is resumed after crossing began would round differently.
        network.compile(dynamic=False)
    return True
