"""Model folders and run folders that somebody has damaged, or made in order to harm."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import torch
from safetensors.torch import load_file, save_file

from chiasm.config import ModelConfig
from tests.campaign.case import Case
from tests.campaign.pictures import encoded
from tests.campaign.settings import HOSTILE, drawn, typed

Change = Callable[[Path], object]


def cases(num: int, random_seed: int) -> Iterator[Case]:
    """Values of every key of a model's config.json, its tensors changed; every file of a run changed."""
    rng = random.Random(random_seed)
    hints = get_type_hints(ModelConfig)
    for key in (*(f.name for f in dataclasses.fields(ModelConfig)), "fit", "noise_b", "no_key"):
        wild = rng.sample(HOSTILE, min(2 * num, len(HOSTILE)))
        for value in [*wild, *(drawn(typed(hints[key]), num, random_seed) if key in hints else [])]:
            yield of_model(f"{key}: {value!r}"[:100], edited(key, value), "info")
    for command in ("info", "mix"):
        for name, change, wanted in tensors():
            yield of_model(name, change, command, wanted)
    for file in ("config.json", "model.safetensors"):
        for i in range(2 * num):
            yield of_model(f"{file} damaged {i}", damaged(file, rng), "mix")
    for name, change in states():
        yield of_run(name, change, "resume")
    for file in ("config.yaml", "split.json", "metrics.csv", "changes.csv"):
        for command in ("resume", "report", "evaluate"):
            for name, content in CONTENTS.items():
                # No settings are the default ones, whose images take a minute to render.
                if (file, name) != ("config.yaml", "an empty object"):
                    yield of_run(f"{file}: {name}", written(file, content), command)
            for i in range(num):
                yield of_run(f"{file} damaged {i}", damaged(file, rng), command)
    for file in ("results.json", "trial.json", "sweep.json", "figures/strip.png", "model/README.md", "run.lock"):
        for command in ("report", "evaluate"):
            for name, content in CONTENTS.items():
                yield of_run(f"{file}: {name}", written(file, content), command)
    for name, rows in METRICS.items():
        for command in ("resume", "report", "evaluate"):
            yield of_run(f"metrics.csv: {name}", written("metrics.csv", rows.encode()), command)
    for name, text in SPLITS.items():
        for command in ("resume", "evaluate"):
            yield of_run(f"split.json: {name}", written("split.json", text.encode()), command)


def of_model(name: str, change: Change, command: str, wanted: Any = "either") -> Case:
    def make(folder: Path, run: Path) -> list[str]:
        shutil.copytree(run / "model", "model")
        change(Path("model"))
        if command == "info":
            return ["info", "model"]
        for image in ("a.png", "b.png"):
            Path(image).write_bytes(encoded("PNG"))
        return ["mix", "model", "a.png", "b.png"]

    return Case(family="models", name=f"{command}: {name}", make=make, wanted=wanted, words=("model",))


def of_run(name: str, change: Change, command: str, wanted: Any = "either") -> Case:
    def make(folder: Path, run: Path) -> list[str]:
        shutil.copytree(run, "run")
        change(Path("run"))
        if command == "resume":
            return ["fit", "--resume", "run", "--steps", "5"]
        evaluate = ["evaluate", "run", "--num", "4", "--metrics", "swap"]
        return evaluate if command == "evaluate" else ["report", "run"]

    return Case(family="runs", name=f"{command}: {name}", make=make, wanted=wanted, words=("run",))


def edited(key: str, value: Any) -> Change:
    def change(model: Path) -> None:
        values = json.loads((model / "config.json").read_text()) | {key: value}
        (model / "config.json").write_text(json.dumps(values))

    return change


def damaged(file: str, rng: random.Random) -> Change:
    """Cut, or with a few bits flipped."""
    seed = rng.random()

    def change(folder: Path) -> None:
        own = random.Random(seed)
        path = folder / file
        content = bytearray(path.read_bytes() if path.exists() else b"step,key,before,after\n")
        if own.random() < 0.5:
            content = content[: own.randrange(len(content))]
        else:
            for _ in range(own.choice([1, 4, 64])):
                content[own.randrange(min(len(content), 4000))] ^= 1 << own.randrange(8)
        path.write_bytes(content)

    return change


def written(file: str, content: bytes | None) -> Change:
    """A file with this content; a folder of its name for None."""

    def change(folder: Path) -> None:
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)

    return change


