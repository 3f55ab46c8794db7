"""The tab that mixes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chiasm.config import ConfigError
from chiasm.data import DataError
from chiasm.image_like import ImageLike, Prepared
from chiasm.mixing import Mixer
from chiasm.people import SIGN, PersonError
from chiasm.plots import tile
from chiasm.web.events import QUIET, SLOW, Connect
from chiasm.web.folder import ServedFolder
from chiasm.web.pictures import NUM_NEAREST, examples, load_mixer, nearest, trained_images
from chiasm.web.showing import codes_table, download_link, figure, message
from chiasm.web.uploads import LIMITS, MAX_MIXED, Picture, read_pictures

NUM_SUGGESTED = 4
SIDES = {"A": "who or what (rows)", "B": "everything else (columns)"}
DRAWN = (
    "This model has learned rendered people, and makes rendered people of photographs. For photographs, train one on "
    "photographs: the next tab."
)
NO_MODEL = "There is no model yet. Train one: the next tab."


class Side(NamedTuple):
    """What A or B is taken from; the suggested images give way to any that are chosen, and to people for A."""

    uploads: list[Picture] = []
    picked: list[Picture] = []
    suggested: list[Picture] = []
    people: list[str] = []

    @property
    def pictures(self) -> list[Picture]:
        """The images that count."""
        chosen = [*self.uploads, *self.picked]
        return (chosen if chosen or self.people else self.suggested)[: MAX_MIXED - len(self.people)]

    @property
    def sources(self) -> list[ImageLike]:
        """People, then images, as a Mixer takes them."""
        return [*(SIGN + name for name in self.people), *_prepared(self.pictures)]

    @property
    def names(self) -> list[str]:
        """Of the sources."""
        return [*(SIGN + name for name in self.people), *(picture.name for picture in self.pictures)]


class Controls(NamedTuple):
    """The controls of the tab; of files, clears and sides one for A and one for B."""

    files: list[gr.File]
    clears: list[gr.Button]
    sides: list[gr.State]
    told: gr.HTML
    which: gr.Radio
    gallery: gr.Gallery
    people: gr.Dropdown
    average: gr.Checkbox
    matrix: gr.HTML
    steps: gr.Slider
    blend: gr.HTML
    name: gr.Textbox
    adapt: gr.Button
    adapted: gr.HTML
    find: gr.Button
    found: gr.HTML


def build(served: ServedFolder, model: gr.Dropdown) -> Connect:
    """Lay out the tab; returns what connects it to the page's loading."""
    tab, controls = MixTab(served), _lay_out()
    files, sides, told = controls.files, controls.sides, controls.told
    shown = [model, *files, *sides], [controls.gallery, controls.people, *sides, told]

    def then_mix(event: Any) -> None:
        mixed = event.then(tab.mix, [model, *sides, controls.average], controls.matrix, **QUIET)
        mixed.then(tab.blend, [model, *sides, controls.steps], controls.blend, **QUIET)

    for file, clear, side in zip(files, controls.clears, sides, strict=True):
        then_mix(file.change(tab.upload, [model, file, side], [side, told], **QUIET))
        then_mix(clear.click(lambda side: (None, Side(people=side.people), ""), side, [file, side, told], **QUIET))
    then_mix(controls.gallery.select(tab.pick, [model, controls.which, *sides], [*sides, told], **QUIET))
    then_mix(model.change(tab.show, *shown, **QUIET))
    then_mix(controls.people.input(tab.choose, [sides[0], controls.people], sides[0], **QUIET))
    named, told_of = [model, controls.name, sides[0]], [files[0], controls.people, sides[0], controls.adapted]
    then_mix(controls.adapt.click(tab.adapt, named, told_of, **SLOW))
    then_mix(controls.average.change(lambda: None, None, None, **QUIET))
    blended = [model, *sides, controls.steps]
    controls.steps.release(tab.blend, blended, controls.blend, trigger_mode="always_last", **QUIET)
    controls.find.click(tab.find, [model, *sides], controls.found, **SLOW)
    return lambda page: then_mix(page.load(tab.show, *shown, **QUIET))


