"""How much of a training is used up, by whichever limit comes first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chiasm.config import TrainConfig

Schedule = Callable[[TrainConfig, float, float], float]
"""(settings, step size at the start, progress in [0, 1]) -> step size."""


@dataclass(frozen=True)
class Budget:
    """Limits of a training; None is no limit."""

    steps: int | None
    seconds: float | None

    @classmethod
    def of(cls, config: TrainConfig, steps_per_epoch: float) -> Budget:
        """The limits that a configuration sets, epochs counted in steps."""
        limits = [] if config.steps is None else [config.steps]
        if config.epochs is not None:
            limits.append(max(1, round(config.epochs * steps_per_epoch)))
        return cls(
            steps=min(limits, default=None),
            seconds=None if config.max_minutes is None else 60 * config.max_minutes,
        )

    def progress(self, step: int, elapsed_s: float) -> float:
        """The fraction used up after `step` steps and `elapsed_s` seconds; 1 and more means the end."""
        by_steps = 0.0 if self.steps is None else step / self.steps
        by_time = 0.0 if self.seconds is None else elapsed_s / self.seconds
        return max(by_steps, by_time)


def step_size(config: TrainConfig, lr: float, progress: float) -> float:
    """The step size when a fraction of the budget is over: lr, in the cooldown a straight line from there to zero.

    Source: Hägele et al. 2024, "Scaling laws and compute-optimal training beyond fixed training durations".
    """
    rest = max(0.0, 1 - progress)
    return lr if rest >= config.cooldown else lr * rest / config.cooldown