CONTENTS: dict[str, bytes | None] = {
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "an empty object": b"{}",
    "text": b"text\n",
    "nul bytes": bytes(1000),
    "not UTF-8": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "digits": b"9" * 9000,
    "NaN": b"NaN",
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "a folder": None,
}
METRICS = {
    "no header": "1,2,3\n4,5,6\n",
    "text in a cell": "step,minutes,train/loss\n1,0.1,abc\n",
    "nan": "step,minutes,train/loss,swap/swap\n1,0.1,nan,nan\n",
    "infinite": "step,minutes,train/loss,swap/swap\n1,inf,inf,-inf\ninf,1,1,1\n",
    "no step": "minutes,train/loss\n1,0.1\n",
    "a step empty": "step,minutes,train/loss\n,1,0.1\n",
    "more cells": "step,minutes\n1,2,3,4\n",
    "fewer cells": "step,minutes,train/loss\n1\n",
    "a column twice": "step,step\n1,2\n",
    "huge": "step,minutes,swap/swap\n1e308,1e308,1e308\n1e308,1e308,1e308\n",
    "a half line": "step,minutes,train/loss\n1,0.1,0.5\n2,0.",
    "a quote": 'step,minutes\n"1,2\n',
    "a cell of a million letters": "step\n" + "9" * 10**6 + "\n",
    "columns of HTML": "step,<script>,swap/<b>\n1,2,3\n",
    "a negative step": "step,minutes\n-5,1\n",
}
PARTS = ("train", "val", "test", "val_classes", "test_classes")
SPLITS = {
    "no training image": json.dumps({part: ["0"] if part == "val" else [] for part in PARTS}),
    "parts of numbers": json.dumps({part: [1, 2] for part in PARTS}),
    "parts of text": json.dumps(dict.fromkeys(PARTS, "abc")),
    "parts of null": json.dumps(dict.fromkeys(PARTS)),
    "parts of objects": json.dumps({part: [{}, []] for part in PARTS}),
    "nothing at all": json.dumps({part: [] for part in PARTS}),
    "a part missing": json.dumps({"train": []}),
}


