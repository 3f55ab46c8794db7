"""The tab that says how far a model can be trusted."""

from __future__ import annotations

from typing import Any

import gradio as gr

from chiasm.config import ConfigError
from chiasm.data import DataError
from chiasm.evaluation import table as technical_table
from chiasm.evaluation.context import CLASSES, SAMPLES
from chiasm.files import read_json
from chiasm.runs import RESULTS_FILE, read_metrics
from chiasm.web.events import QUIET, WATCHING, Connect
from chiasm.web.folder import ServedFolder
from chiasm.web.job import Job
from chiasm.web.showing import details, message, progress, table
from chiasm.web.words import HEAD, alarms_of_training, plain_alarms, rows_of_evaluation, rows_of_training

PARTS = {
    SAMPLES: "New images of people or things that it has learned from",
    CLASSES: "People or things that it has never seen",
}
NUM_MIXES = 300


def build(served: ServedFolder, job: Job, model: gr.Dropdown, timer: gr.Timer) -> Connect:
    """Lay out the tab; returns what connects it to the page's loading."""
    tab = TrustTab(served, job)
    gr.Markdown("All of this is measured on images that were kept from training.")
    shown = gr.HTML(elem_id="trust")
    measure = gr.Button("Measure it (several minutes)")
    state, seen = gr.HTML(), gr.State()
    model.change(tab.show, model, shown, **QUIET)
    measure.click(tab.measure, model, state, **WATCHING)
    watched = [seen, state, measure, shown]
    timer.tick(tab.watch, [seen, model], watched, **WATCHING)

    def connect(page: gr.Blocks) -> None:
        page.load(tab.watch, [seen, model], watched, **QUIET)

    return connect


class TrustTab:
    """What the controls of the tab do."""

    def __init__(self, served: ServedFolder, job: Job) -> None:
        self.served, self.job = served, job

    def show(self, run: str | None) -> str:
        """The evaluation of a model in words, or what its training has measured."""
        if not run:
            return message(["There is no model yet. Train one first."], alarming=False)
        folder, _ = self.served.open(run)
        file = folder.path / RESULTS_FILE
        last = next((row for row in reversed(read_metrics(folder.metrics)) if "swap/reconstruction" in row), {})
        if not file.is_file():
            note = message(["Not measured yet: these are the few numbers that the training left."], alarming=False)
            return note + _alarms(alarms_of_training(last)) + table(HEAD, list(rows_of_training(last)), "In training")
        try:
            return _measured(read_json(file), alarms_of_training(last))
        # Of another version of chiasm, or damaged.
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return message([f"{file.name} of this run cannot be used: measure it again."])

    def measure(self, run: str | None) -> str:
        """Evaluate a model in a process of its own."""
        if not run:
            return message(["There is no model yet. Train one first."])
        folder, config = self.served.open(run)
        try:
            cache = self.served.cache_of(config.data, config.model.side_px)
        except (ConfigError, DataError, OSError) as error:
            return message([f"The images of this run are not here: {error}"])
        words = ["evaluate", str(folder.path), "--num", str(NUM_MIXES)]
        if not self.job.start("evaluate", run, words, cache):
            return message(["Something is running already; wait for it, or stop it."])
        return ""

    def watch(self, seen: Any, run: str | None) -> Any:
        """How the evaluation goes, where that is news: words, whether another may begin, and what was measured."""
        now = self.job.progress()
        if now == seen:
            return gr.skip()
        measuring = now.kind == "evaluate" and now.running
        told = progress(now.share, f"Measuring {now.run}. {now.said}") if measuring else ""
        if now.kind == "evaluate" and now.status:
            told = message([f"Measuring {now.run} failed. {now.said.removeprefix('chiasm: ')}"])
        return now, told, gr.Button(interactive=not now.running), self.show(run)


def _measured(results: dict[str, Any], alarms_before: list[str]) -> str:
    """An evaluation in words, with the alarms of the training where it has not looked for any."""
    parts = [name for name in PARTS if name in results]
    looked = [results[part]["shortcuts"] for part in parts if "shortcuts" in results[part]]
    raised = plain_alarms([s for shortcuts in looked for s in shortcuts.get("alarms", [])]) if looked else alarms_before
    tables = [table(HEAD, list(rows_of_evaluation(results[part])), PARTS[part]) for part in parts]
    return _alarms(raised) + "".join(tables) + details("All numbers", technical_table(results))


def _alarms(sentences: list[str]) -> str:
    return message(sentences) if sentences else message(["No alarm."], alarming=False)
