"""Data sets in the format of Hugging Face, from the hub or from a disk."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chiasm.config import Fit
from chiasm.data.decode import Decoded, Refused, decode_or_refuse
from chiasm.data.image_set import UNLABELLED, DataError
from chiasm.data.sources.source import Listing

PARTS = {"train": "train", "validation": "val", "val": "val", "valid": "val", "test": "test"}
CLASS_COLUMNS = ("label", "class", "identity")


class HuggingFace:
    """`datasets.load_dataset(NAME)`, or a local folder of load_from_disk or of images.

    The first image column holds the images. The class is the ClassLabel column named label, class or
    identity, else the first ClassLabel; the other ClassLabels are content factors. The splits train,
    validation and test are the official split where there is more than train.
    """

    chunk_size = 64

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()

    def fingerprint(self) -> str:
        """The fingerprints that the library computes."""
        return f"hf {self.name} " + " ".join(f"{part}={d._fingerprint}" for part, d in self._parts.items())

    @cached_property
    def _parts(self) -> dict[str, Any]:
        datasets = _import_datasets()
        folder = Path(self.name).expanduser()
        saved = any((folder / mark).exists() for mark in ("dataset_dict.json", "dataset_info.json"))
        try:
            loaded = datasets.load_from_disk(str(folder)) if saved else datasets.load_dataset(self.name)
        # The library raises errors of many kinds, its own and those of the network.
        except Exception as error:
            raise DataError(
                f"data.source: 'hf:{self.name}' cannot be loaded ({type(error).__name__}: {error}); give the "
                f"name of a data set of the hub, or a folder on disk."
            ) from error
        splits: Mapping[str, Any] = loaded if isinstance(loaded, Mapping) else {"train": loaded}
        known = {part: data for part, data in splits.items() if part in PARTS and len(data) > 0}
        if "train" not in known:
            raise DataError(f"data.source: 'hf:{self.name}' has splits {list(splits)}; 'train' is needed.")
        return {"train": known["train"], **known}

    @cached_property
    def _rows(self) -> Any:
        """All parts in one table, images still encoded."""
        datasets = _import_datasets()
        features = self._parts["train"].features
        column = _image_column(self.name, features)
        labels = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
        try:
            kept = [part.select_columns([column, *labels]) for part in self._parts.values()]
            table = datasets.concatenate_datasets(kept)
        except ValueError as error:
            raise DataError(f"data.source: the splits of 'hf:{self.name}' have different columns ({error}).") from error
        return table.cast_column(column, datasets.Image(decode=False))

    def listing(self) -> Listing:
        """All images, named by split and number."""
        datasets = _import_datasets()
        features = self._rows.features
        labels = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
        class_column = next((name for name in CLASS_COLUMNS if name in labels), labels[0] if labels else None)
        content_names = tuple(name for name in labels if name != class_column)
        num = len(self._rows)
        columns = {name: self._numbers(name) for name in labels}
        contents = [columns[name] for name in content_names]
        classes = columns[class_column] if class_column else np.full(num, UNLABELLED, dtype=np.int64)
        factors = np.column_stack([classes, *contents])
        partition = [PARTS[part] for part, data in self._parts.items() for _ in range(len(data))]
        return Listing(
            names=tuple(f"{part}/{i:07d}" for part, data in self._parts.items() for i in range(len(data))),
            classes=classes,
            class_names=tuple(features[class_column].names) if class_column else (),
            contents=factors[:, 1:],
            content_names=content_names,
            content_values=tuple(tuple(features[name].names) for name in content_names),
            # Two images with the same labels show that the labels do not say all.
            contents_complete=len(np.unique(factors, axis=0)) == num,
            partition=tuple(partition) if len(self._parts) > 1 else None,
        )

    def decode(self, indices: Sequence[int], side_px: int, fit: Fit) -> list[Decoded | Refused]:
        """Reads the encoded images under a lock, and decodes them outside of it."""
        column = _image_column(self.name, self._rows.features)
        with self._lock:
            encoded = self._rows.select_columns([column])[list(indices)][column]
        return [decode_or_refuse(partial(_open, image), side_px, fit) for image in encoded]

    def _numbers(self, column: str) -> np.ndarray:
        values = self._rows.select_columns([column]).with_format("numpy")[:][column]
        numbers = np.where(np.isnan(values.astype(np.float64)), UNLABELLED, values).astype(np.int64)
        return np.maximum(numbers, UNLABELLED)


def _image_column(name: str, features: Mapping[str, Any]) -> str:
    image = _import_datasets().Image
    found = next((column for column, feature in features.items() if isinstance(feature, image)), None)
    if found is None:
        raise DataError(f"data.source: 'hf:{name}' has columns {dict(features)}; one of images is needed.")
    return found


def _open(encoded: dict[str, Any] | None) -> Image.Image:
    if encoded is None:
        raise ValueError("there is no image in this row")
    return Image.open(io.BytesIO(encoded["bytes"]) if encoded.get("bytes") else encoded["path"])


def _import_datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "data.source: reading 'hf:' needs the package datasets; run pip install 'chiasm[data]'."
        ) from error
    return datasets
