"""How often images of a group show the same, where that is known: what data.groups finds without being told.

    python benchmarks/groups.py data/typefaces.npz --side 32 --num 36 --seeds 0 1 2

A row for each seed: the share of the training images that are in a group, the share of these that show what most of
their group show, and the seconds it took.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from chiasm.config import DataConfig
from chiasm.data import UNLABELLED, content_groups, keep_classes, make_split, open_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--num", type=int, default=36)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    config = DataConfig(source=options.data)
    images = open_data(config, options.side, progress_bar=False)
    train = make_split(images, config).train
    shown = keep_classes(images, train)
    content = np.unique(images.contents[train], axis=0, return_inverse=True)[1].ravel()
    print("| seed | in a group | show what most of it show | seconds |")
    for seed in options.seeds:
        started = time.perf_counter()
        group = content_groups(shown, train, options.num, seed)
        seconds = time.perf_counter() - started
        sure = group != UNLABELLED
        counts = np.zeros((options.num, content.max() + 1), dtype=np.int64)
        np.add.at(counts, (group[sure], content[sure]), 1)
        print(
            f"| {seed} | {sure.mean():.1%} | {counts.max(axis=1).sum() / sure.sum():.1%} | {seconds:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
