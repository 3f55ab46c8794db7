"""From a configuration to a trained model and its figures."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from chiasm.checkpoint import saved_steps
from chiasm.config import Config, ConfigError
from chiasm.data import (
    UNLABELLED,
    ImageSet,
    Split,
    announce,
    hide_labels,
    keep_classes,
    load_split,
    make_split,
    open_data,
    save_split,
    tells_no_side,
)
from chiasm.networks.photo_features import require_photo_features
from chiasm.networks.size import require_buildable
from chiasm.objective import build_objective
from chiasm.overrides import changed, flatten, lookup, to_dict
from chiasm.runs import RunError, RunFolder, RunWriteError
from chiasm.training.budget import Schedule, step_size
from chiasm.training.hardware import end_with_parent, num_machines, require_devices
from chiasm.training.loop import Build, FitResult, Loop

# Settings that say where the images are kept, not which ones they are.
PLACES = ("data.source", "data.cache")
# Settings that make networks of another shape, and weights that make a network where they are not 0.
SHAPES = ("gan.widths", "gan.conditional", "gan.sees")
# What gloo and NCCL say where another process has gone.
LOST = re.compile(r"gloo|Connection (closed|reset)|Broken pipe|NCCL|TCPStore|recvValue", re.IGNORECASE)
SWITCHES = ("gan.weight", "loss.weight_adversary", "loss.weight_classifier")


class NoClassesError(ConfigError):
    """Images without the classes that the loss needs."""


def fit(
    config: Config,
    *,
    name: str | None = None,
    runs: Path = Path("runs"),
    resume: Path | None = None,
    overwrite: bool = False,
    progress_bar: bool = True,
    build: Build = build_objective,
    schedule: Schedule = step_size,
) -> FitResult:
    """Train a model, or go on with a run.

    Args:
        config: the whole experiment; when resuming, the run's own with any changes but of images and networks.
        name: of the new run; by default the data's name and a number.
        runs: folder of all runs.
        resume: the folder of a run to go on with.
        overwrite: whether a run of that name gives way to the new one.
        progress_bar: whether to show progress bars.
        build: makes what is minimised; another method than the project's own trains through the same loop.
        schedule: of the step size.

    Raises:
        DataError, ConfigError, RunError, CheckpointError, RunWriteError: for what a user can mend.
        TrainingDivergedError: when a term of the loss is no longer a finite number.
    """
    require_devices(config.train)
    require_buildable(config.model)
    if config.loss.weight_perceptual > 0 or (config.gan.weight > 0 and config.gan.sees == "features"):
        require_photo_features()
    fabric = _launch(config)
    run, before = _choose(fabric, config, name, runs, resume, overwrite)
    with run.lock() if fabric.is_global_zero else nullcontext(), _together(run):
        images = _open(fabric, config, progress_bar)
        split = _split(run if before is not None else None, config, images)
        _require_classes(config, images, split)
        config = _decided(config, images, split)
        with _explained(run):
            if before is None and fabric.is_global_zero:
                run.create(config, overwrite=overwrite)
            fabric.barrier()
            if fabric.is_global_zero and not run.split.exists():
                save_split(split, images, run.split)
            loop = Loop(fabric, config, run, images, split, build, schedule, progress_bar=progress_bar)
            if before is not None:
                loop.load()
                if fabric.is_global_zero:
                    run.change_config(loop.step, before, config)
            return loop.run()


def _launch(config: Config) -> Fabric:
    train = config.train
    if int(os.environ.get("LOCAL_RANK", "0")) > 0:
        end_with_parent()
    several = train.devices * num_machines(train) > 1
    in_turns = min(config.loss.inversion_start, config.loss.refinement_start) < 1  # then most weights have no gradient
    fabric = Fabric(
        accelerator=train.accelerator,
        strategy="ddp_find_unused_parameters_true" if several and in_turns else "auto",
        devices=train.devices,
        num_nodes=num_machines(train),
        precision=_precision(train.precision),  # type: ignore[arg-type]  # a plain str to mypy
    )
    fabric.launch()
    return fabric


def _choose(
    fabric: Fabric, config: Config, name: str | None, runs: Path, resume: Path | None, overwrite: bool
) -> tuple[RunFolder, Config | None]:
    """The folder of a new run; or of one that goes on, with the configuration that it had."""
    if overwrite and (name is None or resume is not None):
        raise ConfigError("--overwrite: it begins a run of a given --name again; leave --resume out.")
    if resume is not None and name is not None:
        raise ConfigError(f"--name: got {name!r} with --resume; a run goes on in its own folder, leave it out.")
    if resume is None:
        return fabric.broadcast(RunFolder.named(runs, name, config.data.source)), None
    run, before = RunFolder.open(resume)
    _check_changes(run, before, config)
    return run, before


def _open(fabric: Fabric, config: Config, progress_bar: bool) -> ImageSet:
    with fabric.rank_zero_first():
        images = open_data(config.data, config.model.side_px, progress_bar=progress_bar and fabric.is_global_zero)
    if progress_bar and fabric.is_global_zero:
        announce(images)
    return images


def _require_classes(config: Config, images: ImageSet, split: Split) -> None:
    """Refuse images without the labels that the loss needs.

    Raises:
        NoClassesError: naming what needs them.
    """
    asked = _keys_that_need_classes(config)
    if asked and not _shows_a_class_twice(hide_labels(images, config.data), split):
        raise NoClassesError(
            f"{', '.join(asked)}: {config.data.source} shows no two images of one class to learn from; put "
            "each class into a subfolder of its own, or train without labels: --preset unlabelled"
        )


def _shows_a_class_twice(images: ImageSet, split: Split) -> bool:
    """Whether two images to learn from are of one class."""
    labels = images.classes[split.train]
    return bool((np.bincount(labels[labels != UNLABELLED], minlength=1) > 1).any())


def _decided(config: Config, images: ImageSet, split: Split) -> Config:
    """A configuration that says what 'auto' comes to with the images of the training."""
    if config.model.mirror_a != "auto":
        return config
    alike = tells_no_side(keep_classes(hide_labels(images, config.data), split.train), split.train)
    return changed(config, {"model.mirror_a": "on" if alike else "off"})


def _keys_that_need_classes(config: Config) -> list[str]:
    """What is in use that needs labels: without them an image, changed, is a partner, but of no class."""
    keys = config.loss.keys_that_need("classes")
    own = config.loss.keys_that_need("partners") if config.data.supervision == "augmentations" else []
    settings = ("model.neighbours_b", "model.gain_a", "model.components_a", "data.groups")
    in_use = [key for key in settings if lookup(config, key) > 0]
    return [f"loss.{key}" for key in keys if key not in own] + in_use


def _split(run: RunFolder | None, config: Config, images: ImageSet) -> Split:
    """The frozen split of a run that goes on; a new one where it has not begun: by the images' classes, and where pairs
    stand in for these, by what the pairs show."""
    if run is not None and (run.split.exists() or saved_steps(run.checkpoint)):
        return load_split(run.split, images)
    stand_in = config.data.pairs is not None and not images.has_classes
    return make_split(images, config.data, hide_labels(images, config.data).classes if stand_in else None)


def _check_changes(run: RunFolder, before: Config, after: Config) -> None:
    """Refuse to go on with other images or networks; where the images are kept may change.

    Raises:
        ConfigError: naming the first such setting.
    """
    old, new = (flatten(to_dict(config)) for config in (before, after))
    for key in new:
        fixed = key.startswith(("data.", "model.")) and key not in PLACES or key in SHAPES
        if fixed and old[key] != new[key] or key in SWITCHES and bool(old[key]) != bool(new[key]):
            raise ConfigError(
                f"{key}: {run.path} has {old[key]!r}, got {new[key]!r}; a run goes on with its own images and "
                "networks: leave it as it was, or begin a new run with --name"
            )


@contextmanager
def _together(run: RunFolder) -> Iterator[None]:
    """Say in a line that another process of this training has gone; why, it says itself."""
    try:
        yield
    except RuntimeError as error:
        if not (torch.distributed.is_initialized() and LOST.search(str(error))):
            raise
        remedy = f"; go on with: chiasm fit --resume {run.path}" if saved_steps(run.checkpoint) else ""
        raise RunError(f"{run.path}: another process of this training has ended, see what it says{remedy}.") from error


@contextmanager
def _explained(run: RunFolder) -> Iterator[None]:
    """Say what is left of a run whose files could not be written, in this line alone."""
    report = threading.excepthook
    # TensorBoard's thread hands its errors over to this one and reports them itself, too.
    threading.excepthook = lambda raised: None if isinstance(raised.exc_value, OSError) else report(raised)
    try:
        yield
    except OSError as error:
        steps = saved_steps(run.checkpoint)
        left = f"the checkpoint of step {steps[-1]} is whole" if steps else "there is no checkpoint yet"
        remedy = f"make room or give access, then: chiasm fit --resume {run.path}"
        raise RunWriteError(f"{run.path} cannot be written ({error}); {left}; {remedy}") from error
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)):
            raise
        told = str(error).strip().splitlines()[0] if str(error).strip() else "no more of it"
        raise ConfigError(
            f"train.batch_size: a step does not fit into the memory ({told}); give fewer images, or generate them a "
            "few at a time: --train.slice_size 8"
        ) from error
    finally:
        threading.excepthook = report


def _precision(wanted: str) -> str:
    """bf16 where a GPU computes it; never on a CPU, whose bf16 convolutions can be 300 times slower.

    Raises:
        ConfigError: if bf16 is asked for where no GPU has it.
    """
    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    if wanted == "bf16-mixed" and not has_bf16:
        raise ConfigError(f"train.precision: got {wanted!r}, but no GPU here computes bf16; leave it at 'auto'.")
    return "bf16-mixed" if wanted == "auto" and has_bf16 else "32-true"
