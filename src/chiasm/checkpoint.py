"""The only place that saves or loads a model: config.json and safetensors, nothing that is unpickled."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from chiasm.config import ConfigError, DataConfig, LossConfig, ModelConfig
from chiasm.files import folder_written_whole, read_json, write_atomically
from chiasm.networks import CrossModel
from chiasm.overrides import from_dict, to_dict
from chiasm.runs import CHECKPOINT_PATTERN, MODEL_FILE, STATE_FILE, TENSORS_FILE, WEIGHTS_FILE

MAX_JSON_BYTES = 10_000_000


class CheckpointError(ValueError):
    """A model or checkpoint that cannot be read; the message names the file and the remedy."""


def save_model(model: CrossModel, folder: Path) -> None:
    """Write the model's configuration and weights into a folder, replacing what is there.

    Each file is replaced whole. That suffices for the two to fit each other at any time: a run never changes its
    networks, and without a configuration weights are no model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_tensors(model.state_dict(), folder / WEIGHTS_FILE)
    _write_json(_settings(model), folder / MODEL_FILE)


def model_folder(path: Path) -> Path:
    """The model folder that a run has, or that a path is itself."""
    return path / "model" if (path / "model").is_dir() else path


def load_model(path: Path) -> CrossModel:
    """Read a model in evaluation mode.

    Args:
        path: the model folder, or a run folder that contains `model/`.

    Raises:
        CheckpointError: if files are missing, damaged or do not fit each other.
    """
    path = Path(path)
    folder = model_folder(path)
    if not (folder / MODEL_FILE).is_file():
        raise CheckpointError(
            f"{path} holds no model: {MODEL_FILE} is missing; give a run folder or its model/ folder."
        )
    model = read_networks(folder / MODEL_FILE)
    tensors = _read_tensors(folder / WEIGHTS_FILE)
    codes_b = tensors.get("codes_b")
    if model.codes_b is not None and codes_b is not None and codes_b.shape[2:] == (model.config.code_b,):
        model.codes_b = torch.zeros(codes_b.shape)  # as large as the file's
    misfit = find_misfit(model.state_dict(), tensors)
    if misfit is not None:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} does not fit {MODEL_FILE} beside it ({misfit}); copy both from the same run."
        )
    model.load_state_dict(tensors)
    return model.eval()


