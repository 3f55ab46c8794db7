"""A folder of ONNX files that need no torch."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.checkpoint import load_model
from chiasm.evaluation.swap import swap_errors
from chiasm.export.about import HeldOut, describe, held_out
from chiasm.export.error import ExportError
from chiasm.export.graphs import require_packages, write_graphs, write_int8
from chiasm.export.parity import NUM_IMAGES, in_onnxruntime, measure_parity, require_parity
from chiasm.files import folder_written_whole, is_free, write_atomically
from chiasm.networks import CrossModel

CONFIG_FILE = "config.json"
EXAMPLE = {"crop": "example.py", "close": "example.py", "pad": "example_pad.py"}
"""By fit, for they read photographs differently; each comes as example.py."""

Errors = dict[str, dict[str, float]] | str


@dataclass(frozen=True)
class Graphs:
    """What was written and measured.

    Attributes:
        files: of each graph, in int8 where that was asked for.
        about: see describe; with `parity`, the largest difference to torch on `random` and on `real` images, and
            `errors`, L1 on held-out images in torch, float32 and int8. Instead of what could not be measured stands
            the reason.
    """

    files: dict[str, Path]
    about: dict[str, Any]


def export_onnx(path: Path, folder: Path, *, int8: bool = False, progress_bar: bool = True) -> dict[str, Any]:
    """Write a model as ONNX files, with their settings and an example that needs no torch.

    Args:
        path: a run or a model folder.
        folder: to be made.
        int8: whether to write graphs with int8 weights too.
        progress_bar: whether to show bars.

    Returns:
        What config.json holds, see Graphs.

    Raises:
        ValueError: for a model or a folder that cannot be used, or graphs that are not the same as the model.
    """
    with new_folder(folder) as place:
        about = make_graphs(path, place, int8=int8, progress_bar=progress_bar).about
        write_atomically(place / CONFIG_FILE, json.dumps(about, indent=2) + "\n")
        shutil.copy(Path(__file__).with_name(EXAMPLE[about["fit"]]), place / "example.py")
    return about


def new_folder(folder: Path) -> AbstractContextManager[Path]:
    """A folder to be written whole, where nothing is yet.

    Raises:
        ExportError: if something is there.
    """
    if not is_free(folder):
        raise ExportError(f"--output: {folder} exists; give a new folder.")
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    return folder_written_whole(folder, new=True)


def make_graphs(path: Path, place: Path, *, int8: bool, progress_bar: bool) -> Graphs:
    """Write the graphs, compare them with torch and measure their errors."""
    require_packages()
    model = load_model(path)
    about, held = describe(path, model), held_out(path, model, progress_bar)
    files = {"float32": write_graphs(model, place)}
    about["parity"] = _parity(model, files["float32"], held)
    if int8:
        files["int8"] = write_int8(files["float32"])
    about["errors"] = _errors(model, files, held)
    return Graphs(files["int8" if int8 else "float32"], about)


def _parity(model: CrossModel, files: dict[str, Path], held: HeldOut | str) -> dict[str, dict[str, float] | str]:
    """On noise, and on held-out images where these are known."""
    shape = (NUM_IMAGES, 3, model.config.side_px, model.config.side_px)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    measured = {"random": measure_parity(model, files, noise)}
    if not isinstance(held, str):
        measured["real"] = measure_parity(model, files, held.some(NUM_IMAGES))
    require_parity(measured)
    return {**measured, **({"real": f"not compared: {held}"} if isinstance(held, str) else {})}


def _errors(model: CrossModel, files: dict[str, dict[str, Path]], held: HeldOut | str) -> Errors:
    """L1 of mixes and reconstructions on held-out images, in torch and in onnxruntime."""
    if isinstance(held, str):
        return f"not measured: {held}"
    models = {"torch": model} | {precision: in_onnxruntime(model, graphs) for precision, graphs in files.items()}
    return {name: swap_errors(each, *held) for name, each in models.items()}
