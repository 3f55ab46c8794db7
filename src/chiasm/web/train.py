"""The tab that trains: what to learn from, how long, and how it goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from chiasm.config import ConfigError, DataConfig
from chiasm.data import DataError
from chiasm.overrides import changed
from chiasm.presets import PRESETS, from_preset
from chiasm.runs import STRIP_FILE, RunFolder, read_metrics
from chiasm.web.curves import curves_figure
from chiasm.web.events import QUIET, SLOW, WATCHING, Connect
from chiasm.web.folder import ServedFolder, written
from chiasm.web.job import STOPPED, Job, Progress
from chiasm.web.showing import figure_file, message, progress, table
from chiasm.web.uploads import LIMITS, MAX_GROUP, keep_group, safe_name

UPLOADED, HERE, RENDERED = "Photographs uploaded here", "A folder on this machine", "Rendered people, to try it out"
MAX_MINUTES = 7 * 24 * 60
# Something to see within seconds; and where there is time, less of it spent on looking.
SHORT_MINUTES, VALIDATE_OFTEN, VALIDATE_SELDOM = 5, 25, 200


class Source(NamedTuple):
    """The controls that say what to learn from."""

    kind: gr.Radio
    upload: gr.Column
    collection: gr.Textbox
    group: gr.Textbox
    files: gr.File
    add: gr.Button
    delete: gr.Button
    groups: gr.HTML
    folder: gr.Textbox


def build(served: ServedFolder, job: Job, model: gr.Dropdown, timer: gr.Timer, local: bool) -> Connect:
    """Lay out the tab; returns what connects it to the page's loading."""
    tab, source = TrainTab(served, job, local), _lay_out_source(local)
    told = gr.HTML(elem_id="train-told")
    with gr.Row():
        docs = [(f"{name}: {_first_line(preset)}", name) for name, preset in PRESETS.items()]
        preset = gr.Dropdown(docs, value="compact", label="Preset", filterable=False, elem_id="preset")
        minutes = gr.Number(10, label="Minutes", minimum=0.1, maximum=MAX_MINUTES)
    with gr.Row():
        start = gr.Button("Start", variant="primary")
        stop = gr.Button("Stop", variant="stop", interactive=False)
    with gr.Row():
        unfinished = gr.Dropdown([], label="Go on with", filterable=False)
        go_on = gr.Button("Go on for as many minutes more")
    state, curves, strip = (gr.HTML(elem_id=name) for name in ("state", "curves", "strip"))
    seen = gr.State()

    _connect_source(tab, source, told)
    asked = [source.kind, source.collection, source.folder, preset, minutes]
    start.click(tab.start, asked, told, **WATCHING)
    go_on.click(tab.go_on, [unfinished, minutes], told, **WATCHING)
    stop.click(tab.stop, None, told, **WATCHING)
    runs = [seen, model, unfinished]
    watched = [*runs, state, curves, strip, start, stop, go_on]
    timer.tick(tab.watch, runs, watched, **WATCHING)

    def connect(page: gr.Blocks) -> None:
        page.load(tab.groups, source.collection, source.groups, **QUIET)
        page.load(tab.watch, runs, watched, **QUIET)

    return connect


def _lay_out_source(local: bool) -> Source:
    kinds = [UPLOADED, *([HERE] if local else []), RENDERED]
    kind = gr.Radio(kinds, value=UPLOADED, label="Learn from")
    with gr.Column() as upload:
        gr.Markdown(
            f"A group for each person or thing, ten images or more in each. {LIMITS}; {MAX_GROUP} a group. "
            "They are kept by the machine that serves this page, until you delete them."
        )
        with gr.Row():
            collection = gr.Textbox("my-images", label="Name of the collection", max_lines=1)
            group = gr.Textbox(label="Name of the group, such as anna", max_lines=1)
        files = gr.File(label="Images of this group", file_count="multiple", height=150, elem_id="files-train")
        with gr.Row():
            add = gr.Button("Add the group", variant="primary")
            delete = gr.Button("Delete the collection", variant="stop")
        groups = gr.HTML()
    folder = gr.Textbox(label="Folder, with a subfolder for each person or thing", visible=False, max_lines=1)
    return Source(kind, upload, collection, group, files, add, delete, groups, folder)


def _connect_source(tab: TrainTab, source: Source, told: gr.HTML) -> None:
    kind, upload, collection, group, files, add, delete, groups, folder = source
    kind.change(_visible, kind, [upload, folder], **QUIET)
    add.click(tab.add, [collection, group, files], [told, groups, files, group], **SLOW)
    delete.click(tab.delete, collection, [told, groups], **QUIET)
    collection.change(tab.groups, collection, groups, **QUIET)


