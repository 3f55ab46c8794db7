"""A training as its checkpoints hold it, with all that a resumed one needs to go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from chiasm.checkpoint import (
    CheckpointError,
    find_misfit,
    flatten_optimizer,
    load_state,
    restore_optimizer,
    save_state,
)

MAX_VALUE = 1e300

Part = tuple[nn.Module, torch.optim.Optimizer]
"""What is trained, and what trains it."""


@dataclass(frozen=True)
class SavedTraining:
    """How far a training has come, beside the state of its parts.

    Attributes:
        step: optimiser steps made.
        elapsed_s: seconds trained.
        window: the terms of the steps since they were last logged.
    """

    step: int
    elapsed_s: float
    window: list[dict[str, float]]


def save_training(folder: Path, training: SavedTraining, parts: Mapping[str, Part]) -> None:
    """Write a checkpoint."""
    tensors: dict[str, torch.Tensor] = {}
    for name, (module, optimizer) in parts.items():
        tensors |= {f"{name}/{k}": v for k, v in module.state_dict().items()}
        tensors |= flatten_optimizer(optimizer, f"{name}-optimizer")
    save_state(folder, training.step, {"elapsed_s": training.elapsed_s, "window": training.window}, tensors)


def load_training(folder: Path, parts: Mapping[str, Part], say: Callable[[str], None]) -> SavedTraining | None:
    """Put the newest whole checkpoint into the parts of a training; None where there is none.

    Args:
        folder: of the checkpoints.
        parts: as they were saved.
        say: told which checkpoints are damaged.

    Raises:
        CheckpointError: if none of them can be read, or it is of other settings.
    """
    saved = load_state(folder)
    if saved is None:
        return None
    for step in saved.damaged:
        say(f"checkpoint of step {step} is damaged; going on from step {saved.step}")
    try:
        training = SavedTraining(saved.step, *_read_values(saved.values))
        for name, (module, optimizer) in parts.items():
            prefix = f"{name}/"
            state = {k.removeprefix(prefix): v for k, v in saved.tensors.items() if k.startswith(prefix)}
            misfit = find_misfit(module.state_dict(), state)
            if misfit is not None:
                raise CheckpointError(misfit)
            module.load_state_dict(state)
            moments = f"{name}-optimizer"
            # Before its first step an optimiser has none; the discriminator's may come as late as gan.start.
            if any(k.startswith(moments) for k in saved.tensors) or (name == "objective" and saved.step > 0):
                restore_optimizer(optimizer, moments, saved.tensors)
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder}: step {saved.step} is no checkpoint of this run's settings ({error}); "
            "copy it from the run again, or begin it again: --overwrite"
        ) from error
    return training


def _read_values(values: Any) -> tuple[float, list[dict[str, float]]]:
    """The plain values of a checkpoint: the seconds trained, and the terms not logged yet.

    Raises:
        CheckpointError: if they are something else.
    """

    def finite(value: Any) -> bool:
        return type(value) in (int, float) and abs(value) < MAX_VALUE

    known = values if isinstance(values, dict) else {}
    elapsed_s, window = known.get("elapsed_s", -1), known.get("window")
    if not (finite(elapsed_s) and elapsed_s >= 0 and isinstance(window, list)):
        raise CheckpointError("its state.json lacks elapsed_s or window")
    if not all(isinstance(row, dict) and row and all(map(finite, row.values())) for row in window):
        raise CheckpointError("its state.json has terms that are no finite numbers")
    return float(elapsed_s), [{name: float(value) for name, value in row.items()} for row in window]