def _lay_out() -> Controls:
    gr.Markdown(
        "Give photographs for **A** and for **B**, or click on the held-out images below. Every A is mixed with every "
        "B at once."
    )
    files, clears, sides = [], [], []
    with gr.Row():
        for letter, words in SIDES.items():
            with gr.Column(min_width=260):
                label = f"{letter}: {words}"
                files.append(gr.File(label=label, file_count="multiple", height=120, elem_id=f"files-{letter}"))
                clears.append(gr.Button(f"Take no image for {letter}", size="sm"))
                sides.append(gr.State(Side()))
    gr.Markdown(f"Up to {MAX_MIXED} images for each; {LIMITS}. They go to the machine that serves this page alone.")
    told, matrix = gr.HTML(), gr.HTML(elem_id="matrix")
    average = gr.Checkbox(label="All images for A show the same person or thing: take their mean, which is steadier")
    people = gr.Dropdown([], multiselect=True, max_choices=MAX_MIXED, label="People for A, by name", elem_id="people")
    label = "A click on a held-out image, which the model has not seen, gives its"
    which = gr.Radio(list(SIDES), value="A", label=label)
    gallery = gr.Gallery(
        label="Held-out images",
        show_label=False,
        height="auto",
        object_fit="contain",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="examples",
    )
    gr.Markdown("## Blend\nBetween the first and the last image of A from left to right, of B from top to bottom.")
    steps = gr.Slider(3, 8, value=5, step=1, label="Steps")
    blend = gr.HTML(elem_id="blend")
    gr.Markdown(
        "## Somebody new\nThe model learns to draw whom or what the images of A show, and does not change for anybody "
        "else. The images are not kept; the name can then be chosen for A."
    )
    name, adapt = gr.Textbox(label="Name", max_length=60), gr.Button("Learn the images of A under this name")
    adapted = gr.HTML(elem_id="adapted")
    gr.Markdown("## Nearest training images\nWhat the model has learned from that is most like your images.")
    find, found = gr.Button("Find the nearest training images"), gr.HTML(elem_id="nearest")
    new = name, adapt, adapted
    return Controls(
        files, clears, sides, told, which, gallery, people, average, matrix, steps, blend, *new, find, found
    )


class MixTab:
    """What the controls of the tab do."""

    def __init__(self, served: ServedFolder) -> None:
        self.served = served

    def show(
        self, run: str | None, files_a: list[str] | None, files_b: list[str] | None, a: Side, b: Side
    ) -> tuple[list[Any], Any, Side, Side, str]:
        """Another model: its held-out images and people to choose from, and the uploads as it sees them."""
        if not run:
            return [], gr.Dropdown([], value=[]), Side(), Side(), ""
        folder, config = self.served.open(run)
        try:
            shown = examples(folder, config)
        except (DataError, OSError) as error:
            shown, lines = [], [f"The images of this run are not here: {error}"]
        else:
            lines = []
        first, second = shown[:NUM_SUGGESTED], shown[NUM_SUGGESTED : 2 * NUM_SUGGESTED] or shown[:NUM_SUGGESTED]
        side_a, told_a = self._uploaded(run, files_a, Side(suggested=first))
        side_b, told_b = self._uploaded(run, files_b, Side(suggested=second))
        gallery = [(_picture(picture), picture.name) for picture in shown]
        people = gr.Dropdown(load_mixer(folder).people, value=[])
        return gallery, people, side_a, side_b, message([*lines, *told_a, *told_b])

    def upload(self, run: str | None, files: list[str] | None, side: Side) -> tuple[Side, str]:
        """Other uploads of one side."""
        if not run:
            return side, message([NO_MODEL])
        side, refused = self._uploaded(run, files, side)
        drawn = bool(side.uploads) and self.served.open(run)[1].data.source == "avatars"
        return side, message(refused) + (message([DRAWN], alarming=False) if drawn else "")

    def pick(
        self, run: str, which: str, a: Side, b: Side, event: gr.SelectData
    ) -> tuple[Side, Side, str]:  # fmt: skip
        """A click on a held-out image."""
        picture = examples(*self.served.open(run))[event.index]
        side = a if which == "A" else b
        if len(side.uploads) + len(side.picked) >= MAX_MIXED:
            return a, b, message([f"{which} has {MAX_MIXED} images, which is the limit."])
        side = side._replace(picked=[*side.picked, picture])
        said = message([f"{picture.name} is taken for {which}."], alarming=False)
        return (side, b, said) if which == "A" else (a, side, said)

    def choose(self, a: Side, people: list[str] | None) -> Side:
        """Other people for A."""
        return a._replace(people=people or [])

    def adapt(self, run: str | None, name: str, a: Side) -> tuple[Any, Any, Side, str]:
        """Learn the images of A, which then have a name and give way to it."""
        if not run or not a.pictures:
            return gr.File(), gr.Dropdown(), a, message([NO_MODEL if not run else "Give at least one image for A."])
        folder, name = self.served.open(run)[0], name.strip()
        mixer = load_mixer(folder)
        if name in mixer.people:
            return gr.File(), gr.Dropdown(), a, message([f"There is {SIGN}{name} already; give another name."])
        try:
            mixer.adapt(_prepared(a.pictures), name, folder=folder.path)
        except (PersonError, ConfigError, OSError) as error:
            return gr.File(), gr.Dropdown(), a, message([str(error)])
        said = message([f"{SIGN}{name} was learned from: {_names(a.pictures)}."], alarming=False)
        return None, gr.Dropdown(mixer.people, value=[name]), Side(suggested=a.suggested, people=[name]), said

    def mix(self, run: str | None, a: Side, b: Side, average: bool) -> str:
        """The swap matrix and its downloads."""
        if not run:
            return message([NO_MODEL], alarming=False)
        if not (a.sources and b.pictures):
            return message(["Give at least one image for A and one for B."], alarming=False)
        mixer, started = load_mixer(self.served.open(run)[0]), time.perf_counter()
        sides = [(letter, side.pictures) for letter, side in (("A", a), ("B", b)) if side.pictures]
        codes = [(letter, pictures, mixer.encode(_prepared(pictures))) for letter, pictures in sides]
        sheet = _averaged(mixer, a, b) if average else mixer.sheet(a.sources, b.sources)
        seconds = time.perf_counter() - started
        num = len(b.pictures) * (1 if average else len(a.sources))
        words = f"Swap matrix. Rows, A: {', '.join(a.names)}. Columns, B: {', '.join(b.names)}."
        caption = f"First column: A. First row: B. {num} mixed image{'s' if num > 1 else ''} in {seconds:.2f} s."
        save = download_link(codes_table(codes), "codes.csv", "Download the codes (CSV)")
        return figure(sheet, words, caption, "mix.png") + save

    def blend(self, run: str | None, a: Side, b: Side, steps: int) -> str:
        """The images between the first and the last of each side."""
        if not (run and a.sources and b.pictures):
            return ""
        if len(a.sources) == len(b.sources) == 1:
            return message(["Give two images for A or for B to blend between them."], alarming=False)
        a1, a2, b1, b2 = (side.sources[i] for side in (a, b) for i in (0, -1))
        rows = load_mixer(self.served.open(run)[0]).blend(a1, a2, b1, b2, int(steps))
        sheet = tile([[np.asarray(image).transpose(2, 0, 1) for image in row] for row in rows])
        names = [side.names[i] for side in (a, b) for i in (0, -1)]
        words = "Left to right, A: from {} to {}. Top to bottom, B: from {} to {}.".format(*names)
        return figure(sheet, f"Blend. {words}", words, "blend.png")

    def find(self, run: str | None, a: Side, b: Side) -> str:
        """The nearest training images of every image, by the code that it gives."""
        if not run:
            return message([NO_MODEL], alarming=False)
        folder, config = self.served.open(run)
        try:
            trained = trained_images(self.served, folder, config)
        except (DataError, OSError) as error:
            return message([f"The training images are not here: {error}"])
        of = "" if trained.num_all == len(trained.pictures) else f" of {trained.num_all}"
        parts = []
        for letter, side, codes in (("A", a, trained.a), ("B", b, trained.b)):
            if side.pictures:
                own = load_mixer(folder).encode(_prepared(side.pictures))
                rows = nearest(own.a if letter == "A" else own.b, codes)
                parts.append(_nearest_figure(letter, side.pictures, rows, trained.pictures))
        return "".join(parts) + f"<p>Searched: {len(trained.pictures)}{of} training images.</p>"

    def _uploaded(self, run: str, files: list[str] | None, side: Side) -> tuple[Side, list[str]]:
        config = load_mixer(self.served.open(run)[0]).model
        pictures, refused = read_pictures(files or [], config.config.side_px, config.fit, MAX_MIXED)
        return side._replace(uploads=pictures), refused


