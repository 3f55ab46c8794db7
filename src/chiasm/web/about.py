"""The tab that tells what a model is: its card."""

from __future__ import annotations

import gradio as gr

from chiasm.checkpoint import describe_model
from chiasm.data import DataError, load_names
from chiasm.runs import MATRIX_FILE, STRIP_FILE, read_metrics
from chiasm.web.events import QUIET, Connect
from chiasm.web.folder import ServedFolder
from chiasm.web.pictures import load_mixer
from chiasm.web.showing import details, figure_file, message, table

USE = """## What it is for
Mixing images of the kind that it was trained on: the same sort of subject, in the same framing. Of anything else it
makes what is nearest among what it knows.

## What it is not for
Recognising people, or showing anybody what they did not agree to. A mixed image is made up: it is no evidence of
anything. It shows what the training images show, with their gaps and their bias."""


def build(served: ServedFolder, model: gr.Dropdown) -> Connect:
    """Lay out the tab; returns what connects it to the page's loading."""
    shown = gr.HTML(elem_id="about")
    gr.Markdown(USE)

    def show(run: str | None) -> str:
        return card(served, run) if run else message(["There is no model yet. Train one first."], alarming=False)

    model.change(show, model, shown, **QUIET)

    def connect(page: gr.Blocks) -> None:
        page.load(show, model, shown, **QUIET)

    return connect


def card(served: ServedFolder, run: str) -> str:
    """The card of a model: what it was trained on and how, what it is, what it shows."""
    folder, config = served.open(run)
    last: dict[str, float] = next(iter(reversed(read_metrics(folder.metrics))), {})
    try:
        names = {part: len(some) for part, some in load_names(folder.split).items()}
        images = f"{names.pop('train')} to learn from, {sum(names.values())} kept to measure with"
    except DataError:
        images = "unknown"
    minutes = next((row["minutes"] for row in reversed(read_metrics(folder.metrics)) if "minutes" in row), 0.0)
    rows = [
        ("name", run),
        ("learned from", config.data.source),
        ("images", images),
        ("labels", config.data.supervision),
        ("trained", f"{last.get('step', 0):.0f} steps in {minutes:.1f} minutes"),
        ("size of its images", f"{config.model.side_px} x {config.model.side_px} pixels"),
        ("code A, what it is", f"{config.model.width_a} numbers"),
        ("code B, everything else", f"{config.model.code_b} numbers"),
    ]
    matrix = "Held-out images. First column: A. First row: B."
    strip = "Pairs of held-out images in three rows: originals, mixed, mixed twice."
    return (
        table(("what", "this model"), rows, "Model card")
        + figure_file(folder.figures / MATRIX_FILE, f"Swap matrix. {matrix}", matrix)
        + figure_file(folder.figures / STRIP_FILE, strip, strip)
        + details("All settings of the model", describe_model(load_mixer(folder).model))
    )
