"""A model's networks as ONNX files, in float32 and with int8 weights."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from chiasm.export.error import ExportError
from chiasm.networks import CrossModel

GRAPHS = ("encoder_a", "encoder_b", "generator", "mix")
QUANTISED = ("generator", "mix")
"""Those with dense layers."""

Images = Float[Tensor, "n 3 side side"]


class _Encoder(nn.Module):
    """One of the codes as it is handed out."""

    def __init__(self, model: CrossModel, code: Literal["a", "b"]) -> None:
        super().__init__()
        self.model = model
        self.encoder = model.encoder_a if code == "a" else model.encoder_b
        self.hand_out: Callable[[Tensor], Tensor] = model.hand_out_a if code == "a" else model.hand_out_b

    def forward(self, x: Images) -> Float[Tensor, "n code"]:
        return self.hand_out(self.encoder(x))


def require_packages() -> None:
    """Refuse to go on without the extra.

    Raises:
        ExportError: if a package is missing.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ExportError(f"export: not installed here: {', '.join(missing)}; pip install 'chiasm[export]'")


def write_graphs(model: CrossModel, folder: Path) -> dict[str, Path]:
    """Write encoder_a.onnx, encoder_b.onnx, generator.onnx and mix.onnx, each for any number of images.

    Args:
        model: in evaluation mode, on the CPU.
        folder: where to write them.

    Returns:
        The file of each of GRAPHS.
    """
    config = model.config
    # Of two images: to one torch.export would bind the graph.
    x = torch.zeros(2, 3, config.side_px, config.side_px)
    a, b = torch.zeros(2, config.width_a), torch.zeros(2, config.code_b)
    modules: dict[str, tuple[nn.Module, dict[str, Tensor], str]] = {
        "encoder_a": (_Encoder(model, "a").eval(), {"x": x}, "a"),
        "encoder_b": (_Encoder(model, "b").eval(), {"x": x}, "b"),
        "generator": (model.generator, {"a": a, "b": b}, "image"),
    }
    files = {name: folder / f"{name}.onnx" for name in GRAPHS}
    with _quietly():
        for name, (module, inputs, output) in modules.items():
            torch.onnx.export(
                module,
                tuple(inputs.values()),
                files[name],
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=tuple({0: torch.export.Dim("n")} for _ in inputs),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    _write_mix(files)
    return files


def _write_mix(files: dict[str, Path]) -> None:
    """Join the graphs of the encoders, of x1 and x2, to that of the generator."""
    import onnx
    import onnx.compose

    mix = onnx.load(files["generator"])
    graph = mix.graph
    for code, image in (("b", "x2"), ("a", "x1")):  # who is joined last has its image first
        encoder = onnx.compose.add_prefix_graph(onnx.load(files[f"encoder_{code}"]).graph, f"{code}/")
        (given,) = encoder.input
        for node in encoder.node:
            node.input[:] = [image if name == given.name else name for name in node.input]
        given.name = image
        graph = onnx.compose.merge_graphs(encoder, graph, [(f"{code}/{code}", code)])
    mix.graph.CopyFrom(graph)
    onnx.save(mix, files["mix"])


def write_int8(files: dict[str, Path]) -> dict[str, Path]:
    """Write the graphs with dense layers again, the weights of these in int8; convolutions stay in float32.

    Source: docs/export.md, where quantised convolutions are measured too.

    Args:
        files: what write_graphs returned.

    Returns:
        The files to use, those without dense layers as they were.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    written = {name: files[name].with_suffix(".int8.onnx") for name in QUANTISED}
    with _quietly():
        for name, path in written.items():
            quantize_dynamic(files[name], path, op_types_to_quantize=["Gemm", "MatMul"], weight_type=QuantType.QInt8)
    return files | written


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporters tell about packages and deprecations that are none of the user's."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
