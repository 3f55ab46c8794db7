"""What a run leaves behind: its folder, the names of all its files, its numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from filelock import FileLock, Timeout

from chiasm.config import Config, ConfigError
from chiasm.files import remove_partials, write_atomically
from chiasm.overrides import flatten, from_dict, read_yaml, to_dict

if TYPE_CHECKING:
    from PIL import Image

CONFIG_FILE = "config.yaml"
SPLIT_FILE = "split.json"
METRICS_FILE = "metrics.csv"
CHANGES_FILE = "changes.csv"
LOCK_FILE = "run.lock"
RESULTS_FILE = "results.json"
EARLIER_RESULTS = "results-[0-9]*.json"
"""Those that were measured otherwise, by number."""
TRIAL_FILE = "trial.json"
# In model/, which may be copied elsewhere:
MODEL_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
PEOPLE_FOLDER = "people"
# In checkpoint/, folders named by the step, and in each:
CHECKPOINT_PATTERN = "[0-9]" * 9
STATE_FILE = "state.json"
TENSORS_FILE = "state.safetensors"
# In figures/:
STRIP_FILE = "strip.png"
MATRIX_FILE = "swap_matrix.png"
CURVES_FILE = "curves.png"

# All that a training writes. The settings come last: without them nothing is a run.
WRITTEN = (
    f"checkpoint/{CHECKPOINT_PATTERN}/{STATE_FILE}",
    f"checkpoint/{CHECKPOINT_PATTERN}/{TENSORS_FILE}",
    f"model/{MODEL_FILE}",
    *(f"model/{name}" for name in (WEIGHTS_FILE, CARD_FILE, MATRIX_FILE)),
    *(f"figures/{name}" for name in (STRIP_FILE, MATRIX_FILE, CURVES_FILE)),
    "tensorboard/events.out.tfevents.*",
    *(METRICS_FILE, CHANGES_FILE, SPLIT_FILE, CONFIG_FILE),
)


MAX_NAME = 100
MAX_STEP = 10**12
# Devices on Windows, with any ending.
RESERVED = frozenset(["con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))])


class RunError(ValueError):
    """A run folder that cannot be used; the message names it and the remedy."""


class RunWriteError(OSError):
    """A run folder that cannot be written; the message names it and the remedy."""


def is_name(name: str) -> bool:
    """Whether this names one new folder or file on every system."""
    plain = (
        name.isprintable() and not set(name) & set('/\\:*?"<>|') and name == name.strip() and name.strip(".") == name
    )
    return (
        plain
        and 1 <= len(name) <= MAX_NAME
        and len(name.encode(errors="surrogatepass")) <= 255
        and name.partition(".")[0].lower() not in RESERVED
    )


def check_name(name: str) -> None:
    """Refuse a name of a run or a sweep that is no name of one new folder on every system.

    Raises:
        RunError: if so.
    """
    if not is_name(name):
        shown = name if len(name) <= MAX_NAME else f"{name[:20]}... of {len(name)} characters"
        raise RunError(
            f"--name: got {shown!r}; give 1 to {MAX_NAME} letters, digits, '-', '_' or '.' in between; to write "
            "elsewhere, give --runs."
        )


@dataclass(frozen=True)
class RunFolder:
    """The layout of `runs/<name>/`."""

    path: Path

    @property
    def model(self) -> Path:
        """The model to use and to share."""
        return self.path / "model"

    @property
    def checkpoint(self) -> Path:
        """What resuming needs."""
        return self.path / "checkpoint"

    @property
    def split(self) -> Path:
        """The frozen split."""
        return self.path / SPLIT_FILE

    @property
    def metrics(self) -> Path:
        """All numbers of the training."""
        return self.path / METRICS_FILE

    @property
    def figures(self) -> Path:
        """The figures."""
        return self.path / "figures"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @classmethod
    def named(cls, runs: Path, name: str | None, source: str) -> RunFolder:
        """The folder of a new run, which need not exist.

        Args:
            runs: the folder of all runs.
            name: of this run; by default the data's name and the next free number.
            source: of the data.

        Raises:
            RunError: if the name is none for a new folder in runs, see check_name.
        """
        if name is None:
            stem = re.sub(r"[^\w-]+", "-", Path(source).stem).strip("-")[: MAX_NAME - 20] or "run"
            taken = [int(p.name[len(stem) + 1 :]) for p in runs.glob(f"{stem}-*") if p.name[len(stem) + 1 :].isdigit()]
            name = f"{stem}-{max(taken, default=0) + 1}"
        check_name(name)
        return cls(runs / name)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other process from training this run; the system lets go of it when this one is killed.

        A folder in which nothing was written is removed at the end.

        Raises:
            RunError: if another process trains it.
            RunWriteError: if the folder cannot be written.
        """
        lock = FileLock(self.path / LOCK_FILE)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{self.path} is being trained by another process; wait for it, or stop it.") from None
        except OSError as error:
            raise RunWriteError(f"{self.path} cannot be written ({error}); give another --runs.") from error
        try:
            for pattern in (f"checkpoint/{CHECKPOINT_PATTERN}", *WRITTEN):
                remove_partials(self.path, pattern)
            yield
        finally:
            if [path.name for path in self.path.glob("*")] == [LOCK_FILE]:
                with suppress(OSError):  # Windows removes no open file
                    (self.path / LOCK_FILE).unlink()
                    self.path.rmdir()
            lock.release()

    def create(self, config: Config, *, overwrite: bool = False) -> None:
        """Make this the folder of a new run and write its configuration.

        Args:
            config: to be written.
            overwrite: whether an earlier run gives way; what it has not written itself stays.

        Raises:
            RunError: if there is an earlier run that does not.
        """
        if not overwrite and any(p.exists() for p in (self.path / CONFIG_FILE, self.checkpoint, self.model)):
            raise RunError(
                f"{self.path} exists; choose another --name, go on with it: chiasm fit --resume {self.path}, "
                "or begin it again: --overwrite"
            )
        for pattern in (RESULTS_FILE, EARLIER_RESULTS, *WRITTEN):
            for path in self.path.glob(pattern):
                path.unlink()
        for folder in (
            *self.checkpoint.glob(CHECKPOINT_PATTERN),
            self.checkpoint,
            self.model,
            self.figures,
            self.tensorboard,
        ):
            with suppress(OSError):  # something else is in it
                folder.rmdir()
        self.figures.mkdir(parents=True, exist_ok=True)
        self.write_config(config)

    @classmethod
    def open(cls, path: Path) -> tuple[RunFolder, Config]:
        """An existing run and its configuration.

        Raises:
            RunError: if the folder holds no run.
        """
        file = Path(path) / CONFIG_FILE
        if not file.is_file():
            raise RunError(f"{path} is no run: {CONFIG_FILE} is missing; give a folder that chiasm fit made.")
        try:
            return cls(Path(path)), from_dict(Config, read_yaml(file))
        except (ConfigError, TypeError) as error:
            raise RunError(f"{file}: {error}") from error

    def write_config(self, config: Config) -> None:
        """Write the configuration as YAML."""
        text = yaml.safe_dump(to_dict(config), sort_keys=False)
        write_atomically(self.path / CONFIG_FILE, text)

    def change_config(self, step: int, before: Config, after: Config) -> None:
        """Write the configuration with which a run goes on, and note in changes.csv what is not as before."""
        old, new = (flatten(to_dict(config)) for config in (before, after))
        rows = [[step, key, json.dumps(old[key]), json.dumps(new[key])] for key in new if old[key] != new[key]]
        if not rows:
            return
        file = self.path / CHANGES_FILE
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        earlier = file.read_text(encoding="utf-8", errors="replace") if file.exists() else "step,key,before,after\n"
        write_atomically(file, earlier + text.getvalue())
        self.write_config(after)


