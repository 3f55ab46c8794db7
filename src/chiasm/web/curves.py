"""The numbers of a training as a picture and in words."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image

from chiasm.plots import curves
from chiasm.web.showing import figure

NAMES = {"swap/swap": "error of the mixed images", "swap/reconstruction": "error of the reconstructions"}


def curves_figure(rows: Sequence[Mapping[str, float]]) -> str:
    """Training and validation curves; "" before the first validation.

    Args:
        rows: of metrics.csv.
    """
    last = next((row for row in reversed(rows) if "swap/reconstruction" in row), None)
    if last is None:
        return ""
    file = io.BytesIO()
    curves(rows, ("train/", "swap/"), file)
    told = ", ".join(f"{words} {last[name]:.3f}" for name, words in NAMES.items() if name in last)
    copied = [last[name] for name in ("swap/copy_x1", "swap/copy_x2") if name in last]
    floor = f" Copying an image instead of mixing would give {min(copied):.3f}." if copied else ""
    caption = f"After {last['step']:.0f} steps, on images that it does not learn from: {told}.{floor} Lower is better."
    return figure(Image.open(file), f"Curves of the training. {caption}", caption, kind="plot")
