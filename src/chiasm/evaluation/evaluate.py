"""All measurements of one model, on held-out images of known classes and on held-out classes apart."""

from __future__ import annotations

import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from chiasm.data import ImageSet, Split
from chiasm.evaluation import bootstrap
from chiasm.evaluation.classifiers import fit_classifier
from chiasm.evaluation.context import CLASSES, SAMPLES, EvaluationContext, HeldOut, MixedSet, find_held_out
from chiasm.evaluation.metrics.topics import METRICS, Answer
from chiasm.evaluation.references import mean_image
from chiasm.networks import CrossModel

NOT_MEASURED = "not measured"
PACKAGES = ("chiasm", "torch", "torchmetrics", "numpy", "pillow")


def evaluate(
    model: CrossModel,
    images: ImageSet,
    split: Split,
    *,
    seed: int = 0,
    num: int = 1000,
    noise_b: float,
    part: Literal["test", "val"] = "test",
    progress_bar: bool = True,
) -> dict[str, Any]:
    """Measure everything that the images allow.

    Args:
        model: in evaluation mode.
        images: the images and what is known of them.
        split: what the model was trained on, and what it was not.
        seed: of the draws, the probes and the classifiers.
        num: mixes in each part.
        noise_b: standard deviation of the noise on code B in the model's training.
        part: "val" to choose a model, "test" to report on it.
        progress_bar: whether to show a bar.

    Returns:
        Plain values for JSON: for SAMPLES and CLASSES the results of each metric, numbers as `mean`, `low`, `high`
        and `n`; under NOT_MEASURED for each missing result the reason; and how all this was measured.
    """
    started = time.perf_counter()
    parts = find_held_out(images, split, part)
    with tqdm(total=2 + len(parts) * len(METRICS), disable=not progress_bar, leave=False, unit="part") as bar:
        bar.set_description("mean image")
        mean = mean_image(images, split.train, seed)
        bar.update()
        bar.set_description("classifiers of real images")
        net = fit_classifier(images, split.train, seed)
        context = EvaluationContext(model, images, split.train, mean, net, noise_b, num, seed)
        bar.update()
        answers = {p.name: _measure(context, p, bar) for p in parts}
    reasons: dict[str, str] = {}
    results = {name: _lift(answer, name, reasons) for name, answer in answers.items()}
    for name in (SAMPLES, CLASSES):
        if name not in results:
            reasons[name] = f"the split has no such images in its part {part!r}"
    about = {"part": part, "seed": seed, "num": num, "noise_b": noise_b, "interval": bootstrap.HOW}
    num_images = {"train": len(split.train)} | {p.name: len(p.indices) for p in parts}
    details = {"num_images": num_images, "versions": _versions()}
    seconds = round(time.perf_counter() - started, 1)
    return {"about": {**about, **details, "seconds": seconds}, **results, NOT_MEASURED: reasons}


def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def _measure(context: EvaluationContext, part: HeldOut, bar: tqdm) -> dict[str, Answer]:
    """Every metric on one part."""
    mixed = MixedSet(context, part)
    answers: dict[str, Answer] = {}
    for metric, measure in METRICS.items():
        bar.set_description(f"{part.name.replace('_', ' ')}: {metric}")
        needs_mixes = metric != "leakage"
        if needs_mixes and len(mixed.triplets.truth) == 0:
            answers[metric] = "no held-out image has a partner of its class and one with its content"
        else:
            answers[metric] = measure(mixed)
        bar.update()
    return answers


def save_results(results: dict[str, Any], path: Path) -> None:
    """Write results as JSON; the file is whole at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


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
