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


def test_strip_shows_each_pair_as_the_original_s_3x2_block() -> None:
    """Left column: x1, x_a1b2, x1_rec; right column: x2, x_a2b1, x2_rec."""
    x, x_mix, x_rec = (np.concatenate([flat(v), flat(v + 1)]) for v in (10, 20, 30))
    sheet = strip(x, x_mix, x_rec, zoom=1)
    assert [[cell(sheet, r, c) for c in (0, 1)] for r in range(3)] == [[10, 11], [20, 21], [30, 31]]


def test_strip_is_laid_out_to_the_pixel() -> None:
    """Two pairs of 5 px images: 2 px between images, 8 px between pairs, a margin of 4 px, a frame 3 px off."""
    x, x_mix, x_rec = np.random.default_rng(0).integers(0, 256, (3, 4, 3, 5, 5), dtype=np.uint8)
    wanted = np.full((4 + 19 + 4, 4 + 12 + 8 + 12 + 4, 3), 255, dtype=np.uint8)
    for r, images in enumerate((x, x_mix, x_rec)):
        for place, image in zip((0, 20, 7, 27), images, strict=True):  # x1 of both pairs, then x2 of both
            wanted[4 + 7 * r : 9 + 7 * r, 4 + place : 9 + place] = image.transpose(1, 2, 0)
    np.testing.assert_array_equal(strip(x, x_mix, x_rec, 1, margin_px=4), wanted)
    np.testing.assert_array_equal(strip(x, x_mix, x_rec, 1), wanted[4:-4, 4:-4])
    np.testing.assert_array_equal(strip(x, x_mix, x_rec, 3, margin_px=4), wanted.repeat(3, 0).repeat(3, 1))
    left, top, right, bottom = 24 - 3, 4 - 3, 24 + 12 + 3, 4 + 19 + 3
    inside = wanted[top + 2 : bottom - 1, left + 2 : right - 1].copy()
    wanted[top : bottom + 1, left : right + 1] = (255, 0, 0)
    wanted[top + 2 : bottom - 1, left + 2 : right - 1] = inside
    np.testing.assert_array_equal(strip(x, x_mix, x_rec, 1, margin_px=4, framed=1), wanted)


def test_swap_matrix_frames_the_mixes_with_their_sources() -> None:
    a_from, b_from = np.concatenate([flat(1), flat(2)]), flat(3)
    mixes = np.stack([flat(13), flat(23)])
    sheet = swap_matrix(a_from, b_from, mixes, zoom=2)
    assert [[cell(sheet, r, c, 2) for c in (0, 1)] for r in range(3)] == [[255, 3], [1, 13], [2, 23]]


def test_curves_plot_rows_with_gaps(tmp_path: Path) -> None:
    rows = [
        {"step": 1.0, "train/loss": 2.0},
        {"step": 2.0, "val/loss": 1.0},
        {"step": 3.0, "train/loss": 1.0},
    ]
    curves(rows, ("train/", "val/"), tmp_path / "curves.png")
    assert np.asarray(Image.open(tmp_path / "curves.png")).std() > 1
