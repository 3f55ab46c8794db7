"""What a run leaves behind: its folder, the names of all its files, its numbers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from chiasm.config import Config, ConfigError
from chiasm.files import write_atomically
from chiasm.overrides import from_dict, read_yaml, to_dict

if TYPE_CHECKING:
    from PIL import Image

CONFIG_FILE = "config.yaml"
SPLIT_FILE = "split.json"
METRICS_FILE = "metrics.csv"
RESULTS_FILE = "results.json"
TRIAL_FILE = "trial.json"
# In model/, which may be copied elsewhere:
MODEL_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
# In checkpoint/:
STATE_FILE = "state.json"
TENSORS_FILE = "state.safetensors"
# In figures/:
STRIP_FILE = "strip.png"
MATRIX_FILE = "swap_matrix.png"
CURVES_FILE = "curves.png"


MAX_NAME = 100
# Devices on Windows, with any ending.
RESERVED = frozenset(["con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))])


class RunError(ValueError):
    """A run folder that cannot be used; the message names it and the remedy."""


def check_name(name: str) -> None:
    """Refuse a name of a run or a sweep that is no name of one new folder on every system.

    Raises:
        RunError: if so.
    """
    plain = (
        name.isprintable() and not set(name) & set('/\\:*?"<>|') and name == name.strip() and name.strip(".") == name
    )
    if not (
        plain
        and 1 <= len(name) <= MAX_NAME
        and len(name.encode()) <= 255
        and name.partition(".")[0].lower() not in RESERVED
    ):
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
    def create(cls, runs: Path, name: str | None, config: Config) -> RunFolder:
        """Make the folder of a new run and write its configuration.

        Args:
            runs: the folder of all runs.
            name: of this run; by default the data's name and the next free number.
            config: to be written.

        Raises:
            RunError: if a run of that name exists, or the name is not that of a folder in `runs`.
        """
        if name is None:
            stem = re.sub(r"[^\w-]+", "-", Path(config.data.source).stem).strip("-")[: MAX_NAME - 20] or "run"
            taken = [int(p.name[len(stem) + 1 :]) for p in runs.glob(f"{stem}-*") if p.name[len(stem) + 1 :].isdigit()]
            name = f"{stem}-{max(taken, default=0) + 1}"
        check_name(name)
        path = runs / name
        if (path / CONFIG_FILE).exists():
            raise RunError(f"{path} exists; choose another --name, or go on with it: chiasm fit --resume {path}")
        run = cls(path)
        run.figures.mkdir(parents=True, exist_ok=True)
        run.write_config(config)
        return run

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
    """The rows of a metrics.csv, without its empty cells; no rows where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