def _averaged(mixer: Mixer, a: Side, b: Side) -> Image.Image:
    """One row of mixes, and below the first image of A the others of which the mean was taken; people have none."""
    mixes = [mixer.mix(a.sources, image) for image in b.sources]
    cells: list[NDArray[np.uint8] | None] = [None] * len(a.people)
    cells += [picture.pixels for picture in a.pictures]
    row = [cells[0], *(np.asarray(image).transpose(2, 0, 1) for image in mixes)]
    return tile([[None, *(picture.pixels for picture in b.pictures)], row, *([other] for other in cells[1:])])


def _nearest_figure(
    letter: str, pictures: Sequence[Picture], rows: NDArray[np.int64], trained: Sequence[Picture]
) -> str:
    cells = [
        [picture.pixels, None, *(trained[i].pixels for i in row)] for picture, row in zip(pictures, rows, strict=True)
    ]
    told = "; ".join(
        f"{picture.name}: {_names([trained[i] for i in row])}" for picture, row in zip(pictures, rows, strict=True)
    )
    caption = f"By code {letter}: your image on the left, then the {NUM_NEAREST} nearest training images."
    return figure(tile(cells), f"{caption} {told}", caption)


def _prepared(pictures: Sequence[Picture]) -> list[Prepared]:
    return [Prepared(picture.pixels) for picture in pictures]


def _picture(picture: Picture) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture.pixels.transpose(1, 2, 0)))


def _names(pictures: Sequence[Picture]) -> str:
    return ", ".join(picture.name for picture in pictures)
