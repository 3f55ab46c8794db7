"""Whose face a mix shows after chiasm adapt, as an outside judge sees it: needs chiasm[faces].

    python benchmarks/adapt_faces.py runs/celeba-1                            # validation people, to choose by
    python benchmarks/adapt_faces.py runs/celeba-1 --part test --people 16    # test people, to report

Of each person a few photographs are given; the judge knows others. x2 are photographs of others of these people, that
were not given either. The columns are those of `chiasm evaluate --metrics faces`, with intervals by person.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.data import ImageSet, load_split, open_data
from chiasm.evaluation.context import EvaluationContext, find_held_out
from chiasm.evaluation.face_judge import FaceJudge, Faces
from chiasm.evaluation.metrics.faces import Gallery, read, read_gallery, summarise
from chiasm.image_like import Prepared
from chiasm.mixing import Mixer
from chiasm.runs import RunFolder

Index = NDArray[np.int64]


def cases(images: ImageSet, index: Index, num_people: int, num: int, num_x2: int) -> list[tuple[Index, Index]]:
    """For each person the photographs that are given, and those that are mixed with them."""
    rng = np.random.default_rng(0)
    people = rng.permutation(np.unique(images.classes[index]))[:num_people]
    given = [rng.permutation(index[images.classes[index] == person])[:num] for person in people]
    free = np.setdiff1d(index[np.isin(images.classes[index], people)], np.concatenate(given))
    return [
        (own, rng.choice(free[images.classes[free] != person], num_x2, replace=False))
        for person, own in zip(people, given, strict=True)
    ]


def known_to_judge(judge: FaceJudge, context: EvaluationContext, x1: Index, x2: Index, given: Index) -> Gallery:
    """Real photographs of the people, without those that were given, but for x1 itself, which never tells of itself."""
    gallery = read_gallery(judge, context, np.concatenate([x1, x2]))
    if gallery is None:
        raise SystemExit("the detector finds no face in the real images")
    kept = ~np.isin(gallery.index, np.setdiff1d(given, x1))
    faces = Faces(gallery.faces.descriptors[kept], gallery.faces.landmarks[kept])
    return Gallery(gallery.index[kept], gallery.classes[kept], faces, gallery.found[kept], gallery.usual)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--part", choices=["val", "test"], default="val")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--num", type=int, default=5, help="photographs of each that are given")
    parser.add_argument("--x2", type=int, default=10, help="photographs that each is mixed with")
    options = parser.parse_args()
    run, config = RunFolder.open(options.run)
    mixer = Mixer.load(options.run)
    data = dataclasses.replace(config.data, fit=mixer.model.fit)
    images = open_data(data, mixer.model.config.side_px, progress_bar=False)
    split = load_split(run.split, images)
    held_out = find_held_out(images, split, options.part)[-1]
    drawn = cases(images, held_out.indices, options.people, options.num, options.x2)

    def pictures(index: Index) -> list[Prepared]:
        return [Prepared(pixels) for pixels in images.gather(index)]

    def of_mean(given: Index, x2: Index) -> NDArray[np.uint8]:
        a, b = mixer.encode(pictures(given)).a.mean(axis=0, keepdims=True), mixer.encode(pictures(x2)).b
        return mixer.generate(np.repeat(a, len(b), axis=0), b)

    def of_person(given: Index, x2: Index) -> NDArray[np.uint8]:
        mixer.adapt(pictures(given), "somebody", overwrite=True)
        row = mixer.matrix("@somebody", pictures(x2))[0]
        return np.stack([np.asarray(image).transpose(2, 0, 1) for image in row])

    judge = FaceJudge()
    x1, x2 = (np.concatenate(parts) for parts in zip(*((np.repeat(g[:1], len(b)), b) for g, b in drawn), strict=True))
    context = EvaluationContext(mixer.model, images, split.train, options.x2, 0)
    gallery = known_to_judge(judge, context, x1, x2, np.concatenate([given for given, _ in drawn]))
    print("| code A | nearer x1's person % | within 0.6 of single images % | landmarks | seconds a person |")
    mixes: dict[str, Callable[[Index, Index], NDArray[np.uint8]]] = {"mean": of_mean, "adapted": of_person}
    for name, mix in mixes.items():
        started = time.perf_counter()
        mixed = np.concatenate([mix(*case) for case in drawn])
        seconds = (time.perf_counter() - started) / len(drawn)
        found = summarise(
            read(judge, mixed, gallery.usual), gallery, gallery.place(x1), gallery.place(x2), images.classes[x1]
        )
        print(f"| {name} | " + " | ".join(cells(found)) + f" | {seconds:.0f} |", flush=True)


def cells(found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """What summarise() gives, with its intervals."""
    for key, scale in {"nearer": 100, "within": 100, "landmarks": 1}.items():
        mean, low, high = (f"{scale * found[key][bound]:.3g}" for bound in ("mean", "low", "high"))
        yield f"{mean} [{low}, {high}]"


if __name__ == "__main__":
    main()
