"""What chiasm adapt gains on classes that training never saw: its swap error beside that of the mean code A.

    python benchmarks/adapt.py runs/photos-1                          # validation classes, to choose by
    python benchmarks/adapt.py runs/photos-1 --part test --num 1 4 8  # test classes, to report

A row for each number of images: L1 of mixes as a share of copying x1, mean over classes, and the seconds for a class.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from chiasm.adapt import STEPS, adapt_code
from chiasm.checkpoint import load_model
from chiasm.data import ImageSet, Split, load_split, open_data
from chiasm.evaluation.context import find_held_out
from chiasm.evaluation.swap import l1
from chiasm.inference import generate, read, to_unit
from chiasm.runs import RunFolder

MAX_TRUTHS = 24


def cases(
    images: ImageSet, split: Split, part: Literal["val", "test"], num_classes: int, num: int
) -> list[tuple[np.ndarray, ...]]:
    """For each class: images to adapt to, images to draw, and for each of these x2, a held-out image of its content."""
    rng = np.random.default_rng(0)
    index = find_held_out(images, split, part)[-1].indices
    others = np.concatenate([split.val, split.test, split.val_classes, split.test_classes])
    found = []
    for label in rng.permutation(np.unique(images.classes[index]))[:num_classes]:
        own = rng.permutation(index[images.classes[index] == label])
        pairs = []
        for truth in own[num:]:
            same = (images.contents[others] == images.contents[truth]).all(axis=1)
            if len(x2 := others[same & (images.classes[others] != label)]):
                pairs.append((truth, rng.choice(x2)))
        truths, x2s = np.array(pairs[:MAX_TRUTHS]).T
        found.append((own[:num], truths, x2s))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--part", choices=["val", "test"], default="val")
    parser.add_argument("--num", type=int, nargs="+", default=[1, 4, 5, 8])
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    run, config = RunFolder.open(options.run)
    model = load_model(options.run)
    images = open_data(config.data, config.model.side_px, progress_bar=False)
    drawn = cases(images, load_split(run.split, images), options.part, options.classes, max(options.num))
    print("| images | copy x2 | mean code A | adapted | seconds |")
    for num in options.num:
        rows = []
        for given, truths, x2s in drawn:
            truth, x2, x1 = (to_unit(torch.from_numpy(images.gather(i))) for i in (truths, x2s, given[:1]))
            b = model.hand_out_b_to_people(read(model, model.encoder_b, images.gather(x2s)))
            started = time.perf_counter()
            adapted = adapt_code(model, images.gather(given[:num]), steps=options.steps)
            seconds = time.perf_counter() - started
            mean = adapt_code(model, images.gather(given[:num]), steps=0)
            mixes = [generate(model, code.expand(len(b), -1), b) for code in (mean, adapted)]
            errors = [float(l1(x, truth).mean()) for x in (x1.expand_as(truth), x2, *mixes)]
            rows.append([*errors, seconds])
        copy_x1, *others, seconds = np.mean(rows, axis=0)
        print(f"| {num} | " + " | ".join(f"{x / copy_x1:.3f}" for x in others) + f" | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
