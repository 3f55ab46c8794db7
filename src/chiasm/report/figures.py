"""The figures of a report, each as PNG and PDF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from chiasm.data.written import SOFTWARE
from chiasm.evaluation.criterion import RECONSTRUCTION, SWAP
from chiasm.plots import ORIGINAL_COLOURS, strip
from chiasm.report.compare import Comparison, Setting
from chiasm.report.pairs import Strip

MARGIN_PX = 4
STRIP_SIDE_PX = 64
STYLE: Any = {"font.size": 9, "pdf.fonttype": 42, "axes.spines.top": False, "axes.spines.right": False}


def colours(num: int) -> list[str]:
    """The original's colours in the order of the settings; a colour map where these are more."""
    if num <= len(ORIGINAL_COLOURS):
        return [to_hex(colour) for colour in ORIGINAL_COLOURS[:num]]
    return [to_hex(colormaps["turbo"](0.05 + 0.9 * i / (num - 1))) for i in range(num)]


def curves(comparison: Comparison, stem: Path) -> list[Path]:
    """Training loss, validation loss and held-out error of all runs over each other; seeds share a colour."""
    error = SWAP if comparison.truth else RECONSTRUCTION
    panels = {
        "train/loss": "training loss",
        "val/loss": "validation loss",
        error: "held-out swap L1" if comparison.truth else "held-out reconstruction L1",
    }
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12, 3.9), layout="constrained")
        axes = figure.subplots(1, len(panels))
        for axis, (column, title) in zip(axes, panels.items(), strict=True):
            for setting, colour in zip(comparison.settings, colours(len(comparison.settings)), strict=True):
                _plot_curves(axis, setting, column, colour)
            axis.set(xlabel="step", title=title)
            axis.grid(alpha=0.25)
            values = [y for line in axis.lines for y in line.get_ydata()]
            if values and min(values) > 0 and max(values) > 8 * min(values):
                axis.set_yscale("log")
        handles, labels = axes[0].get_legend_handles_labels()
        if len(labels) > 1:
            figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)), frameon=False)
        return _save(figure, stem)


def scores(comparison: Comparison, stem: Path) -> list[Path]:
    """The criterion of every setting: its mean over seeds with the interval, and each seed as a dot."""
    shown = [s for s in comparison.settings if s.score is not None]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 1.2 + 0.32 * len(shown)), layout="constrained")
        axis = figure.subplots()
        palette = colours(len(comparison.settings))
        for place, setting in enumerate(shown):
            colour = palette[comparison.settings.index(setting)]
            assert setting.score is not None
            axis.plot(setting.values, [place] * len(setting.values), "o", color=colour, alpha=0.4, markersize=4)
            if setting.score.low is not None and setting.score.high is not None:
                axis.plot([setting.score.low, setting.score.high], [place, place], color=colour, linewidth=2)
            axis.plot([setting.score.mean], [place], "D", color=colour, markersize=6)
        axis.set_yticks(range(len(shown)), [s.label for s in shown])
        axis.invert_yaxis()
        axis.set_xlabel("held-out swap L1" if comparison.truth else "label-free criterion")
        axis.grid(axis="x", alpha=0.25)
        return _save(figure, stem)


def strip_image(pairs: Strip, framed: int | None) -> Image.Image:
    """The pairs of one run in the original's 3x2 layout, images about STRIP_SIDE_PX wide, one pair framed in red."""
    zoom = max(1, round(STRIP_SIDE_PX / pairs.x.shape[-1]))
    return strip(pairs.x, pairs.x_mix, pairs.x_rec, zoom, margin_px=MARGIN_PX, framed=framed)


def strips(images: Sequence[tuple[str, Image.Image]], stem: Path) -> list[Path]:
    """Strips below each other, each with its label."""
    with matplotlib.rc_context(STYLE):
        heights = [7.0 * image.height / image.width + 0.3 for _, image in images]
        figure = Figure(figsize=(7, sum(heights)), layout="constrained")
        axes = figure.subplots(len(images), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (label, image) in zip(axes, images, strict=True):
            axis.imshow(image, interpolation="none")
            axis.set_title(label, loc="left", fontsize=9)
            axis.axis("off")
        return _save(figure, stem)


def png(image: Image.Image) -> bytes:
    """An image as the bytes of a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _plot_curves(axis: Axes, setting: Setting, column: str, colour: str) -> None:
    labelled = False
    for run in setting.runs:
        points = [(row["step"], row[column]) for row in run.rows if column in row]
        if points:
            marker = "o" if len(points) == 1 else None
            label = None if labelled else setting.label
            axis.plot(*zip(*points, strict=True), color=colour, label=label, linewidth=1.2, alpha=0.85, marker=marker)
            labelled = True


def _save(figure: Figure, stem: Path) -> list[Path]:
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "pdf")]
    for path in paths:
        figure.savefig(path, dpi=130, metadata=SOFTWARE if path.suffix == ".png" else None)
    return paths
