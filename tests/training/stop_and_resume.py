"""Trains whole, and stopped and resumed, and exits with 1 unless the weights are equal: `stop_and_resume.py FOLDER`.

A process of its own, since torch.compile and the checks of shapes at run time do not go together.
"""

import dataclasses
import sys
from pathlib import Path

import torch

from chiasm.checkpoint import load_model
from chiasm.config import LossConfig
from chiasm.presets import tiny
from chiasm.training import fit
from chiasm.training.loop import Loop


def main(runs: Path) -> bool:
    """Whether both runs end with the same weights."""
    config = tiny()
    config = dataclasses.replace(
        config,
        loss=LossConfig(weight_rec=0.5, gamma=0.2, cross_start=0.5),
        train=dataclasses.replace(config.train, steps=6, compile="on"),
    )
    whole = fit(config, name="whole", runs=runs, progress_bar=False)
    agree = Loop._agree
    Loop._agree = lambda self, stop: self.step == 3
    half = fit(config, name="half", runs=runs, progress_bar=False)
    Loop._agree = agree
    resumed = fit(config, resume=half.run, progress_bar=False)
    expected, got = (load_model(run).state_dict() for run in (whole.run, resumed.run))
    return (half.step, resumed.step) == (3, 6) and all(torch.equal(expected[name], got[name]) for name in expected)


if __name__ == "__main__":
    sys.exit(0 if main(Path(sys.argv[1])) else 1)
