"""All measurements of one model, on held-out pictures of known classes and on held-out classes apart."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from chiasm.data import UNLABELLED, ImageSet, Split
from chiasm.evaluation import bootstrap
from chiasm.evaluation.bootstrap import interval, ratio_interval
from chiasm.evaluation.cheats import alarms, cheat_ratios, ratio
from chiasm.evaluation.classifiers import (
    CLASS,
    ClassMeans,
    Classifier,
    factor_labels,
    fit_classifier,
    swap_accuracy,
)
from chiasm.evaluation.inference import draw, encode, to_unit
from chiasm.evaluation.probes import leakage, pixels
from chiasm.evaluation.realism import MIN_PICTURES, realism
from chiasm.evaluation.recombination import picture_errors, recombination_errors, summarise
from chiasm.evaluation.references import Indices, mean_picture
from chiasm.evaluation.triplets import Triplets, draw_triplets
from chiasm.networks import CrossModel

Answer = dict[str, Any] | str
"""Results, or the reason why there are none."""

SAMPLES, CLASSES = "held_out_samples", "held_out_classes"
NOT_MEASURED = "not measured"
MAX_PROBE = 10_000
MAX_REAL = 4_000
MAX_PAIRS = 256
PACKAGES = ("chiasm", "torch", "torchmetrics", "numpy", "pillow")


@dataclass(frozen=True)
class Part:
    """Held-out pictures to measure on.

    Attributes:
        name: SAMPLES or CLASSES.
        indices: the pictures.
        pool: pictures that retrieval may choose from.
        fit: pictures that probes learn from.
        test: pictures that probes are tested on.
    """

    name: str
    indices: Indices
    pool: Indices
    fit: Indices
    test: Indices


@dataclass(frozen=True)
class Bench:
    """What all measurements share."""

    model: CrossModel
    images: ImageSet
    mean: NDArray[np.float32]
    net: Classifier | None
    train: Indices
    noise_b: float
    num: int
    seed: int


@dataclass(frozen=True)
class Sample:
    """The mixes of one part."""

    bench: Bench
    part: Part

    @cached_property
    def triplets(self) -> Triplets:
        """Which pictures are mixed."""
        return draw_triplets(self.bench.images, self.part.indices, self.bench.num, self.bench.seed)

    @property
    def has_truth(self) -> bool:
        """Whether every mix has a true picture."""
        return len(self.triplets.truth) > 0 and bool((self.triplets.truth >= 0).all())

    @property
    def target(self) -> Indices:
        """The pictures to reconstruct: the true ones, or x1 where these are not known."""
        return self.triplets.truth if self.has_truth else self.triplets.a_from

    @property
    def groups(self) -> Indices:
        """[n] the class of each mix."""
        return self.bench.images.classes[self.triplets.a_from]

    @cached_property
    def drawn(self) -> tuple[Tensor, Tensor]:
        """Mixes, and reconstructions of the targets."""
        model, (x1, x2, _) = self.bench.model, self.triplets
        index, place = np.unique(np.concatenate([x1, x2, self.target]), return_inverse=True)
        a, b = encode(model, self.bench.images.gather(index))
        from_1, from_2, from_target = torch.from_numpy(place.reshape(3, -1))
        return draw(model, a[from_1], b[from_2]), draw(model, a[from_target], b[from_target])


def evaluate(
    model: CrossModel,
    images: ImageSet,
    split: Split,
    *,
    seed: int = 0,
    num: int = 1000,
    noise_b: float,
    part: Literal["test", "val"] = "test",
    progress: bool = True,
) -> dict[str, Any]:
    """Measure everything that the pictures allow.

    Args:
        model: in evaluation mode.
        images: the pictures and what is known of them.
        split: what the model was trained on, and what it was not.
        seed: of the draws, the probes and the classifiers.
        num: mixes in each part.
        noise_b: standard deviation of the noise on code B in the model's training.
        part: "val" to choose a model, "test" to report on it.
        progress: whether to show a bar.

    Returns:
        Plain values for JSON: for SAMPLES and CLASSES the results of each topic, numbers as `mean`, `low`, `high`
        and `n`; under NOT_MEASURED for each missing result the reason; and how all this was measured.
    """
    started = time.perf_counter()
    parts = find_parts(images, split, part, seed)
    with tqdm(total=2 + len(parts) * len(TOPICS), disable=not progress, leave=False, unit="part") as bar:
        bar.set_description("mean picture")
        mean = mean_picture(images, split.train, seed)
        bar.update()
        bar.set_description("classifiers of real pictures")
        bench = Bench(model, images, mean, fit_classifier(images, split.train, seed), split.train, noise_b, num, seed)
        bar.update()
        answers = {p.name: _measure(bench, p, bar) for p in parts}
    reasons: dict[str, str] = {}
    results = {name: _lift(answer, name, reasons) for name, answer in answers.items()}
    for name in (SAMPLES, CLASSES):
        if name not in results:
            reasons[name] = f"the split has no such pictures in its part {part!r}"
    about = {"part": part, "seed": seed, "num": num, "noise_b": noise_b, "interval": bootstrap.HOW}
    about |= {"num_train": len(split.train), "num_pictures": {p.name: len(p.indices) for p in parts}}
    versions = {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}
    seconds = round(time.perf_counter() - started, 1)
    return {"about": about | {"versions": versions, "seconds": seconds}, **results, NOT_MEASURED: reasons}


def find_parts(images: ImageSet, split: Split, part: Literal["test", "val"], seed: int) -> list[Part]:
    """The held-out pictures, those of classes that training saw apart from those of other classes.

    An official split may hold out whole classes in its `test` too, so that the classes decide, not the split.
    Probes of unseen classes learn from half of each class's pictures and are tested on the other half.
    """
    held_out = np.concatenate([getattr(split, part), getattr(split, f"{part}_classes")])
    labels = images.classes[held_out]
    seen = np.isin(labels, images.classes[split.train]) | (labels == UNLABELLED)
    rng = np.random.default_rng([seed, 17])
    parts = []
    if seen.any():
        fit = rng.permutation(split.train)[:MAX_PROBE]
        indices = np.sort(held_out[seen])
        parts.append(Part(SAMPLES, indices, split.train, fit, rng.permutation(indices)[:MAX_REAL]))
    if not seen.all():
        indices = rng.permutation(held_out[~seen])
        indices = indices[np.argsort(images.classes[indices], kind="stable")]
        fit, test = (rng.permutation(half)[:MAX_PROBE] for half in (indices[::2], indices[1::2]))
        parts.append(Part(CLASSES, np.sort(indices), np.sort(indices), fit, test))
    return parts


def _measure(bench: Bench, part: Part, bar: tqdm) -> dict[str, Answer]:
    """Every topic on one part."""
    sample, answers = Sample(bench, part), {}
    for topic, measure in TOPICS.items():
        bar.set_description(f"{part.name.replace('_', ' ')}: {topic}")
        needs_mixes = topic != "leakage"
        if needs_mixes and len(sample.triplets.truth) == 0:
            answers[topic] = "no held-out picture has a partner of its class and one with its content"
        else:
            answers[topic] = measure(sample)
        bar.update()
    return answers


def measure_swap(sample: Sample) -> Answer:
    """Errors against the true recombination, beside the references."""
    bench, triplets = sample.bench, sample.triplets
    mixes, reconstructions = sample.drawn
    if sample.has_truth:
        errors = recombination_errors(bench.images, triplets, mixes, reconstructions, sample.part.pool, bench.mean)
        missing = {} if "retrieval" in errors else {"retrieval": "some class has no other picture to choose from"}
        return summarise(errors, sample.groups, bench.seed) | missing
    x1 = to_unit(torch.from_numpy(bench.images.gather(sample.target)))
    results = summarise({"reconstruction": picture_errors(reconstructions, x1)}, sample.groups, bench.seed)
    reason = "the set does not say completely what is in a picture beside its class"
    return results | {"swap": reason if bench.images.has_classes else "the pictures have no classes"}


def measure_leakage(sample: Sample) -> Answer:
    """What probes read from the codes, factor by factor."""
    bench, part = sample.bench, sample.part
    factors, labels = factor_labels(bench.images)
    if (labels == UNLABELLED).all():
        return "the pictures have neither classes nor known contents"
    if len(part.fit) < 2 or len(part.test) == 0:
        return "too few pictures for a probe"
    (fit_a, fit_b), fit_pixels = _codes_and_pixels(bench, part.fit)
    (a, b), small = _codes_and_pixels(bench, part.test)
    fit = {"a": (fit_a, 0.0), "b": (fit_b, 0.0), "b_used": (fit_b, bench.noise_b), "pixels": (fit_pixels, 0.0)}
    test = {"a": a, "b": b, "b_used": b, "pixels": small}
    groups = bench.images.classes[part.test]
    return {
        factor: leakage(fit, labels[part.fit, k], test, labels[part.test, k], groups, bench.seed)
        for k, factor in enumerate(factors)
    }


def measure_swap_accuracy(sample: Sample) -> Answer:
    """What classifiers of real pictures see in the mixes."""
    bench, part, (x1, x2, _) = sample.bench, sample.part, sample.triplets
    if bench.net is None:
        return "no factor has two values in the training pictures, so that no classifier can be trained"
    images = bench.images
    factors, labels = factor_labels(images)
    wanted = np.column_stack([labels[x1, :1], labels[x2, 1:]])
    means, notes = None, {}
    if part.name == CLASSES:
        if len(np.unique(images.classes[part.indices])) > 1:
            means = ClassMeans(bench.net, images.gather(part.indices), images.classes[part.indices])
        else:
            wanted[:, 0] = UNLABELLED
            notes = {CLASS: "fewer than two held-out classes to tell apart"}
    real = np.random.default_rng([bench.seed, 19]).permutation(part.indices)[:MAX_REAL]
    return notes | swap_accuracy(
        bench.net,
        sample.drawn[0],
        images.gather(x1),
        images.gather(x2),
        (images.gather(real), labels[real], images.classes[real]),
        wanted,
        factors,
        sample.groups,
        means,
        bench.seed,
    )


def measure_cheats(sample: Sample) -> Answer:
    """Copy-through, use of the codes, hidden signals; and the alarms that these sound."""
    bench, (x1, x2, _) = sample.bench, sample.triplets
    classes = bench.images.classes
    differ = np.flatnonzero((classes[x1] != classes[x2]) | ((classes[x1] == UNLABELLED) & (x1 != x2)))[:MAX_PAIRS]
    if len(differ) == 0:
        return "no two mixed pictures differ in class"
    ratios = cheat_ratios(bench.model, bench.images.gather(x1[differ]), bench.images.gather(x2[differ]))
    results: dict[str, Any] = {
        name: ratio_interval(*pair, sample.groups[differ], seed=bench.seed) for name, pair in ratios.items()
    }
    return results | {"alarms": alarms({name: ratio(*pair) for name, pair in ratios.items()})}


def measure_realism(sample: Sample) -> Answer:
    """Distances of mixes and reconstructions to held-out pictures, as sets."""
    bench, images = sample.bench, sample.bench.images
    if bench.net is None:
        return "its features are those of a classifier, which needs classes or known contents"
    rng = np.random.default_rng([bench.seed, 23])
    real, train = (rng.permutation(index)[: bench.num] for index in (sample.part.indices, bench.train))
    if min(len(real), len(train), len(sample.triplets.truth)) < MIN_PICTURES:
        return f"fewer than {MIN_PICTURES} pictures"
    mixes, reconstructions = sample.drawn
    drawn = {"mixes": mixes, "reconstructions": reconstructions}
    pictures = (torch.from_numpy(images.gather(index)) for index in (real, train))
    truth = torch.from_numpy(images.gather(sample.triplets.truth)) if sample.has_truth else None
    return realism(bench.net, drawn, *pictures, truth, bench.seed)


TOPICS: dict[str, Callable[[Sample], Answer]] = {
    "swap": measure_swap,
    "leakage": measure_leakage,
    "swap_accuracy": measure_swap_accuracy,
    "cheats": measure_cheats,
    "realism": measure_realism,
}


def save_results(results: dict[str, Any], path: Path) -> None:
    """Write results as JSON; the file is whole at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _codes_and_pixels(bench: Bench, index: Indices) -> tuple[tuple[Tensor, Tensor], Tensor]:
    pictures = bench.images.gather(index)
    return encode(bench.model, pictures), pixels(pictures)


def _lift(answer: Any, path: str, reasons: dict[str, str]) -> Any:
    """Results without the reasons among them, which are gathered under their paths."""
    if not isinstance(answer, dict):
        return answer
    kept = {}
    for key, value in answer.items():
        if isinstance(value, str):
            reasons[f"{path}.{key}"] = value
        else:
            kept[key] = _lift(value, f"{path}.{key}", reasons)
    return kept
