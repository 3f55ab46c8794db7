"""Trains a variant on some devices: `two_devices.py FOLDER NAME VARIANT DEVICES [STEPS]`.

A process of its own, which writes its weights and starts the others as `chiasm fit` does.
"""

import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

import chiasm.training.loop as loop
from chiasm.overrides import changed
from chiasm.presets import tiny
from chiasm.training import fit

ALL = 16
# Muon has matrices in wider networks alone.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {"model.generator_widths": (16, 16, 16), "loss.shift_b": 0.1},
    "GAN": {"gan.weight": 0.1, "gan.r1": 1.0, "gan.widths": (4,), "loss.weight_rec": 0.5, "loss.noise_mix": 0.1},
    "in turns": {
        "loss.inversion_start": 0.5,
        "loss.refinement_start": 0.75,
        "loss.weight_perceptual": 0.1,
        "model.neighbours_b": 3,
        "model.components_b": 2,
    },
}


def main(folder: Path, name: str, variant: str, devices: int, steps: int) -> None:
    """Train, and write the weights of this process."""
    train = {"devices": devices, "batch_size": ALL // devices, "steps": steps, "accelerator": "cpu", "num_val_pairs": 4}
    config = changed(tiny(), VARIANTS[variant] | {f"train.{key}": value for key, value in train.items()})
    loop.LOG_EVERY = 1
    step = loop.Loop.training_step

    def noted(self: loop.Loop, *batch: Any) -> Any:
        terms = step(self, *batch)
        if self.step == steps - 1:
            weights = {k: v.detach().contiguous() for k, v in self.objective.state_dict().items()}
            save_file(weights, folder / f"{name}-{self.fabric.global_rank}.safetensors")
        return terms

    loop.Loop.training_step = noted  # type: ignore[method-assign]
    fit(config, name=name, runs=folder, progress_bar=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 4)
