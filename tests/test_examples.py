"""The example in every public docstring, run in a folder with photographs and a trained model."""

import doctest
import inspect
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chiasm
from chiasm.mixing import Codes, Mixer

METHODS = {name: getattr(Mixer, name) for name in vars(Mixer) if not name.startswith("_")}
PUBLIC = {"chiasm": chiasm, "fit": chiasm.fit, "load": chiasm.load, "Codes": Codes, "Mixer": Mixer, **METHODS}


class Checker(doctest.OutputChecker):
    """Asks for what an example shows; where it shows nothing, such as a training's alarms, anything may be printed."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(trained, folder / "runs" / "photos-1")
    rng = np.random.default_rng(0)
    photos = [f"photos/{person}/{i}.jpg" for person in ("anna", "ben", "cleo", "dan") for i in range(6)]
    for name in ("anna.jpg", "ben.jpg", "smile.jpg", "turn.jpg", *photos):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (24, 20, 3), dtype=np.uint8)).save(folder / name)
    return folder


def test_all_names_of_the_package_are_public_here() -> None:
    assert set(chiasm.__all__) <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_runs(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    known = {"chiasm": chiasm}
    if name in METHODS:
        known["mixer"] = Mixer.load("runs/photos-1", "cpu")
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(PUBLIC[name]), known, name, None, None)
    assert example.examples, f"{name} has no example"
    told: list[str] = []
    result = doctest.DocTestRunner(Checker(), verbose=False).run(example, out=told.append)
    assert result.failed == 0, "".join(told)