class Tracker:
    """Numbers to metrics.csv and TensorBoard; rows after `first_step` of an earlier attempt are dropped."""

    def __init__(self, run: RunFolder, first_step: int) -> None:
        # TensorBoard takes a second to import, which nobody but a training should wait for.
        from torch.utils.tensorboard import SummaryWriter

        self._path = run.metrics
        self._writer = SummaryWriter(str(run.tensorboard), purge_step=first_step)
        self.rows = [row for row in read_metrics(run.metrics) if row["step"] <= first_step]

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Note values at a step; the file is complete at any time."""
        self.rows.append({"step": float(step), **values})
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def image(self, step: int, name: str, image: Image.Image) -> None:
        """Show an image in TensorBoard."""
        self._writer.add_image(name, np.asarray(image), step, dataformats="HWC")

    def flush(self) -> None:
        """Write metrics.csv: a row a step, an empty cell where a column was not measured."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self._path, text.getvalue())
        self._writer.flush()

    def close(self) -> None:
        """Flush and let go of the files."""
        self.flush()
        self._writer.close()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, without its empty cells; no rows where there is no file.

    Raises:
        RunError: for a file that is not what a training writes, naming its line.
    """
    if not path.exists():
        return []
    rows, line = [], 1
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                line = reader.line_num
                rows.append({key: float(value) for key, value in row.items() if value})
                if not 0 <= rows[-1]["step"] <= MAX_STEP:
                    raise ValueError(f"step {rows[-1]['step']}")
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        told = f"{type(error).__name__}: {error}"
        raise RunError(f"{path}, line {line}: not as chiasm writes it ({told}); move the file away.") from error
    return rows
