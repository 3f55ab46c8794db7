"""Encoding and mixing: images a second in PyTorch, compiled, and (where installed) onnxruntime, turn by turn."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from chiasm.networks import CrossModel
from chiasm.presets import PRESETS

BATCH = 64
ROUNDS = 9


def rates(forms: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median images a second of each form, measured in turns."""
    for form in forms.values():
        form()
        form()
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            times[name].append(time.perf_counter() - start)
    return {name: BATCH / statistics.median(values) for name, values in times.items()}


def onnx_encoder(model: CrossModel, x: torch.Tensor) -> Callable[[], object] | None:
    """Encoder A in onnxruntime, or None where that is not installed."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (what torch.onnx exports with)
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "encoder.onnx")
        torch.onnx.export(model.encoder_a, (x.contiguous(),), path, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(path)
    name, values = session.get_inputs()[0].name, x.contiguous().numpy()
    return lambda: session.run(None, {name: values})


def forms(preset: str) -> dict[str, Callable[[], object]]:
    """What to time for a preset: encoding a batch in three ways, drawing it in one."""
    config = PRESETS[preset]().model
    model = CrossModel(config).eval()
    x = torch.rand(BATCH, 3, config.side_px, config.side_px).contiguous(memory_format=torch.channels_last)
    onnx = onnx_encoder(model, x)
    compiled = torch.compile(model.encoder_a)
    a, b = torch.randn(BATCH, config.code_a), torch.randn(BATCH, config.code_b)
    encoders = {
        "encode A, torch": lambda: model.encoder_a(x),
        "encode A, compiled": lambda: compiled(x),
        "draw mixes, torch": lambda: model.generator(a, b),
    }
    return encoders if onnx is None else {"encode A, onnxruntime": onnx, **encoders}


def main() -> None:
    """Print a row for each preset and form."""
    print("| preset | what | images/s |\n|---|---|---|")
    for preset in ("compact", "photo"):
        timed = forms(preset)
        with torch.no_grad():
            for name, rate in rates(timed).items():
                print(f"| {preset} | {name} | {rate:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
