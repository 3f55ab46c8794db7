"""A finished training in a few lines of text."""

from __future__ import annotations

from chiasm.evaluation.metrics.invariance import told
from chiasm.training.loop import FitResult


def summary(result: FitResult) -> str:
    """What was reached, beside what copying would reach, and where the figures are."""
    lines = [f"{result.step} steps in {result.minutes:.1f} minutes; {result.run}"]
    if result.interrupted:
        lines.append(f"stopped early; go on with: chiasm fit --resume {result.run}")
    elif result.by_clock:
        lines.append(f"the step size followed the clock; what repeats exactly is a budget of --steps {result.step}")
    metrics = result.metrics
    lines.append("on held-out images (mean absolute error, pixels in [-1, 1]):")
    lines.append(f"  reconstruction  {metrics['swap/reconstruction']:.3f}")
    if "swap/swap" in metrics:
        swap = metrics["swap/swap"]
        for name, label in (("swap", "swap"), ("copy_x1", "copying x1"), ("copy_x2", "copying x2")):
            value = metrics[f"swap/{name}"]
            ratio = "" if name == "swap" else f"   swap is {swap / value:.2f} of it"
            lines.append(f"  {label:<14}  {value:.3f}{ratio}")
    changes = [name.removeprefix("moves/a_") for name in metrics if name.startswith("moves/a_")]
    lines += [told(name, metrics[f"moves/a_{name}"], metrics[f"moves/b_{name}"]) for name in changes]
    lines += [f"alarm: {alarm}" for alarm in result.alarms]
    lines += ["figures:", *(f"  {path}" for path in result.figures)]
    return "\n".join(lines)
