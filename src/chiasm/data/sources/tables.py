"""Images in Parquet files, a row an image, read a row group at a time."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from chiasm.config import Fit
from chiasm.data.decode import Decoded, Refused, decode_or_refuse
from chiasm.data.files import FileState, find_files, fingerprint_files
from chiasm.data.image_set import DataError
from chiasm.data.sources.folder import METADATA, labelled_listing
from chiasm.data.sources.source import Listing, natural_key

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = frozenset([".parquet"])
CLASS_COLUMNS = ("class", "label", "identity")
GROUPS_KEPT = 4


class Tables:
    """Every .parquet file (shard) of a folder and below, all with the same columns.

    The images are the first column of bytes, or of a struct that has `bytes`, as Hugging Face writes it; the class is
    the column named class, label or identity, of text or whole numbers. metadata.csv beside the shards adds labels as
    for Folder, under names such as 00000.parquet/0000012, which count the rows of a shard.

    Args:
        root: the folder.
    """

    chunk_size = 64

    def __init__(self, root: Path) -> None:
        self.root = root
        self._kept: dict[tuple[int, int], pa.ChunkedArray] = {}
        self._lock = Lock()

    @cached_property
    def _files(self) -> list[FileState]:
        return sorted(find_files(self.root, ENDINGS).images, key=lambda state: natural_key(state[0]))

    def fingerprint(self) -> str:
        """Path, size and time of every shard and of metadata.csv."""
        return "tables " + fingerprint_files(self.root, self._files, [self.root / METADATA])

    @cached_property
    def _columns(self) -> tuple[str, str | None]:
        """The names of the column of images and of that of the class, by the first shard that can be read."""
        for schema, *_ in self._groups[0]:
            image = next((field.name for field in schema if _is_image(field.type)), None)
            if image is None:
                names = ", ".join(schema.names)
                raise DataError(
                    f"{self.root}: its tables have the columns {names}; one of images, as bytes, is needed."
                )
            return image, next((name for name in CLASS_COLUMNS if name in schema.names), None)
        told = "".join(f"; {name}: {reason}" for name, reason in self._groups[1][:3])
        raise DataError(f"{self.root}: no row in its {len(self._files)} .parquet files{told}; give other shards.")

    @cached_property
    def _groups(self) -> tuple[list[tuple[pa.Schema, int, int, int]], list[tuple[str, str]]]:
        """For each row group its schema, shard, number there and rows; and the shards that cannot be used, and why."""
        if importlib.util.find_spec("pyarrow") is None:
            raise DataError("data.source: reading .parquet files needs pyarrow; run pip install 'chiasm[scale]'.")
        import pyarrow as pa
        import pyarrow.parquet as pq

        groups, skipped, expected = [], [], None
        for number, (shard, _, _) in enumerate(self._files):
            try:
                with pq.ParquetFile(self.root / shard) as file:
                    schema, about = file.schema_arrow.remove_metadata(), file.metadata
                    sizes = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
                    schema.names  # noqa: B018  (which may be no text)
            except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
                skipped.append((shard, f"cannot be read as a .parquet file ({error})"))
                continue
            expected = schema if expected is None else expected
            if schema != expected:
                skipped.append((shard, "has other columns than the first shard"))
                continue
            groups += [(schema, number, i, size) for i, size in enumerate(sizes) if size]
        return groups, skipped

    @cached_property
    def _ends(self) -> np.ndarray:
        """How many images there are up to the end of each row group."""
        return np.cumsum([size for *_, size in self._groups[0]])

    def listing(self) -> Listing:
        """All images, in the order in which the shards hold them."""
        _, class_column = self._columns
        names: list[str] = []
        labels: list[str] = []
        so_far: dict[int, int] = {}
        for _, number, group, size in self._groups[0]:
            start = so_far.get(number, 0)
            so_far[number] = start + size
            names += [f"{self._files[number][0]}/{i:07d}" for i in range(start, start + size)]
            if class_column:
                labels += self._labels(number, group, class_column)
        skipped = tuple(self._groups[1])
        return labelled_listing(names, [""] * len(names), self.root, skipped, labels if class_column else None)

    def _labels(self, number: int, group: int, column: str) -> list[str]:
        try:
            values = self._read(number, group, column).to_pylist()
        except UnicodeDecodeError as error:
            path = self.root / self._files[number][0]
            raise DataError(
                f"{path}: column {column!r} holds what is no text ({error}); take the file away."
            ) from error
        return [_label(value, self.root) for value in values]

    def decode(self, indices: Sequence[int], side_px: int, fit: Fit) -> list[Decoded | Refused]:
        """Reads the row groups in which the images are, the last few of which stay in memory."""
        return [decode_or_refuse(partial(self._open, i), side_px, fit) for i in indices]

    def _open(self, index: int) -> Image.Image:
        at = int(np.searchsorted(self._ends, index, side="right"))
        _, number, group, size = self._groups[0][at]
        with self._lock:
            if (number, group) not in self._kept:
                while len(self._kept) >= GROUPS_KEPT:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[number, group] = self._read(number, group, self._columns[0])
            values = self._kept[number, group]
        value = values[index - int(self._ends[at]) + size].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not content:
            raise ValueError("there is no image in this row")
        return Image.open(io.BytesIO(content))

    def _read(self, number: int, group: int, column: str) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.root / self._files[number][0]
        try:
            with pq.ParquetFile(path) as file:
                return file.read_row_group(group, columns=[column])[column]
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path}: row group {group} cannot be read ({error}); take the file away.") from error


def _is_image(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return types.is_binary(kind) or types.is_large_binary(kind)


def _label(value: Any, root: Path) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise DataError(f"{root}: its classes hold {value!r}; give text or whole numbers.")
    return str(value)
