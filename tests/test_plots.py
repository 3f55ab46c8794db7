from pathlib import Path

import numpy as np
from PIL import Image

from chiasm.plots import curves, strip, swap_matrix, tile


def flat(value: int, n: int = 1) -> np.ndarray:
    return np.full((n, 3, 4, 4), value, dtype=np.uint8)


def cell(sheet: Image.Image, row: int, column: int, zoom: int = 1) -> int:
    return sheet.getpixel(((column * 6 + 1) * zoom, (row * 6 + 1) * zoom))[0]


def test_tile_puts_rows_below_each_other_and_leaves_empty_cells_white() -> None:
    sheet = tile([[flat(10)[0], None], [flat(30)[0], flat(40)[0]]])
    assert sheet.size == (10, 10)
    assert [cell(sheet, r, c) for r in (0, 1) for c in (0, 1)] == [10, 255, 30, 40]


def test_strip_shows_each_pair_as_the_report_s_3x2_block() -> None:
    """Left column: x1, x_a1b2, x1_rec; right column: x2, x_a2b1, x2_rec."""
    x, x_mix, x_rec = (np.concatenate([flat(v), flat(v + 1)]) for v in (10, 20, 30))
    sheet = strip(x, x_mix, x_rec, zoom=1)
    assert [[cell(sheet, r, c) for c in (0, 1)] for r in range(3)] == [[10, 11], [20, 21], [30, 31]]


def test_swap_matrix_frames_the_mixes_with_their_sources() -> None:
    a_from, b_from = np.concatenate([flat(1), flat(2)]), flat(3)
    mixes = np.stack([flat(13), flat(23)])
    sheet = swap_matrix(a_from, b_from, mixes, zoom=2)
    assert [[cell(sheet, r, c, 2) for c in (0, 1)] for r in range(3)] == [[255, 3], [1, 13], [2, 23]]


def test_curves_draw_rows_with_gaps(tmp_path: Path) -> None:
    rows = [
        {"step": 1.0, "train/loss": 2.0},
        {"step": 2.0, "val/loss": 1.0},
        {"step": 3.0, "train/loss": 1.0},
    ]
    curves(rows, ("train/", "val/"), tmp_path / "curves.png")
    assert np.asarray(Image.open(tmp_path / "curves.png")).std() > 1
