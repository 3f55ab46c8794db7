"""Kills trainings and resumes them, and exits with 1 unless all end as the one never killed: `kills.py [--short]`.

SIGKILL comes at random moments, and before each single operation on files. A process that is killed loses nothing that
it gave to the system, so that fsync need not wait for the disk here; it waits a little, so that many random kills fall
into writes. Every life is a fork of this process, which trains nothing and has imported what the first life did. What
is compared, bit for bit: weights, optimisers, and the rows of metrics.csv but for their minutes.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from functools import partial
from io import StringIO
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file

import chiasm.training.loop as loop
from chiasm.checkpoint import load_state, saved_steps
from chiasm.config import Config
from chiasm.data import open_data
from chiasm.overrides import changed
from chiasm.presets import tiny
from chiasm.runs import CONFIG_FILE, WEIGHTS_FILE, RunFolder, read_metrics
from chiasm.training import fit

FSYNC_S = 0.005
OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime", "kills.fsync")
# The default has the cooldown, negatives and the adversary; Muon has matrices only in wider networks.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {"model.generator_widths": (16, 16, 16)},
    "GAN": {"gan.weight": 0.1, "gan.r1": 1.0, "gan.widths": (4,)},
    "compiled": {"train.compile": "on"},
}

Work = Callable[[], object]


def main(short: bool) -> None:
    """All kills, or a few."""
    torch.set_num_threads(1)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # of which none shall outlive a kill
    loop.SECONDS_BETWEEN_CHECKPOINTS = 0  # one before each step
    loop.curves = lambda rows, prefixes, path: path.touch()  # half a second that nothing depends on
    os.fsync = fsync
    rng = random.Random(0)
    random_kills = {"default": 3} if short else {"default": 20, "GAN": 20, "compiled": 5}
    for variant, wanted in random_kills.items():
        print(f"{variant}: {at_random_moments(of_variant(variant, steps=12), wanted, rng)}")
    every = {"default": 70} if short else {"default": 1, "GAN": 4}
    for variant, n in every.items():
        print(f"{variant}: {before_each_operation(of_variant(variant, steps=2), n)}")


def of_variant(variant: str, steps: int) -> Config:
    """A training of a few steps, whose images are there already."""
    config = changed(tiny(), {"train.steps": steps, "train.validate_every": 5, **VARIANTS[variant]})
    open_data(config.data, config.model.side_px, progress_bar=False)
    return config


def at_random_moments(config: Config, wanted: int, rng: random.Random) -> str:
    """Kill trainings, each again and again until it ends; all must end alike."""
    expected = never_killed(config)
    begun = time.perf_counter()
    compare(expected, never_killed(config))  # when all is imported
    whole_s = time.perf_counter() - begun
    kills = writes = runs = 0
    while kills < wanted:
        with TemporaryDirectory() as folder:
            while not live(partial(train, config, Path(folder)), rng.uniform(0, whole_s) if kills < wanted else None):
                kills += 1
                writes += bool([path for path in Path(folder).rglob(".*.*") if len(path.suffix) == 33])
            compare(expected, result(Path(folder)))
            runs += 1
    return f"{kills} kills at random moments, {writes} of them in the middle of a write; {runs} runs, all the same bits"


def before_each_operation(config: Config, every: int) -> str:
    """Kill a training before its k-th operation on files, for each k, and resume it; all must end alike."""
    expected = never_killed(config)
    kills, finished = 0, False
    while not finished:
        with TemporaryDirectory() as folder:
            work = partial(train, config, Path(folder))
            finished = live(partial(kill_before, 1 + kills * every, Path(folder), work))
            if not finished:
                kills += 1
                live(work)
            compare(expected, result(Path(folder)))
    return f"{kills} kills, one before every {f'{every}th ' if every > 1 else ''}operation on files; all the same bits"


def kill_before(k: int, folder: Path, work: Work) -> None:
    """Work until the k-th operation on files in a folder."""
    operations = count(1)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in OPERATIONS or threading.current_thread() is not threading.main_thread():
            return
        # What is removed within a folder, or synchronised, has no whole path here.
        in_folder = str(arguments[0]).startswith(str(folder)) or event in ("os.remove", "os.rmdir", "kills.fsync")
        if in_folder and next(operations) == k:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    work()


def fsync(file: int) -> None:
    """Stands for os.fsync: tells audit hooks of it, and waits."""
    sys.audit("kills.fsync", "")
    time.sleep(FSYNC_S)


def train(config: Config, folder: Path) -> None:
    """Begin the run in a folder, or go on with it."""
    run = folder / "run"
    if not (run / CONFIG_FILE).exists():
        fit(config, name="run", runs=folder, progress_bar=False)
    elif saved_steps(run / "checkpoint")[-1:] != [config.train.steps]:  # or it was killed when all was done
        fit(config, resume=run, progress_bar=False)


def live(work: Work, kill_after_s: float | None = None) -> bool:
    """Whether a process that does this, and might be killed, lived to its end."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with redirect_stderr(StringIO()):
                work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        sys.exit("a training failed")
    return os.WIFEXITED(status)


def first_life(work: Work) -> None:
    """Do the work unkilled, and import here what it imported, which would take each further life a while."""
    with TemporaryDirectory() as folder:
        imported = Path(folder) / "imported"
        live(lambda: (work(), imported.write_text("\n".join(sys.modules), encoding="utf-8")))
        for name in imported.read_text(encoding="utf-8").splitlines():
            with suppress(ImportError):  # some exist by name alone
                importlib.import_module(name)


def never_killed(config: Config) -> dict[str, Any]:
    """What the training comes to."""
    with TemporaryDirectory() as folder:
        first_life(partial(train, config, Path(folder)))
        return result(Path(folder))


def result(folder: Path) -> dict[str, Any]:
    """All that a run has come to and that does not tell the time."""
    run = RunFolder(folder / "run")
    saved = load_state(run.checkpoint)
    assert saved is not None
    assert not saved.damaged
    rows = [{key: value for key, value in row.items() if key != "minutes"} for row in read_metrics(run.metrics)]
    model = {f"model/{name}": tensor for name, tensor in load_file(run.model / WEIGHTS_FILE).items()}
    tensors = {name: tensor.numpy().tobytes() for name, tensor in (saved.tensors | model).items()}
    return {"step": saved.step, "rows": rows, **tensors}


def compare(expected: dict[str, Any], got: dict[str, Any]) -> None:
    """Exit unless both are the same to the last bit."""
    differ = [name for name in expected | got if expected.get(name) != got.get(name)]
    if differ:
        sys.exit(f"not as the training that was never killed: {', '.join(differ)}")


if __name__ == "__main__":
    main("--short" in sys.argv[1:])
