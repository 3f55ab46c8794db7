"""What a model is and the images of its run, as an export needs them."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chiasm.card import public_source
from chiasm.data import DataError, ImageSet, load_split, open_data
from chiasm.evaluation.triplets import Triplets, sample_triplets
from chiasm.networks import CrossModel
from chiasm.networks.hand_out import STEP_PER_NOISE
from chiasm.runs import CONFIG_FILE, RunError, RunFolder

NUM_PAIRS = 256


class HeldOut(NamedTuple):
    """The validation images of a run."""

    images: ImageSet
    triplets: Triplets

    def some(self, num: int) -> NDArray[np.uint8]:
        """[num, 3, side, side] images that give code A, some of them twice where there are few."""
        return self.images.gather(np.resize(self.triplets.a_from, num))


def held_out(path: Path, model: CrossModel, progress_bar: bool) -> HeldOut | str:
    """Validation images of the run that a model lies in; or why there are none, which is exported: no private path."""
    folder = _run_folder(path)
    if folder is None:
        return f"{path.name} lies in no run, so that its images are not known"
    try:
        run, config = RunFolder.open(folder)
        data = dataclasses.replace(config.data, fit=model.fit)
        images = open_data(data, model.config.side_px, progress_bar=progress_bar)
        split = load_split(run.split, images)
    except (DataError, RunError) as error:
        print(f"the run's images are left out: {error}", file=sys.stderr)
        return "the images of its run cannot be read any more"
    return HeldOut(images, sample_triplets(images, split.val, NUM_PAIRS, seed=0, train=split.train))


def describe(path: Path, model: CrossModel) -> dict[str, Any]:
    """What whoever uses an exported model must know, as plain values."""
    folder, config = _run_folder(path), model.config
    trained_on = None
    if folder is not None:
        trained_on = public_source(RunFolder.open(folder)[1].data.source)
    return {
        "name": (folder or path).resolve().name,
        "trained_on": trained_on,
        "side_px": config.side_px,
        "fit": model.fit,
        "images": "float32 [n, 3, side_px, side_px], RGB in [-1, 1]: bytes / 127.5 - 1, and back",
        "code_a": config.width_a,
        "code_b": config.code_b,
        "step_b": STEP_PER_NOISE * model.noise_b,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def _run_folder(path: Path) -> Path | None:
    path = path.resolve()
    return next((p for p in (path, path.parent) if (p / CONFIG_FILE).is_file()), None)
