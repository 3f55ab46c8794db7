"""A folder to work in, and a watch on what hangs."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.slips.slip import write_images

SECONDS = 60


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """What hangs, as on a pipe that nobody writes to, fails."""

    def give_up(*_: object) -> None:
        raise AssertionError(f"hangs: nothing after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def make_photos(folder: Path) -> Path:
    """12 images of 3 people."""
    write_images(folder, [f"{person}/{i}.png" for person in ("ann", "ben", "cem") for i in range(4)])
    return folder


YAML = {
    "null": "model: null\n",
    "list": "train: [1, 2]\n",
    "top": "- 1\n",
    "alias": "model: &m {side_px: 16}\nloss: *m\n",
    "bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "deep": "a: " + "[" * 3000 + "\n",
    "broken": "train: {steps: [\n",
    "nan": "preset: tiny\nloss: {gamma: .nan}\n",
    "unknown": "preset: nosuch\n",
    "python": "train: !!python/object/apply:os.getcwd []\n",
    "typo": "train: {stepps: 3}\n",
}


@pytest.fixture(scope="session")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image beyond Pillow's limit, which fills a few kilobytes."""
    path = tmp_path_factory.mktemp("huge") / "huge.png"
    Image.new("1", (20_000, 20_000)).save(path)
    return path


@pytest.fixture
def desk(tmp_path: Path, huge: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in that holds what slips are made of."""
    monkeypatch.chdir(tmp_path)
    make_photos(tmp_path / "photos")
    write_images(tmp_path, ["a.png", "b.png"])
    (tmp_path / "no_image.png").write_text("text")
    (tmp_path / "file").write_text("text")
    (tmp_path / "huge.png").symlink_to(huge)
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe", "pipe.png", "pipe.yaml"):
        os.mkfifo(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("socket")
    (tmp_path / "tabled").mkdir()
    write_images(tmp_path / "tabled", ["1.png", "2.png"])
    (tmp_path / "tabled" / "metadata.csv").mkdir()
    (tmp_path / "piped").mkdir()
    os.mkfifo(tmp_path / "piped" / "metadata.csv")
    write_images(tmp_path / "piped", ["1.png", "2.png"])
    for name, text in YAML.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path
