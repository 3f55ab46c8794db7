"""Whether the devices that a configuration asks for are here."""

from __future__ import annotations

import os

import torch

from chiasm.config import TrainConfig, require


def require_devices(train: TrainConfig) -> None:
    """Refuse an accelerator that is not here, and more devices than there are: they would wait for ever.

    Raises:
        ConfigError: if so.
    """
    gpus, mps = torch.cuda.device_count(), int(torch.backends.mps.is_available())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    here = {"cpu": cores, "cuda": gpus, "mps": mps, "gpu": gpus or mps, "auto": gpus or mps or cores}[train.accelerator]
    require(here > 0, "train.accelerator", train.accelerator, "there is none here; give 'cpu' or 'auto'")
    require(train.devices <= here, "train.devices", train.devices, f"there are {here} here; give at most {here}")
