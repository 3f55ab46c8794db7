"""Results to figures; never loads a model. Images are uint8 arrays, channels first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from chiasm.data.written import SOFTWARE

ByteImages = NDArray[np.uint8]

# The original's colours, in the order of rising gamma.
ORIGINAL_COLOURS = ("tab:orange", "tab:pink", "tab:blue", "tab:green", "tab:red")
DECADES_SHOWN = 1e-4
GAP_PX = 2
PAIR_GAP_PX = 8
FRAME_DISTANCE_PX = 3
PAPER = 255


def tile(rows: Sequence[Sequence[NDArray[np.uint8] | None]], gap_px: int = GAP_PX) -> Image.Image:
    """Lay images out in rows and columns on white paper.

    Args:
        rows: images [3, side, side], or None for an empty cell; all of one size.
        gap_px: white space between cells.
    """
    side = next(cell.shape[-1] for row in rows for cell in row if cell is not None)
    step = side + gap_px
    width = max(len(row) for row in rows) * step - gap_px
    sheet = np.full((len(rows) * step - gap_px, width, 3), PAPER, dtype=np.uint8)
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            if cell is not None:
                sheet[r * step : r * step + side, c * step : c * step + side] = cell.transpose(1, 2, 0)
    return Image.fromarray(sheet)


def strip(
    x: ByteImages,
    x_mix: ByteImages,
    x_rec: ByteImages,
    zoom: int = 2,
    *,
    margin_px: int = 0,
    framed: int | None = None,
) -> Image.Image:
    """Validation pairs side by side, each a 3x2 block as in the original: originals, mixed, mixed twice.

    Args:
        x: [n, 3, side, side]: the first images of all pairs, then the second ones.
        x_mix: x_a1b2 of all pairs, then x_a2b1.
        x_rec: the originals after crossing twice.
        zoom: factor by which every pixel is enlarged, those of the margin too.
        margin_px: white space around all pairs.
        framed: the pair that gets a red frame, which takes up FRAME_DISTANCE_PX and its own width of the margin.

    Source: docs/method.md, section 4.1.
    """
    pairs = len(x) // 2
    blocks = [tile([[p[i], p[pairs + i]] for p in (x, x_mix, x_rec)]) for i in range(pairs)]
    width, height = blocks[0].size
    lefts = [margin_px + i * (width + PAIR_GAP_PX) for i in range(pairs)]
    sheet = Image.new("RGB", (lefts[-1] + width + margin_px, height + 2 * margin_px), "white")
    for left, block in zip(lefts, blocks, strict=True):
        sheet.paste(block, (left, margin_px))
    sheet = enlarge(sheet, zoom)
    if framed is not None:
        left, top, distance = lefts[framed], margin_px, FRAME_DISTANCE_PX
        corners = (left - distance, top - distance, left + width + distance, top + height + distance)
        ImageDraw.Draw(sheet).rectangle([zoom * c for c in corners], outline="red", width=2 * zoom)
    return sheet


def swap_matrix(a_from: ByteImages, b_from: ByteImages, mixes: NDArray[np.uint8], zoom: int = 2) -> Image.Image:
    """Every A with every B: the first column shows where A comes from, the first row where B comes from.

    Args:
        a_from: [rows, 3, side, side].
        b_from: [columns, 3, side, side].
        mixes: [rows, columns, 3, side, side].
        zoom: factor by which every pixel is enlarged.
    """
    rows: list[list[NDArray[np.uint8] | None]] = [[None, *b_from]]
    rows += [[a_from[r], *mixes[r]] for r in range(len(a_from))]
    return enlarge(tile(rows), zoom)


def enlarge(sheet: Image.Image, zoom: int) -> Image.Image:
    """Repeat every pixel, so that small images can be looked at as they are."""
    return sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.Resampling.NEAREST)


def curves(rows: Sequence[Mapping[str, float]], prefixes: Sequence[str], file: Path | BinaryIO) -> None:
    """Plot training and validation curves of one run, a panel for each prefix of column names.

    Args:
        rows: of metrics.csv, each with `step` and any of its columns.
        prefixes: such as "train/" and "val/".
        file: the PNG to write.
    """
    with matplotlib.rc_context({"font.size": 9}):
        width = 5 * len(prefixes)
        figure = Figure(figsize=(width, 3.4))
        # Fixed margins: to lay out what is drawn takes as long as to draw it.
        figure.subplots_adjust(left=0.6 / width, right=1 - 0.1 / width, bottom=0.14, top=0.92, wspace=0.15)
        for axis, prefix in zip(figure.subplots(1, len(prefixes), squeeze=False)[0], prefixes, strict=True):
            names = list(dict.fromkeys(key for row in rows for key in row if key.startswith(prefix)))
            for name in names:
                points = [(row["step"], row[name]) for row in rows if name in row]
                axis.plot(*zip(*points, strict=True), label=name.removeprefix(prefix), linewidth=1.2)
            axis.set(xlabel="step", title=prefix.rstrip("/"), yscale="log")
            axis.yaxis.set(
                major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_locator=NullLocator()
            )
            values = [float(row[name]) for row in rows for name in names if row.get(name, 0) > 0]
            if values:  # a hinge that is all but satisfied would else take up the whole axis
                axis.set_ylim(bottom=max(min(values), DECADES_SHOWN * max(values)))
            axis.grid(alpha=0.3)
            if names:
                axis.legend(frameon=False)
        figure.savefig(file, dpi=130, metadata=SOFTWARE)