def find_misfit(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> str | None:
    """What of some tensors cannot take the place of others of the same names, in words; None where all can.

    Args:
        wanted: as networks have them now.
        tensors: as a file has them; whole numbers for whole numbers, else finite floats of any precision.
    """
    for name in [*wanted, *tensors]:
        if name not in tensors or name not in wanted:
            return f"{name} is {'missing' if name not in tensors else 'no tensor of this model'}"
        old, new = wanted[name], tensors[name]
        if old.shape != new.shape or old.is_floating_point() != new.is_floating_point() or new.is_complex():
            return f"{name} is {list(new.shape)} {new.dtype}, wanted {list(old.shape)} {old.dtype}"
        if not new.isfinite().all():
            return f"{name} has values that are not finite"
    return None


def read_networks(file: Path) -> CrossModel:
    """The networks that a model's config.json describes, with weights that mean nothing yet.

    Raises:
        CheckpointError: if it describes none.
    """
    try:
        values = _read_json(file)
        fit = from_dict(DataConfig, {"fit": values.pop("fit", "crop")}).fit
        learned = from_dict(LossConfig, {key: values.pop(key, 0.0) for key in ("noise_b", "weight_perceptual")})
        return CrossModel(from_dict(ModelConfig, values), fit, learned.noise_b, learned.weight_perceptual)
    except ConfigError as error:
        raise CheckpointError(f"{file} does not describe a model of this version: {error}") from error


@dataclass(frozen=True)
class SavedState:
    """A checkpoint.

    Attributes:
        step: optimiser steps made.
        values: plain ones.
        tensors: by name.
        damaged: the steps of newer checkpoints that cannot be read.
    """

    step: int
    values: dict[str, Any]
    tensors: dict[str, Tensor]
    damaged: list[int]


def save_state(folder: Path, step: int, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint, a folder of its own that appears whole, and keep the one before it.

    Args:
        folder: of the run's checkpoints.
        step: optimiser steps made; a checkpoint of this step or a later one counts as damaged and is removed.
        values: plain ones, as JSON.
        tensors: as safetensors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with folder_written_whole(_place(folder, step)) as place:
        _write_tensors(tensors, place / TENSORS_FILE)
        _write_json({"values": values, "sha256": _digests(values, place)}, place / STATE_FILE)
    kept = {step, *[earlier for earlier in saved_steps(folder) if earlier < step][-1:]}
    for old in set(saved_steps(folder)) - kept:
        shutil.rmtree(_place(folder, old))


def saved_steps(folder: Path) -> list[int]:
    """The steps of which a run has checkpoints, ascending."""
    return sorted(int(path.name) for path in folder.glob(CHECKPOINT_PATTERN))


def load_state(folder: Path) -> SavedState | None:
    """Read the newest checkpoint that is whole; None where there is none at all.

    Raises:
        CheckpointError: if all of them are damaged.
    """
    steps = saved_steps(folder)
    for i, step in enumerate(reversed(steps)):
        try:
            return SavedState(step, *_load_whole(_place(folder, step)), damaged=steps[len(steps) - i :])
        except CheckpointError:
            continue
    if steps:
        told = " and ".join(map(str, steps))
        raise CheckpointError(f"{folder}: the checkpoints of step {told} are damaged; begin the run again: --overwrite")
    return None


def _place(folder: Path, step: int) -> Path:
    return folder / f"{step:09d}"


def _load_whole(place: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A checkpoint's values and tensors, if they are what was written."""
    content = _read_json(place / STATE_FILE)
    values = content.get("values", {})
    try:
        if content.get("sha256") != _digests(values, place):
            raise CheckpointError(f"{place} is not what was written.")
    except OSError as error:
        raise CheckpointError(f"{place} cannot be read ({error}).") from error
    return values, _read_tensors(place / TENSORS_FILE)


def _digests(values: dict[str, Any], place: Path) -> dict[str, str]:
    """The SHA-256 of plain values and of the tensors beside them."""
    with (place / TENSORS_FILE).open("rb") as file:
        of_tensors = hashlib.file_digest(file, "sha256").hexdigest()
    return {"values": hashlib.sha256(json.dumps(values).encode()).hexdigest(), TENSORS_FILE: of_tensors}


def flatten_optimizer(optimizer: torch.optim.Optimizer, name: str) -> dict[str, Tensor]:
    """An optimiser's moments as named tensors, `name.<parameter>.<moment>`."""
    state = optimizer.state_dict()["state"]
    return {f"{name}.{i}.{key}": torch.as_tensor(value) for i, slot in state.items() for key, value in slot.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, name: str, tensors: dict[str, Tensor]) -> None:
    """Put the moments that flatten_optimizer named back into an optimiser.

    A moment takes its parameter's memory layout: the fused optimisers step through both side by side.

    Raises:
        CheckpointError: if they are no moments of its parameters.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    _check_moments(optimizer, name, tensors)
    slots: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        owner, _, rest = key.partition(".")
        if owner == name:
            index, _, moment = rest.partition(".")
            parameter = parameters[int(index)]
            if tensor.shape == parameter.shape:
                tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
            slots.setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})


def _check_moments(optimizer: torch.optim.Optimizer, name: str, tensors: dict[str, Tensor]) -> None:
    """Refuse moments that are not finite, of no parameter or of another shape, or not the same ones in a group."""
    found: dict[str, set[str]] = {}
    for key in tensors:
        owner, _, rest = key.partition(".")
        if owner == name:
            found.setdefault(rest.partition(".")[0], set()).add(rest.partition(".")[2])
    count = 0
    for group in optimizer.param_groups:
        kinds = [found.pop(str(count + i), set()) for i in range(len(group["params"]))]
        count += len(kinds)
        # A parameter that no term has needed yet has none.
        if len({frozenset(kind) for kind in kinds if kind}) > 1:
            raise CheckpointError(f"{name}: its parameters have different moments")
        for i, (parameter, kind) in enumerate(zip(group["params"], kinds, strict=True), count - len(kinds)):
            for moment in (tensors[f"{name}.{i}.{kind_name}"] for kind_name in kind):
                if moment.shape not in (parameter.shape, torch.Size()) or not moment.isfinite().all():
                    raise CheckpointError(f"{name}: moment {i} does not fit its parameter or is not finite")
    if found or not any(key.startswith(f"{name}.") for key in tensors):
        raise CheckpointError(f"{name}: it has no moments of these parameters")


def _settings(model: CrossModel) -> dict[str, Any]:
    """What config.json holds: how images become the model's, and its networks."""
    learned = {"noise_b": model.noise_b, "weight_perceptual": model.weight_perceptual}
    return {"fit": model.fit, **learned, **to_dict(model.config)}


def _write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        write_atomically(path, partial(save_file, cpu))
    except SafetensorError as error:  # such as a full disk, which others report so, too
        raise OSError(f"{path}: {error}") from error


def _write_json(values: dict[str, Any], path: Path) -> None:
    write_atomically(path, json.dumps(values, indent=2) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError(f"{path} is larger than {MAX_JSON_BYTES:,} bytes")
        values = read_json(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy it from its run again.") from error
    except ValueError as error:
        raise CheckpointError(f"{error}; copy it from its run again.") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} holds {type(values).__name__}, wanted an object; copy it from its run again.")
    return values


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError, MemoryError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy it from its run again.") from error


def describe_model(model: CrossModel) -> str:
    """A model in a few lines: its codes, its networks, its parameters."""
    config = model.config
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    lines = [
        f"images   3 x {config.side_px} x {config.side_px}",
        f"code A     {config.width_a} numbers (what it is)",
        f"code B     {config.code_b} numbers (everything else)",
        *(f"{name:<11}{count:,} parameters" for name, count in counts.items()),
        *(f"{key} = {value}" for key, value in _settings(model).items()),
    ]
    return "\n".join(lines)
