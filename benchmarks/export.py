"""Mixing in onnxruntime beside PyTorch, in one process and turn by turn, in one image and in batches."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from onnxruntime import InferenceSession, SessionOptions

from chiasm.export.graphs import write_graphs, write_int8
from chiasm.networks import CrossModel
from chiasm.presets import PRESETS

BATCHES = (1, 64)
ROUNDS = 21


def seconds(forms: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each form, measured in turns."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS + 2):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[2:]) for name, values in times.items()}


def session(path: Path) -> InferenceSession:
    """A graph with as many threads as PyTorch has."""
    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return InferenceSession(path, options)


def measure(preset: str, folder: Path) -> None:
    """Print a row for each batch size."""
    config = PRESETS[preset]()
    model = CrossModel.of(config).eval()
    files = write_graphs(model, folder)
    graphs = {"float32": session(files["mix"]), "int8": session(write_int8(files)["mix"])}
    for num in BATCHES:
        x = torch.rand(num, 3, config.model.side_px, config.model.side_px) * 2 - 1
        fast = x.contiguous(memory_format=torch.channels_last)
        inputs = {"x1": x.numpy(), "x2": x.numpy()}

        def mix(x: torch.Tensor = fast) -> torch.Tensor:
            return model.generator(model.hand_out_a(model.encoder_a(x)), model.hand_out_b(model.encoder_b(x)))

        forms: dict[str, Callable[[], object]] = {"torch": mix}
        forms |= {name: lambda g=graph, i=inputs: g.run(None, i) for name, graph in graphs.items()}
        with torch.inference_mode():
            s = seconds(forms)
        ratios = (s["torch"] / s[name] for name in graphs)
        print(f"| {preset} | {num} | {1e3 * s['torch'] / num:.1f} |", *(f"{r:.2f} |" for r in ratios), flush=True)


def main() -> None:
    """Print the table."""
    print("| preset | batch | PyTorch, ms an image | onnxruntime, times faster | int8, times faster |")
    print("|---|---|---|---|---|")
    for preset in ("compact", "photo"):
        with tempfile.TemporaryDirectory() as folder:
            measure(preset, Path(folder))


if __name__ == "__main__":
    main()
