"""Whether exported graphs do what the model does: the largest difference, and the swap error."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from chiasm.export.error import ExportError
from chiasm.inference import encode, generate, read_codes, to_unit
from chiasm.networks import CrossModel

TOLERANCE = 1e-4
"""Largest difference to torch, on codes and on images in [-1, 1]."""
BATCHES = (1, 5, 10)
"""Sizes of the batches that are compared."""
NUM_IMAGES = sum(BATCHES)
NUM_NUDGES = 4
"""Random directions in which codes B are moved by TOLERANCE, beside all numbers up and all down."""


class Session(nn.Module):
    """An ONNX file at work, in the place of one of the model's networks."""

    def __init__(self, path: Path) -> None:
        from onnxruntime import InferenceSession

        super().__init__()
        self.session = InferenceSession(path, providers=["CPUExecutionProvider"])
        self.names = [value.name for value in self.session.get_inputs()]
        self.place = nn.Parameter(torch.empty(0))  # inference asks the parameters where they are

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs in the graph's order -> its output."""
        values = {name: x.contiguous().numpy() for name, x in zip(self.names, inputs, strict=True)}
        return torch.from_numpy(self.session.run(None, values)[0])


def in_onnxruntime(model: CrossModel, files: dict[str, Path]) -> CrossModel:
    """The model with the exported graphs as its networks, so that all that measures a model measures them."""
    twin = copy.copy(model)
    twin._buffers = dict.fromkeys(model._buffers)  # the graphs hand their codes out themselves
    twin._modules = {name: Session(files[name]) for name in ("encoder_a", "encoder_b", "generator")}
    return twin


def measure_parity(model: CrossModel, files: dict[str, Path], images: NDArray[np.uint8]) -> dict[str, float]:
    """The largest absolute difference between torch and onnxruntime.

    Images whose code B lies within the tolerance of another that is handed out otherwise are left out where code B is
    read: rounding, and the choice of neighbours, may go either way there.

    Args:
        model: in evaluation mode, on the CPU.
        files: the graphs.
        images: [NUM_IMAGES, 3, side, side] uint8.

    Returns:
        For each graph the difference; without those of which all images are left out.
    """
    (a, b), x, sessions = encode(model, images), to_unit(torch.from_numpy(images)), in_onnxruntime(model, files)
    clear = _clear_of_borders(model, read_codes(model, images)[1])
    mixed = generate(model, a, b.roll(1, 0))
    runs: dict[str, tuple[nn.Module, tuple[Tensor, ...], Tensor, Tensor]] = {
        "encoder_a": (sessions.encoder_a, (x,), a, torch.ones_like(clear)),
        "encoder_b": (sessions.encoder_b, (x,), b, clear),
        "generator": (sessions.generator, (a, b.roll(1, 0)), mixed, torch.ones_like(clear)),
        "mix": (Session(files["mix"]), (x, x.roll(1, 0)), mixed, clear.roll(1, 0)),
    }
    differences = {}
    for name, (session, inputs, wanted, rows) in runs.items():
        parts = zip(*(value.split(BATCHES) for value in inputs), strict=True)
        difference = (torch.cat([session(*part) for part in parts]) - wanted).abs()
        if rows.any():
            differences[name] = float(difference[rows].max())
    return differences


def require_parity(parity: dict[str, dict[str, float]]) -> None:
    """Refuse graphs that do something else.

    Raises:
        ExportError: if a difference is above TOLERANCE.
    """
    for kind, differences in parity.items():
        for name, difference in differences.items():
            if not difference <= TOLERANCE:  # NaN, too
                raise ExportError(
                    f"{name}.onnx differs from torch by {difference:.1e} on {kind} images, at most {TOLERANCE:.0e} is "
                    "allowed; nothing was written. Try the versions of constraints-cpu.txt."
                )


def _clear_of_borders(model: CrossModel, b: Tensor) -> Tensor:
    """[n] whether codes that differ by TOLERANCE from these are handed out as these are."""
    signs = torch.randn(NUM_NUDGES, b.shape[1], generator=torch.Generator().manual_seed(0)).sign()
    nudges = torch.cat([torch.ones(1, b.shape[1]), signs]) * TOLERANCE
    handed_out = model.hand_out_b(b)
    moved = torch.stack([model.hand_out_b(b + nudge) - handed_out for nudge in torch.cat([nudges, -nudges])])
    return moved.abs().amax(dim=(0, 2)) <= 2 * TOLERANCE
