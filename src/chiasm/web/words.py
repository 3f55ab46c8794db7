"""What the numbers of a model mean, for readers who have never seen them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chiasm.evaluation.classifiers import CLASS
from chiasm.evaluation.metrics.shortcuts import alarms

Row = tuple[str, str, str, str]
"""A question, the verdict, what was measured, and what to compare it with."""

HEAD = ("question", "verdict", "this model", "to compare")
GOOD, MIDDLING, BAD = "good", "so-so", "bad"
PLAIN_ALARMS = {
    "collapse": "Everything that it generates looks nearly alike: it has not learned to tell the images apart. "
    "Train longer, or on more varied images.",
    "copy-through": "It copies instead of mixing: most mixed images are one of the two originals. Give several images "
    "of each person or thing, in groups, and train longer.",
    "steganography": "It hides information in its images that no eye can see, so that a low error proves little.",
}
"""For each alarm, by its first word, what it means and what to do."""


def plain_alarms(sentences: Sequence[str]) -> list[str]:
    """Alarms of a training or an evaluation without the names of settings."""
    kinds = dict.fromkeys(sentence.partition(":")[0] for sentence in sentences)
    return [PLAIN_ALARMS.get(kind, kind) for kind in kinds]


def alarms_of_training(row: Mapping[str, float]) -> list[str]:
    """What is wrong as of a validation; none where the row is none."""
    values = {key.removeprefix("shortcut/"): value for key, value in row.items() if key.startswith("shortcut/")}
    return plain_alarms(alarms(values))


def rows_of_training(row: Mapping[str, float]) -> Iterator[Row]:
    """The last validation of a training, which is of few images."""
    if "swap/swap" in row:
        yield _swap(row["swap/swap"], min(row["swap/copy_x1"], row["swap/copy_x2"]))
    if "swap/reconstruction" in row:
        yield _reconstruction(row["swap/reconstruction"])
    if "shortcut/copy_x1" in row:
        yield _copies(row["shortcut/copy_x1"] + row["shortcut/copy_x2"])


def rows_of_evaluation(results: Mapping[str, Any]) -> Iterator[Row]:
    """One part of results.json.

    Args:
        results: by metric, as far as they were measured.
    """
    errors = {name: value["l1"]["mean"] for name, value in results.get("swap", {}).items() if "l1" in value}
    if "swap" in errors:
        yield _swap(errors["swap"], min(errors["copy_x1"], errors["copy_x2"]))
    if "reconstruction" in errors:
        yield _reconstruction(errors["reconstruction"])
    for factor, rates in results.get("swap_accuracy", {}).items():
        yield _recognised(factor, rates["mix"]["mean"], rates["ceiling"]["mean"])
    leak = results.get("leakage", {}).get(CLASS)
    if leak is not None and "b" in leak:
        yield _leak(leak["b"]["mlp"]["mean"], max(leak["chance"], leak["majority"]))
    shortcuts = results.get("shortcuts", {})
    if "copy_x1" in shortcuts:
        honest = sum(shortcuts.get(f"{name}_true", {"mean": 0.0})["mean"] for name in ("copy_x1", "copy_x2"))
        yield _copies(shortcuts["copy_x1"]["mean"] + shortcuts["copy_x2"]["mean"], honest)


def _swap(error: float, copying: float) -> Row:
    share = error / max(copying, 1e-9)
    verdict = GOOD if share < 0.5 else MIDDLING if share < 0.8 else BAD
    return (
        "How far are mixed images from the true ones?",
        f"{verdict}: {share:.0%} of the error of copying",
        f"error {error:.3f}",
        f"{copying:.3f} by copying one of the two; 0 would be perfect",
    )


def _reconstruction(error: float) -> Row:
    verdict = GOOD if error < 0.1 else MIDDLING if error < 0.2 else BAD
    return (
        "How well does it rebuild an image from its own two codes?",
        f"{verdict}: off by {error / 2:.0%} of the range from black to white on average",
        f"error {error:.3f}",
        "0 would be perfect, 2 is black for white",
    )


def _recognised(factor: str, rate: float, ceiling: float) -> Row:
    whose = "who or what A shows" if factor == CLASS else f"'{factor}' of B"
    share = rate / max(ceiling, 1e-9)
    verdict = GOOD if share > 0.9 else MIDDLING if share > 0.6 else BAD
    return (
        f"Is {whose} recognised in the mixed image?",
        verdict,
        f"in {rate:.0%} of them",
        f"{ceiling:.0%} of real images are recognised so",
    )


def _leak(rate: float, guessing: float) -> Row:
    verdict = GOOD if rate < 2 * guessing else MIDDLING if rate < 0.5 else BAD
    told = "keeps to everything else" if verdict == GOOD else "knows part of what A should tell alone"
    return (
        "Does code B give away who or what it is?",
        f"{verdict}: code B {told}",
        f"guessed from it in {rate:.0%}",
        f"{guessing:.1%} by guessing without it; the lower the better",
    )


def _copies(share: float, honest: float = 0.0) -> Row:
    """`honest` is the share of pairs that differ so little that the true mix is nearly one of the two."""
    excess = share - honest
    verdict = GOOD if excess < 0.1 else MIDDLING if excess < 0.5 else BAD
    return (
        "How many mixed images all but equal one of the two?",
        verdict,
        f"{share:.0%}",
        f"{honest:.0%} would be right",
    )