def tensors() -> Iterator[tuple[str, Change, Any]]:
    """What else a model.safetensors may be."""
    name = "model.safetensors"

    def changed(change: Callable[[dict[str, torch.Tensor]], Any]) -> Change:
        def write(model: Path) -> None:
            weights = load_file(model / name)
            change(weights)
            save_file({k: v.contiguous() for k, v in weights.items()}, model / name)

        return write

    first = "generator.rgb.weight"
    yield "as it is", lambda model: None, "works"
    yield "a tensor missing", changed(lambda w: w.pop(first)), "refused"
    yield "a tensor more", changed(lambda w: w.update(more=torch.zeros(1))), "refused"
    yield "no tensor", changed(lambda w: w.clear()), "refused"
    yield "a tensor transposed", changed(lambda w: w.update({first: w[first].mT[:, :, :1]})), "refused"
    yield "a tensor of another width", changed(lambda w: w.update({first: torch.zeros(3, 9, 3, 3)})), "refused"
    yield "weights that are nan", changed(lambda w: w[first].fill_(torch.nan)), "refused"
    yield "weights that are infinite", changed(lambda w: w[first].fill_(torch.inf)), "refused"
    yield "half precision", changed(lambda w: w.update({k: v.half() for k, v in w.items()})), "either"
    yield "complex", changed(lambda w: w.update({first: w[first].to(torch.complex64)})), "refused"
    yield "whole numbers", changed(lambda w: w.update({first: w[first].to(torch.int8)})), "refused"

    def header(content: bytes, length: int | None = None, rest: bytes = b"") -> Change:
        size = struct.pack("<Q", len(content) if length is None else length)
        return lambda model: (model / name).write_bytes(size + content + rest)

    yield "empty file", lambda model: (model / name).write_bytes(b""), "refused"
    yield "a header of 2^63 bytes", header(b"{}", 2**63), "refused"
    yield "a header of 99 MB", header(b"{}", 99_000_000), "refused"
    yield "a header of nothing", header(b""), "refused"
    yield "a deep header", header(b'{"a":' * 10_000), "refused"
    yield "offsets beyond the file", header(b'{"x":{"dtype":"F32","shape":[4],"data_offsets":[0,99999]}}'), "refused"
    yield "offsets below 0", header(b'{"x":{"dtype":"F32","shape":[4],"data_offsets":[-4,16]}}'), "refused"
    yield (
        "a shape that overflows",
        header(b'{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
        "refused",
    )
    yield "a pickle", lambda model: (model / name).write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR."), "refused"
    yield "torch.save", lambda model: torch.save({"a": torch.zeros(1)}, model / name), "refused"
    yield "a sparse terabyte", lambda model: os.truncate(model / name, 10**12), "refused"
    yield "a folder", lambda model: ((model / name).unlink(), (model / name).mkdir()), "refused"
    yield "missing", lambda model: (model / name).unlink(), "refused"
    yield "a link to a device", lambda model: relinked(model / name, "/dev/zero"), "refused"
    yield "a config that is a device", lambda model: relinked(model / "config.json", "/dev/zero"), "refused"
    yield (
        "a config that is a pipe",
        lambda model: (
            (model / "config.json").unlink(),
            os.mkfifo(model / "config.json"),
        ),
        "refused",
    )
    yield "a config of a sparse terabyte", lambda model: os.truncate(model / "config.json", 10**12), "refused"
    yield "a link to itself", lambda model: relinked(model / name, name), "refused"
    yield (
        "duplicate keys",
        lambda model: (model / "config.json").write_text('{"side_px": 16, "side_px": 32}'),
        "refused",
    )
    for text, content in CONTENTS.items():
        yield f"config.json: {text}", written("config.json", content), "refused"


def relinked(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def states() -> Iterator[tuple[str, Change]]:
    """Checkpoints whose checksums are right and whose values are not."""

    def state(change: Callable[[dict[str, Any]], Any]) -> Change:
        def write(run: Path) -> None:
            for place in (run / "checkpoint").iterdir():
                content = json.loads((place / "state.json").read_text())
                change(content)
                values = content.get("values")
                if isinstance(content.get("sha256"), dict):
                    content["sha256"]["values"] = hashlib.sha256(json.dumps(values).encode()).hexdigest()
                (place / "state.json").write_text(json.dumps(content))

        return write

    for value in HOSTILE:
        yield f"elapsed_s: {value!r}"[:80], state(lambda c, value=value: c["values"].update(elapsed_s=value))
        yield f"window: {value!r}"[:80], state(lambda c, value=value: c["values"].update(window=value))
        yield f"values: {value!r}"[:80], state(lambda c, value=value: c.update(values=value))
    for row in ({"swap": "x"}, {"swap": None}, {"swap": []}, {"swap": float("nan")}, {"": 1}, {"a": 10**400}):
        yield f"window of {row!r}"[:80], state(lambda c, row=row: c["values"].update(window=[row]))
    yield "no elapsed_s", state(lambda c: c["values"].pop("elapsed_s"))
    yield "no window", state(lambda c: c["values"].pop("window"))
    yield "no checksums", state(lambda c: c.pop("sha256"))
    for name, change in STATE_TENSORS.items():
        yield name, tensors_of_state(change)
    yield "steps in the name beyond all", lambda run: renamed(run, "999999999")
    yield "step 0", lambda run: renamed(run, "000000000")
    for name, content in CONTENTS.items():
        yield (
            f"state.json: {name}",
            lambda run, content=content: [
                written("state.json", content)(place) for place in (run / "checkpoint").iterdir()
            ],
        )
    yield "the checkpoint a file", lambda run: (shutil.rmtree(run / "checkpoint"), (run / "checkpoint").touch())


STATE_TENSORS: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "tensors of the model alone": lambda t: [t.pop(k) for k in list(t) if k.startswith("objective-")],
    "no tensors": lambda t: t.clear(),
    "moments of no parameter": lambda t: t.update({"objective-optimizer.9999.exp_avg": torch.zeros(1)}),
    "moments without a number": lambda t: t.update({"objective-optimizer.x.exp_avg": torch.zeros(1)}),
    "moments of another shape": lambda t: t.update({k: torch.zeros(7) for k in t if k.endswith("exp_avg")}),
    "moments of nan": lambda t: [v.fill_(torch.nan) for k, v in t.items() if k.endswith("exp_avg")],
    "a tensor more": lambda t: t.update({"objective/more": torch.zeros(1)}),
    "weights of nan": lambda t: [v.fill_(torch.nan) for k, v in t.items() if k.endswith("rgb.weight")],
    "weights of another shape": lambda t: t.update({k: torch.zeros(2) for k in t if k.endswith("rgb.weight")}),
    "a moment missing": lambda t: t.pop(next(k for k in t if k.endswith("exp_avg_sq"))),
    "steps of nan": lambda t: t.update({k: torch.tensor(torch.nan) for k in t if k.endswith(".step")}),
}


def tensors_of_state(change: Callable[[dict[str, torch.Tensor]], Any]) -> Change:
    def write(run: Path) -> None:
        for place in (run / "checkpoint").iterdir():
            tensors = load_file(place / "state.safetensors")
            change(tensors)
            save_file(tensors, place / "state.safetensors")
            content = json.loads((place / "state.json").read_text())
            digest = hashlib.sha256((place / "state.safetensors").read_bytes()).hexdigest()
            content["sha256"]["state.safetensors"] = digest
            (place / "state.json").write_text(json.dumps(content))

    return write


def renamed(run: Path, name: str) -> None:
    places = sorted((run / "checkpoint").iterdir())
    for place in places[:-1]:
        shutil.rmtree(place)
    places[-1].rename(places[-1].with_name(name))
