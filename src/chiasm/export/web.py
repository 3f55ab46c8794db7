"""A folder that is a page: the model, what runs it in a browser, and nothing that needs a server.

A page that was opened from a disk may load scripts and nothing else, so that everything is a script: the runtime's own,
and for the model and the runtime's binaries scripts that hold them, packed and as text.
"""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from chiasm.export.npm import RUNTIME, fetch
from chiasm.export.onnx import make_graphs, new_folder
from chiasm.files import write_atomically

PAGE = Path(__file__).with_name("page")
TEMPLATE = "index.html.j2"
PARTS = ("encoder_a", "encoder_b", "generator")
RUNTIME_SCRIPT = "ort.wasm.min.js"
BINARIES = {"mjs": "dist/ort-wasm-simd-threaded.mjs", "wasm": "dist/ort-wasm-simd-threaded.wasm"}


def export_web(path: Path, folder: Path, *, int8: bool = False, progress_bar: bool = True) -> dict[str, Any]:
    """Write a model as a page that mixes images, from a disk or any server of files.

    Args:
        path: a run or a model folder.
        folder: to be made.
        int8: whether the page uses int8 weights, a smaller page.
        progress_bar: whether to show bars.

    Returns:
        What make_graphs measured.

    Raises:
        ValueError: for a model or a folder that cannot be used, or where onnxruntime-web cannot be fetched.
    """
    with new_folder(folder) as place, tempfile.TemporaryDirectory() as graphs:
        runtime = fetch(RUNTIME)
        made = make_graphs(path, Path(graphs), int8=int8, progress_bar=progress_bar)
        about = made.about | {"precision": "int8" if int8 else "float32"}
        binaries = {name: runtime[file] for name, file in BINARIES.items()}
        networks = {name: made.files[name].read_bytes() for name in PARTS}
        settings = {key: about[key] for key in ("name", "side_px", "fit")}
        _write_script(place / "runtime.js", "RUNTIME", {"packed": _packed(binaries)})
        _write_script(place / "model.js", "MODEL", settings | {"packed": _packed(networks)})
        (place / RUNTIME_SCRIPT).write_bytes(runtime[f"dist/{RUNTIME_SCRIPT}"])
        for file in PAGE.iterdir():
            if file.name != TEMPLATE:
                shutil.copy(file, place)
        write_atomically(place / "index.html", _page(about))
    return about


def _packed(files: dict[str, bytes]) -> dict[str, str]:
    """Files as gzip in base64, the same for the same files."""
    return {name: base64.b64encode(gzip.compress(content, mtime=0)).decode() for name, content in files.items()}


def _write_script(path: Path, name: str, value: dict[str, Any]) -> None:
    write_atomically(path, f"const {name} = {json.dumps(value)};\n")


def _page(about: dict[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(TEMPLATE).render(about, version=version("chiasm"), runtime=RUNTIME)
