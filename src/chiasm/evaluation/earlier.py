"""Results that are there already when others come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from chiasm.evaluation.context import CLASSES, SAMPLES
from chiasm.evaluation.evaluate import NOT_MEASURED
from chiasm.evaluation.metrics import METRICS
from chiasm.files import read_json

ALIKE = ("part", "seed", "num", "noise_b", "num_images", "weights", "data", "labels")
"""What must be the same for results to belong together, of what is told about them."""


def with_earlier(results: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Results, and those of other metrics that a file holds, where they were measured alike.

    Args:
        results: what evaluate returned, with the data and the weights noted under `about`.
        file: where they shall be written. What was measured otherwise, or cannot be read, is renamed and thus kept.

    Returns:
        All that belongs into the file.
    """
    new = json.loads(json.dumps(results))
    if not file.exists():
        return new
    try:
        earlier = read_json(file)
        if all(earlier["about"][key] == new["about"][key] for key in ALIKE):
            return _joined(earlier, new)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # damaged, or of another version
        pass
    kept = next(p for i in count(1) if not (p := file.with_name(f"{file.stem}-{i}{file.suffix}")).exists())
    file.rename(kept)
    return new | {"about": new["about"] | {"earlier": kept.name}}


def _joined(earlier: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Both, and of metrics that both hold the new."""
    both = {part: earlier[part] | new[part] for part in (SAMPLES, CLASSES) if part in new}
    parts = {part: {name: values[name] for name in METRICS if name in values} for part, values in both.items()}
    anew = tuple(f"{part}.{name}." for part in parts for name in new[part])
    reasons = {path: why for path, why in earlier[NOT_MEASURED].items() if not path.startswith(anew)}
    missing = {path: why for path, why in (reasons | new[NOT_MEASURED]).items() if not _is_there(path, parts)}
    seconds = round(earlier["about"]["seconds"] + new["about"]["seconds"], 1)
    return {"about": earlier["about"] | new["about"] | {"seconds": seconds}, **parts, NOT_MEASURED: missing}


def _is_there(path: str, parts: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a reason why a whole metric is missing has been overtaken."""
    part, _, name = path.partition(".")
    return name in parts.get(part, ())
