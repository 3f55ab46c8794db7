"""The commands of README.md, docs/tutorial.md and docs/typefaces.md, run on made images: every line that begins with
`chiasm`, then the blocks of Python.

The words are their own; only flags that make it short are added. What begins otherwise (make, pip) installs
from the network and is not run.
"""

import re
import shlex
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from chiasm.cli import main
from chiasm.overrides import flatten
from chiasm.sweep.space import as_argument

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
TUTORIAL = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text(encoding="utf-8")
TYPEFACES = (Path(__file__).parents[1] / "docs" / "typefaces.md").read_text(encoding="utf-8")
SERVES = re.compile(r"serve\b")
"""Runs until it is stopped, and has tests of its own in a browser."""
COMMANDS = [
    command
    for command in re.findall(r"^ +chiasm (.+?)(?: {2,}#.*)?$", README + TUTORIAL + TYPEFACES, re.MULTILINE)
    if not SERVES.match(command)
]
PYTHON, OF_TYPEFACES = (re.findall(r"```python\n(.+?)```", text, re.DOTALL) for text in (README, TYPEFACES))
TTF = Path(matplotlib.get_data_path()) / "fonts" / "ttf"

MODEL = {"side_px": 16, "encoder_widths": [4, 4, 4], "dense_widths": [4], "generator_widths": [4, 4, 4]}
TRAIN = {"steps": 2, "batch_size": 4, "num_val_pairs": 4, "compile": "off"}
AVATARS = {"num_people": 12, "num_expressions": 2}
SETTINGS = flatten({"data": {"avatars": AVATARS}, "model": MODEL, "train": TRAIN})
FIT = ["--steps", str(SETTINGS.pop("train.steps")), *(f"--{k}={as_argument(v)}" for k, v in SETTINGS.items())]
MORE = ["--steps", "3"]  # one more than FIT
SHORT = {"fit": FIT, "sweep": FIT, "evaluate": ["--num", "8"]}


@pytest.fixture(scope="module")
def done(quick_fits: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images in which all commands were run, in their order."""
    folder = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    photos = [f"photos/{person}/{i}.jpg" for person in ("anna", "ben", "cleo", "dan") for i in range(6)]
    for name in {*photos, *re.findall(r"\w+\.jpg", " ".join([*COMMANDS, *PYTHON]))}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (24, 20, 3), dtype=np.uint8)).save(folder / name)
    (folder / "fonts").mkdir()
    for font in ("DejaVuSans", "DejaVuSerif", "cmr10", "cmtt10"):
        shutil.copy(TTF / f"{font}.ttf", folder / "fonts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in COMMANDS:
            words = shlex.split(command)
            short = MORE if "--resume" in words else SHORT.get(words[0], [])
            assert main([*words, *short]) == 0, command
    return folder


def test_the_readme_shows_every_kind_of_command() -> None:
    assert {command.split()[0] for command in COMMANDS} >= {"data", "fit", "mix", "evaluate", "sweep", "report"}
    assert len(PYTHON) == 1


def test_every_file_that_is_promised_is_there(done: Path) -> None:
    outputs = re.findall(r"-o (\S+)", " ".join(COMMANDS))
    assert outputs
    for name in [*outputs, *re.findall(r"runs/[\w-]+", " ".join(COMMANDS)), "runs/photos-1/results.json"]:
        assert (done / name).exists(), name
    for name in ("model", "figures", "metrics.csv"):  # "model, figures, numbers"
        assert (done / "runs" / "photos-1" / name).exists(), name


def test_the_python_block_runs(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(done)
    written = set(re.findall(r'save\("(.+?)"\)', PYTHON[0]))
    for name in written:
        (done / name).unlink(missing_ok=True)
    short = PYTHON[0].replace("train={", f"model={MODEL}, train={TRAIN} | {{")
    assert short != PYTHON[0]
    exec(short, {})  # the README is this project's own
    assert written
    assert all((done / name).exists() for name in written)


def test_the_python_block_on_typefaces_runs(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(done)
    exec(OF_TYPEFACES[0], {})
    with Image.open("Q.png") as image:
        assert image.size == (16, 16)
