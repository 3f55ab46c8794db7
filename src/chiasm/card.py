"""The model card: README.md of a model folder, with what a stranger must know before using the model."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import yaml
from jinja2 import Environment, StrictUndefined

from chiasm.config import Config
from chiasm.data import load_names
from chiasm.files import write_atomically
from chiasm.overrides import to_dict
from chiasm.runs import CARD_FILE, MATRIX_FILE, RunFolder, read_metrics

YOURS = "## Licence of the data and the weights"
TO_FILL_IN = (
    "Unknown: fill in. The weights were learned from the images above and may be shared only as far as the licence of "
    "these images, and the people on them, allow it. What stands below this heading, and `license` at the top, stays "
    "when the card is written again."
)
PARTS = {
    "train": "training",
    "val": "validation",
    "test": "test",
    "val_classes": "of validation classes",
    "test_classes": "of test classes",
}
VALIDATION = {"reconstruction": "reconstruction", "swap": "swap", "copy_x1": "copying x1", "copy_x2": "copying x2"}


def write_card(run: RunFolder, config: Config, *, alarms: Sequence[str], evaluation: str | None = None) -> None:
    """Write the card of a run's model, and its figure beside it; what the user wrote about the licence stays.

    Args:
        run: has a split and numbers.
        config: of the run.
        alarms: what is wrong with the model, a sentence each.
        evaluation: the table of `chiasm evaluate`, where that was called.
    """
    matrix, card = run.figures / MATRIX_FILE, run.model / CARD_FILE
    run.model.mkdir(exist_ok=True)
    if matrix.is_file():
        write_atomically(run.model / MATRIX_FILE, partial(shutil.copyfile, matrix))
    licence, yours = _of_the_user(card)
    last = {key: value for row in read_metrics(run.metrics) for key, value in row.items()}
    settings = to_dict(config)
    settings["data"]["source"] = source = public_source(config.data.source)
    settings["data"]["pairs"] = config.data.pairs and Path(config.data.pairs).name
    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(
        files("chiasm").joinpath("card.md.j2").read_text(encoding="utf-8")
    )
    text = template.render(
        name=run.path.name,
        version=version("chiasm"),
        licence=licence,
        figure=MATRIX_FILE if matrix.is_file() else None,
        source=source,
        counts=_counts(run.split),
        config=config,
        trained=f"{last.get('step', 0):.0f} steps in {last.get('minutes', 0):.1f} minutes.",
        settings=yaml.safe_dump(settings, sort_keys=False).rstrip(),
        validation=_validation(last),
        evaluation=evaluation,
        alarms=list(dict.fromkeys(alarms)),
        yours=yours,
    )
    write_atomically(card, text)


def public_source(source: str) -> str:
    """A source as strangers may read it: without the folders of its owner's machine."""
    name = source.removeprefix("hf:").removeprefix("fonts:").removeprefix("shards:")
    return Path(name).name if Path(name).is_absolute() else source


def _of_the_user(card: Path) -> tuple[str, str]:
    """The licence at the top and the section at the end of an earlier card, or what stands there to be filled in."""
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    licence = re.search(r"\A---\n.*?^license: *(.+?)$.*?^---$", text, re.MULTILINE | re.DOTALL)
    _, heading, rest = text.partition(f"{YOURS}\n")
    return (licence[1] if licence else "unknown"), f"{YOURS}\n\n{rest.strip() if heading else TO_FILL_IN}"


def _counts(split: Path) -> str:
    """How many images are in each part of a split."""
    counts = {part: len(names) for part, names in load_names(split).items()}
    return ", ".join(f"{counts[part]} {words}" for part, words in PARTS.items() if counts.get(part))


def _validation(last: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(words, last[f"swap/{key}"]) for key, words in VALIDATION.items() if f"swap/{key}" in last]