class TrainTab:
    """What the controls of the tab do."""

    def __init__(self, served: ServedFolder, job: Job, local: bool) -> None:
        self.served, self.job, self.local = served, job, local

    def add(self, collection: str, group: str, files: list[str] | None) -> tuple[str, str, Any, Any]:
        """Keep uploaded images as a group."""
        if not (group.strip() and files):
            return message(["Give the group a name and at least one image."]), self.groups(collection), files, group
        num, refused = keep_group(self._collection(collection), group, files)
        self.served.forget(files)
        kept = [f"{num} images are now in the group {safe_name(group)}."] if num else []
        said = message(kept, alarming=False) + message(refused)
        return said, self.groups(collection), None, "" if num else group

    def groups(self, collection: str) -> str:
        """The groups of a collection as a table."""
        folders = sorted(self._collection(collection).glob("*/"))
        rows = [[path.name, str(len(list(path.glob("*"))))] for path in folders]
        return table(["group", "images"], rows, f"Groups of {safe_name(collection)}") if rows else ""

    def delete(self, collection: str) -> tuple[str, str]:
        """Remove a collection and its decoded images."""
        if self.job.progress().running:
            return message(["Wait for the training to end, or stop it."]), self.groups(collection)
        shutil.rmtree(self._collection(collection), ignore_errors=True)
        shutil.rmtree(self.served.cache, ignore_errors=True)
        return message([f"{safe_name(collection)} is deleted."], alarming=False), ""

    def start(self, kind: str, collection: str, folder: str, preset: str, minutes: float | None) -> str:
        """Begin a new run."""
        try:
            source = self._source(kind, collection, folder)
            config = changed(from_preset(preset), {"data.source": source})
            cache = self.served.cache_of(config.data, config.model.side_px)
            budget = _budget(minutes)
        except (ConfigError, DataError) as error:
            return message([str(error)])
        name = RunFolder.named(self.served.root, None, source).path.name
        often = VALIDATE_OFTEN if budget < SHORT_MINUTES else VALIDATE_SELDOM
        words = ["fit", source, "--preset", preset, "--max-minutes", f"{budget:g}", "--name", name]
        words += ["--runs", str(self.served.root), "--train.validate_every", str(often)]
        return self._begin(name, words, cache)

    def go_on(self, name: str | None, minutes: float | None) -> str:
        """Go on with a run for more minutes than it has had."""
        if not name:
            return message(["There is no run to go on with."])
        try:
            folder, config = self.served.open(name)
            cache = self.served.cache_of(config.data, config.model.side_px)
            rows = read_metrics(folder.metrics)
            budget = max((row.get("minutes", 0.0) for row in rows), default=0.0) + _budget(minutes)
        except (ConfigError, DataError) as error:
            return message([str(error)])
        return self._begin(name, ["fit", "--resume", str(folder.path), "--max-minutes", f"{budget:.4f}"], cache)

    def stop(self) -> str:
        """Ask the training to save and to end."""
        self.job.stop()
        return message(["Stopping: what was learned is being saved."], alarming=False)

    def watch(self, seen: Any, model: str | None, unfinished: str | None) -> Any:
        """How the training goes, where that is news: runs, words, curves, strip, and which buttons may be pressed."""
        now = self.job.progress()
        folder = RunFolder(self.served.root / now.run)
        news = now, self.job.stopping, written(folder.metrics), written(folder.figures / STRIP_FILE)
        if news == seen:
            return gr.skip()
        curves = strip = ""
        if now.kind == "train" and folder.path.is_dir():
            curves = curves_figure(read_metrics(folder.metrics))
            words = "Pairs of held-out images in three rows: originals, mixed, mixed twice."
            strip = figure_file(folder.figures / STRIP_FILE, words, words)
        buttons = [gr.Button(interactive=can) for can in (not now.running, now.running, not now.running)]
        return news, *self._choices(model, unfinished), _words(now, self.job.stopping), curves, strip, *buttons

    def _choices(self, model: str | None, unfinished: str | None) -> tuple[Any, Any]:
        """Models to mix with and runs to go on with, as of now: first of all that which was trained last."""
        models, runs = self.served.models, self.served.unfinished
        trained = self.job.progress().run
        unfinished = trained if trained in runs else unfinished
        return (
            gr.Dropdown(models, value=model if model in models else next(iter(models), None)),
            gr.Dropdown(runs, value=unfinished if unfinished in runs else next(iter(runs), None)),
        )

    def _begin(self, name: str, words: list[str], cache: Path) -> str:
        if not self.job.start("train", name, words, cache):
            return message(["Something is running already; wait for it, or stop it."])
        return message([f"Training {name}. This page may be closed meanwhile."], alarming=False)

    def _collection(self, name: str) -> Path:
        return self.served.uploads / safe_name(name)

    def _source(self, kind: str, collection: str, folder: str) -> str:
        if kind == RENDERED:
            return DataConfig().source
        if kind == HERE and self.local:
            path = Path(folder.strip()).expanduser()
            if not (folder.strip() and path.is_dir()):
                raise ConfigError(f"{folder.strip() or 'nothing'} is no folder on this machine; give its full path.")
            return str(path.absolute())
        path = self._collection(collection)
        if len(list(path.glob("*/"))) < 2:
            raise ConfigError("Add at least two groups first: one for each person or thing.")
        return str(path)


def _budget(minutes: float | None) -> float:
    if minutes is None or not 0 < minutes <= MAX_MINUTES:
        raise ConfigError(f"Minutes: give a number above 0, at most {MAX_MINUTES}.")
    return minutes


def _words(now: Progress, stopping: bool) -> str:
    if not now.kind:
        return ""
    what = "Training" if now.kind == "train" else "Measuring"
    if stopping:
        return progress(now.share, f"{what} {now.run}: saving.")
    if now.running:
        return progress(now.share, f"{what} {now.run}. {now.said}")
    if now.status == 0:
        return message([f"{what} {now.run} is done."], alarming=False)
    if now.status == STOPPED:
        return message([f"{now.run} was stopped and saved; it can go on."], alarming=False)
    if now.status in (130, -15):
        return message([f"{what} {now.run} was stopped before anything was saved."], alarming=False)
    return message([f"{what} {now.run} failed. {now.said.removeprefix('chiasm: ')}"])


def _visible(kind: str) -> tuple[Any, Any]:
    return gr.Column(visible=kind == UPLOADED), gr.Textbox(visible=kind == HERE)


def _first_line(preset: Callable[..., Any]) -> str:
    text = (preset.__doc__ or "").partition(". ")[0].partition("\n")[0]
    return text.rstrip(".")
