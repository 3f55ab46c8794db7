"""From a configuration to a trained model and its figures."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning_fabric import Fabric

from chiasm.config import Config, ConfigError
from chiasm.data import ImageSet, Split, announce, hide_labels, load_split, make_split, open_data, save_split
from chiasm.networks.size import require_buildable
from chiasm.objective import build_objective
from chiasm.runs import RunFolder
from chiasm.training.budget import Schedule, step_size
from chiasm.training.hardware import require_devices
from chiasm.training.loop import Build, FitResult, Loop


def fit(
    config: Config,
    *,
    name: str | None = None,
    runs: Path = Path("runs"),
    resume: Path | None = None,
    progress_bar: bool = True,
    build: Build = build_objective,
    schedule: Schedule = step_size,
) -> FitResult:
    """Train a model, or go on with a run.

    Args:
        config: the whole experiment; when resuming, the run's own with any changed budget.
        name: of the new run; by default the data's name and a number.
        runs: folder of all runs.
        resume: the folder of a run to go on with.
        progress_bar: whether to show progress bars.
        build: makes what is minimised; another method than the project's own trains through the same loop.
        schedule: of the step size.

    Raises:
        DataError, ConfigError, RunError, CheckpointError: for what a user can mend.
        TrainingDivergedError: when a term of the loss is no longer a finite number.
    """
    train = config.train
    require_devices(train)
    require_buildable(config.model)
    fabric = Fabric(
        accelerator=train.accelerator,
        devices=train.devices,
        precision=_precision(train.precision),  # type: ignore[arg-type]  # a plain str to mypy
    )
    fabric.launch()
    with fabric.rank_zero_first():
        images = open_data(config.data, config.model.side_px, progress_bar=progress_bar and fabric.is_global_zero)
    if progress_bar and fabric.is_global_zero:
        announce(images)
    asked = [f"loss.{key}" for key in config.loss.keys_that_need("classes")]
    if asked and not hide_labels(images, config.data).has_classes:
        raise ConfigError(
            f"{', '.join(asked)}: {config.data.source} shows no two images of one class; put "
            "each class into a subfolder of its own, or train without labels: --preset unlabelled"
        )
    if resume is None:
        run, split = _begin(fabric, config, images, runs, name)
    else:
        run, split = _continue(resume, images)
    loop = Loop(fabric, config, run, images, split, build, schedule, progress_bar=progress_bar)
    if resume is not None:
        loop.load()
    return loop.run()


def _begin(fabric: Fabric, config: Config, images: ImageSet, runs: Path, name: str | None) -> tuple[RunFolder, Split]:
    """A new run's folder, with its configuration and its frozen split."""
    made = RunFolder.create(runs, name, config) if fabric.is_global_zero else None
    run = fabric.broadcast(made)
    assert run is not None
    split = make_split(images, config.data)
    if fabric.is_global_zero:
        save_split(split, images, run.split)
    return run, split


def _continue(path: Path, images: ImageSet) -> tuple[RunFolder, Split]:
    """The folder of a run that goes on, and the split it began with."""
    run, _ = RunFolder.open(path)
    return run, load_split(run.split, images)


def _precision(wanted: str) -> str:
    """bf16 where a GPU computes it; never on a CPU, whose bf16 convolutions can be 300 times slower.

    Raises:
        ConfigError: if bf16 is asked for where no GPU has it.
    """
    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    if wanted == "bf16-mixed" and not has_bf16:
        raise ConfigError(f"train.precision: got {wanted!r}, but no GPU here computes bf16; leave it at 'auto'.")
    return "bf16-mixed" if wanted == "auto" and has_bf16 else "32-true"
