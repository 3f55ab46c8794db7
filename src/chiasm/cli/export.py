"""chiasm export: a model for others, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from chiasm.cli._parser import Parser

HELP = "a model as ONNX files or as a page"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm export MODEL [--format {onnx,web}] [--int8] -o FOLDER",
        description="Write a model as ONNX files, or as a page that mixes images without a server.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument("--format", choices=["onnx", "web"], default="onnx", help="files for onnxruntime, or a page")
    parser.add_argument("--int8", action="store_true", help="weights of dense layers in int8, with the error beside")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="the folder to make")
    return parser


def run(options: Namespace) -> None:
    """Write the folder, print how far it is from the model."""
    from chiasm.export import export_onnx, export_web

    export = {"onnx": export_onnx, "web": export_web}[options.format]
    about = export(options.model, options.output, int8=options.int8)
    print("\n".join(_rows(about)))
    print(options.output / "index.html" if options.format == "web" else options.output)


def _rows(about: dict[str, Any]) -> Iterator[str]:
    """Parity and errors, a line each."""
    for kind, differences in about["parity"].items():
        told = differences
        if not isinstance(differences, str):
            told = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
        yield f"largest difference to torch, {kind} images: {told}"
    if isinstance(about["errors"], str):
        yield f"swap error: {about['errors']}"
        return
    if "swap" not in about["errors"]["torch"]:
        yield "swap error: not measured: no held-out image is known to be a true recombination"
    for name, errors in about["errors"].items():
        yield f"L1 on held-out images, {name}: " + ", ".join(f"{key} {value:.4f}" for key, value in errors.items())
