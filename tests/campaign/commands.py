"""Command lines of words that do not belong together; full disks; YAML files of all shapes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.campaign.case import Case
from tests.campaign.folders import CONTENTS
from tests.campaign.pictures import encoded

WORDS = [
    *("", "-", "--", "-o", "--output", "--name", "--runs", "--num", "--seed", "--part", "--metrics", "--preset"),
    *("--config", "--resume", "--steps", "--epochs", "--max-minutes", "--side-px", "--a", "--b", "--format", "--int8"),
    *("nan", "-1", "0", "1e400", "9" * 5000, "x", "é", "\n", "{}", "[]", "null", "true", "[" * 2000, "*"),
    *(
        "nosuch",
        "a.png",
        "photos",
        ".",
        "run",
        "run/model",
        "/dev/null",
        "/dev/zero/x",
        "a.png/x",
        "x" * 300,
        "~nobody",
    ),
    *(
        "--model",
        "--train.lr=x",
        "--gan",
        "--data={}",
        "--loss.gamma",
        "--=x",
        "---",
        "--no-such",
        "tiny",
        "results.json",
    ),
]
COMMANDS = ("mix", "evaluate", "report", "info", "data", "export", "sweep", "fit", "nosuch", "")
OUTPUTS = [
    *(".", "..", "/", "", "photos", "a.png/x.png", "no/such/../x", "x", ".png", "x.", "x" * 300 + ".png", "/dev/null"),
    *("/dev/full", "/proc/x.png", "\n.png", "é.png", "-.png", "x.png/", "run/model", "\udcff.png"),
]
MAPPINGS = {
    "a null section": "preset: tiny\nmodel:\n",
    "a list": "preset: tiny\nmodel: [1]\n",
    "an alias": "a: &a 1\nb: *a\n",
    "aliases of aliases": "a: &a [x,x]\n"
    + "".join(f"{c}: &{c} [*{p},*{p}]\n" for p, c in zip("abcdefg", "bcdefgh", strict=True)),
    "a merge": "a: &a {x: 1}\nb:\n  <<: *a\n",
    "a merge of itself": "a: &a\n  <<: *a\n",
    "a tag": "preset: !!python/name:os.system\n",
    "a binary tag": "preset: !!binary aGk=\n",
    "a set": "train: !!set {steps}\n",
    "a date": "preset: tiny\ntrain.steps: 2026-01-01\n",
    "a date that is none": "preset: tiny\ntrain.steps: 2026-99-99\n",
    "a number of base 60": "preset: tiny\ntrain.steps: 190:20:30\n",
    "a key that is a list": "? [a]\n: 1\n",
    "a key that is null": "null: 1\n",
    "a key that is a number": "1: 2\n",
    "a nested number": "train:\n  1: 2\n",
    "keys twice": "train.steps: 1\ntrain.steps: 2\n",
    "a key in a section and dotted": "preset: tiny\ntrain: {steps: 1}\ntrain.steps: 2\n",
    "two documents": "preset: tiny\n---\npreset: tiny\n",
    "a long key": "x" * 100_000 + ": 1\n",
    "a key of dots": "...: 1\n",
    "an empty key": "'': 1\n",
    "dots at the end": "train.: 1\n",
    "a key below a value": "train.steps.x: 1\n",
    "the preset a list": "preset: [tiny]\n",
    # To draw all of the default's people may take a minute.
    "the preset null": "preset:\ndata.avatars: {num_people: 12, num_expressions: 2, tilts_deg: [-20, 20]}\n",
    "infinity": "preset: tiny\ntrain.lr: .inf\n",
    "tabs": "train:\n\tsteps: 1\n",
    "a directive": "%YAML 9.9\n---\npreset: tiny\n",
    "an unknown anchor": "train: *x\n",
    "a control character": "preset: \x01\n",
}


def cases(num: int, random_seed: int) -> Iterator[Case]:
    """So many command lines of each command; each output; each file of settings; disks of all sizes."""
    rng = random.Random(random_seed)
    for command in COMMANDS:
        for _ in range(3 * num):
            words = [rng.choice(WORDS) for _ in range(rng.randrange(1, 6))]
            # A sweep or a training that is not refused must end.
            limits = {"fit": ["--steps", "1", "--preset", "tiny"], "sweep": ["--preset", "tiny", "--steps", "1"]}
            yield of_words([command, *words, *limits.get(command, [])])
    for output in OUTPUTS:
        for command in (["mix", "run", "a.png", "b.png"], ["data", "photos", "--side-px", "8"], ["report", "run"]):
            yield of_words([*command, "-o", output], family="outputs")
        evaluate = ["evaluate", "run", "--num", "4", "--metrics", "swap"]
        yield of_words([*evaluate, "-o", output], family="outputs")
        yield of_words(["fit", "photos", "--preset", "tiny", "--steps", "1", "--runs", output], family="outputs")
        yield of_words(["fit", "photos", "--preset", "tiny", "--steps", "1", "--name", output], family="outputs")
    for name, text in MAPPINGS.items():
        yield of_settings(name, text.encode())
    for name, content in CONTENTS.items():
        if content is not None:
            yield of_settings(name, content)
    for size in (0, 1, 100, 1000, 3000, 10_000, 30_000, 100_000):
        for words in (
            ["fit", "photos", "--preset", "tiny", "--steps", "1"],
            ["fit", "--resume", "run", "--steps", "5"],
            ["mix", "run", "a.png", "b.png"],
            ["data", "photos", "--side-px", "8"],
            ["report", "run"],
            ["evaluate", "run", "--num", "4", "--metrics", "swap"],
            ["sweep", "photos", "--preset", "tiny", "--steps", "1", "--seeds", "0"],
        ):
            yield of_words(words, family="full disks", max_file=size)


def of_words(words: list[str], family: str = "command lines", **options: Any) -> Case:
    name = " ".join(word[:40] for word in words).encode("unicode_escape").decode()
    limit = f", files of at most {options['max_file']} bytes" if "max_file" in options else ""
    return Case(family=family, name=name + limit, make=partial(with_desk, words), **options)


def with_desk(words: list[str], folder: Path, run: Path) -> list[str]:
    Path("photos").mkdir()
    for i in range(4):
        (Path("photos") / f"{i}.png").write_bytes(encoded("PNG", size=(20 + i, 20)))
    for image in ("a.png", "b.png"):
        Path(image).write_bytes(encoded("PNG"))
    shutil.copytree(run, "run")
    return words


def of_settings(name: str, content: bytes) -> Case:
    def make(folder: Path, run: Path) -> list[str]:
        Path("settings.yaml").write_bytes(content)
        return ["fit", "--config", "settings.yaml", "--steps", "1", "--model.side_px", "16"]

    return Case(family="settings files", name=name, make=make)
