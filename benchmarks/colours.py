"""Whose colours a mix has, on drawn images with a known truth: hair, skin and clothes are areas of one colour each.

    python benchmarks/colours.py runs/people-1                 # validation split, to choose by
    python benchmarks/colours.py runs/people-1 --part test     # to report

An area is what lies inside one colour of the true image, at least 12 pixels; white, the background's, is none. A mix is
right in it where no colour of the palette (the colours of all areas) is nearer to its mean there than the true one is,
but for colours that are nearly the same: a skin and a hair differ by 11 of 255.
A row for each part: the share of areas that are right, with its interval; the same of x2 in place of the mix; and where
x2 has another colour in that place, the share in which the mix is nearer to the true colour than to that one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.checkpoint import load_model
from chiasm.data import load_split, open_data
from chiasm.evaluation.bootstrap import interval
from chiasm.evaluation.context import EvaluationContext, MixedSet, find_held_out
from chiasm.evaluation.format import percent
from chiasm.inference import to_unit
from chiasm.runs import RunFolder

MIN_PIXELS = 12
SAME = 24
"""Distance in red, green and blue, of 0 to 255, below which two colours count as one."""
WHITE = 0xFFFFFF

Colours = NDArray[np.int64]


def inside(images: NDArray[np.uint8]) -> Colours:
    """[n, side, side] the colour 0xRRGGBB of pixels of [n, 3, side, side] whose eight neighbours have it too, or -1."""
    rgb = images.astype(np.int64)
    code = (rgb[:, 0] << 16) | (rgb[:, 1] << 8) | rgb[:, 2]
    padded = np.pad(code, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.where((windows == code[..., None, None]).all(axis=(-1, -2)), code, -1)


def areas(truth: NDArray[np.uint8]) -> list[tuple[int, int, NDArray[np.bool_]]]:
    """(image, colour, mask) of every area."""
    found = []
    for i, codes in enumerate(inside(truth)):
        for colour, count in zip(*np.unique(codes, return_counts=True), strict=True):
            if colour not in (-1, WHITE) and count >= MIN_PIXELS:
                found.append((i, int(colour), codes == colour))
    return found


def distance(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Euclidean distance of colours along the last axis."""
    return np.linalg.norm(first - second, axis=-1)


def nearest_is(seen: NDArray, palette: NDArray, wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[n] whether of a palette [m, 3] the colour nearest to each seen one [n, 3] is the wanted one, or nearly."""
    nearest = distance(seen[:, None], palette).argmin(axis=1)
    return distance(palette[nearest], palette[wanted]) < SAME


def share(values: NDArray[np.bool_], groups: NDArray[np.int64]) -> str:
    """The share of true values with its interval, in percent."""
    return percent(interval(values, groups, seed=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--part", choices=["val", "test"], default="val")
    parser.add_argument("--num", type=int, default=500, help="mixes in each part")
    options = parser.parse_args()
    run, config = RunFolder.open(options.run)
    model = load_model(options.run)
    images = open_data(config.data, config.model.side_px, progress_bar=False)
    split = load_split(run.split, images)
    context = EvaluationContext(model, images, split.train, options.num, 0)
    print("| part | areas | palette | right % | x2 in its place % | nearer to x1's % |\n|---|---|---|---|---|---|")
    for part in find_held_out(images, split, options.part):
        mixed = MixedSet(context, part)
        _, x2, truth = mixed.triplets
        found = areas(images.gather(truth))
        palette = sorted({colour for _, colour, _ in found} | {WHITE})
        rgb = np.array([[c >> 16, c >> 8 & 255, c & 255] for c in palette])
        wanted, group = np.array([palette.index(c) for _, c, _ in found]), mixed.groups[[i for i, _, _ in found]]
        mix, other = (
            127.5 * (1 + np.stack([pixels[i][:, mask].mean(axis=1) for i, _, mask in found]))
            for pixels in (mixed.generated[0].numpy(), to_unit(torch.from_numpy(images.gather(x2))).numpy())
        )
        apart = distance(other, rgb[wanted]) >= SAME
        follows = distance(mix, rgb[wanted]) < distance(mix, other)
        right, right_x2 = (nearest_is(seen, rgb, wanted) for seen in (mix, other))
        shares = share(right, group), share(right_x2, group), share(follows[apart], group[apart])
        print(f"| {part.name} | {len(found)} | {len(palette)} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
