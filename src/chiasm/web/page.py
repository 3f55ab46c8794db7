"""The page: a model to choose, four tabs, and how it looks."""

from __future__ import annotations

from typing import Any

import gradio as gr

from chiasm.web import about, mix, train, trust
from chiasm.web.events import EVERY_S
from chiasm.web.folder import ServedFolder
from chiasm.web.job import Job

MAX_TABS = 64
"""Tabs of browsers whose chosen images are remembered, in a quarter of a megabyte each; Gradio would keep 10,000."""
FONTS = ["system-ui", "sans-serif"]
MONO_FONTS = ["ui-monospace", "monospace"]
CSS = """
.shown { margin: 0; overflow-x: auto }
.pixels img { image-rendering: pixelated }
.shown img { max-width: 100%; height: auto; display: block }
.shown figcaption { margin-top: .4rem }
.download { display: inline-block; margin: .6rem .6rem .6rem 0; padding: .5rem .9rem; border: 1px solid currentColor;
  border-radius: .4rem; color: inherit; text-decoration: none }
.download:hover, .download:focus { text-decoration: underline }
.message { padding: .5rem .8rem; border-left: .3rem solid #2563eb; margin: .4rem 0 }
.message.alert { border-color: #b91c1c }
.message p { margin: .2rem 0 }
.scrolls { overflow-x: auto; margin: .8rem 0 }
.scrolls table { border-collapse: collapse; width: 100% }
.scrolls caption { text-align: left; font-weight: 600; padding: .3rem 0 }
.scrolls th, .scrolls td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid #8888 }
#examples .grid-wrap { min-height: 0 !important }
#examples .caption-label { display: none }
#preset input { text-overflow: ellipsis; padding-right: 2rem }
#people input { color: var(--body-text-color) !important }
#examples .grid-container { grid-template-columns: repeat(auto-fill, minmax(4.5rem, 1fr)) !important }
button[role=tab].selected { color: var(--body-text-color) !important }
.or { color: inherit !important }
pre { overflow-x: auto; white-space: pre }
progress { width: 100%; height: 1.2rem }
details summary { cursor: pointer; padding: .4rem 0 }
"""


def build_page(served: ServedFolder, job: Job, *, local: bool) -> gr.Blocks:
    """Lay out the page.

    Args:
        served: the folder of runs.
        job: what trains and evaluates.
        local: whether only this machine reaches the page, which may then name its folders.
    """
    with gr.Blocks(title="chiasm", analytics_enabled=False) as page:
        gr.Markdown("# chiasm\nSplit images into **A**, what they show, and **B**, everything else, and mix the two.")
        models = served.models
        model = gr.Dropdown(models, value=next(iter(models), None), label="Model", filterable=False, elem_id="model")
        timer = gr.Timer(EVERY_S)
        with gr.Tabs(selected="mix" if models else "train"):
            with gr.Tab("Mix", id="mix", render_children=True):
                connects = [mix.build(served, model)]
            with gr.Tab("Train", id="train", render_children=True):
                connects.append(train.build(served, job, model, timer, local))
            with gr.Tab("Trust", id="trust", render_children=True):
                connects.append(trust.build(served, job, model, timer))
            with gr.Tab("About", id="about", render_children=True):
                connects.append(about.build(served, model))
        for connect in connects:
            connect(page)
    page.state_session_capacity = MAX_TABS
    return page


def looks() -> dict[str, Any]:
    """Theme and style: fonts of the system, nothing fetched."""
    theme = gr.themes.Base(font=FONTS, font_mono=MONO_FONTS).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
    )
    return {"theme": theme, "css": CSS}
