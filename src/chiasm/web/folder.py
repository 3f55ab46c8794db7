"""The folder that the page serves: runs, and beside them a folder of the page's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from chiasm.config import Config, ConfigError, DataConfig
from chiasm.data import ImageSet, open_data
from chiasm.data.cache import cache_key, default_cache_dir
from chiasm.data.find_source import find_source
from chiasm.runs import CONFIG_FILE, MODEL_FILE, RunFolder

OWN = "web"


def written(file: Path) -> int:
    """When a file was written, in nanoseconds; 0 where there is none."""
    return file.stat().st_mtime_ns if file.exists() else 0


@dataclass(frozen=True)
class ServedFolder:
    """A folder of runs; whatever the page writes is in it.

    Attributes:
        root: the folder of runs.
        chosen: the name of the run to show first; None for the newest.
    """

    root: Path
    chosen: str | None = None

    @classmethod
    def of(cls, path: Path) -> ServedFolder:
        """What is served for a path that the user gave: a run, or a folder of runs that need not exist yet.

        Raises:
            ConfigError: if it is something else.
        """
        path = path.absolute()
        if (path / CONFIG_FILE).is_file():
            return cls(path.parent, path.name)
        if path.exists() and not path.is_dir():
            raise ConfigError(f"serve: {path} is no folder; give a run or a folder of runs.")
        served = cls(path)
        if path.exists() and any(path.iterdir()) and not served.runs and not served.own.is_dir():
            raise ConfigError(
                f"serve: {path} holds no runs; give a run, a folder of runs, or the name of a new folder."
            )
        return served

    @cached_property
    def own(self) -> Path:
        """The page's own folder."""
        return self.root / OWN

    @property
    def uploads(self) -> Path:
        """Collections of uploaded images: a folder each, with a subfolder for each group."""
        return self.own / "uploads"

    @property
    def cache(self) -> Path:
        """Decoded images that chiasm's usual cache does not have."""
        return self.own / "cache"

    @property
    def temporary(self) -> Path:
        """Emptied whenever the page starts and ends."""
        return self.own / "temporary"

    def empty_temporary(self) -> None:
        """Remove what browsers have uploaded to be mixed."""
        shutil.rmtree(self.temporary, ignore_errors=True)

    def forget(self, uploads: Iterable[str]) -> None:
        """Remove some uploads from `temporary`, which are kept elsewhere and may be deleted there."""
        for path in map(Path, uploads):
            if path.is_relative_to(self.temporary):
                path.unlink(missing_ok=True)

    @property
    def runs(self) -> list[str]:
        """The names of all runs, those of sweeps too, the newest first."""
        files = [*self.root.glob(f"*/{CONFIG_FILE}"), *self.root.glob(f"*/*/{CONFIG_FILE}")]
        newest = sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
        return [file.parent.relative_to(self.root).as_posix() for file in newest]

    @property
    def models(self) -> list[str]:
        """The names of the runs that have a model, the chosen one first."""
        names = [name for name in self.runs if (self.root / name / "model" / MODEL_FILE).is_file()]
        return sorted(names, key=lambda name: name != self.chosen)

    @property
    def unfinished(self) -> list[str]:
        """The names of the runs that can go on."""
        return [name for name in self.runs if any((self.root / name / "checkpoint").glob("*/"))]

    @property
    def collections(self) -> list[str]:
        """The names of the collections of uploaded images."""
        return sorted(path.name for path in self.uploads.glob("*/"))

    def open(self, name: str) -> tuple[RunFolder, Config]:
        """A run by its name.

        Raises:
            RunError: if it is none.
            ConfigError: if it is not in the folder.
        """
        if name not in self.runs:
            raise ConfigError(f"{name} is no run in {self.root}; reload the page.")
        return RunFolder.open(self.root / name)

    def cache_of(self, data: DataConfig, side_px: int) -> Path:
        """Where decoded images are looked for: chiasm's usual cache if it has them, else the page's own."""
        usual = default_cache_dir()
        return usual if (usual / cache_key(find_source(data), side_px, data.fit)).is_dir() else self.cache

    def images_of(self, config: Config) -> ImageSet:
        """The images of a run.

        Raises:
            DataError: if they are not here.
        """
        side_px = config.model.side_px
        cache_dir = self.cache_of(config.data, side_px)
        return open_data(config.data, side_px, cache_dir=cache_dir, progress_bar=False)
