"""Muon: matrices take orthogonal steps, everything else Adam's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

MOMENTUM = 0.95
# The root mean square of a step's entries as a multiple of the step size; Adam's is near 1 at first, later below.
STEP_RMS = 0.8
# A step for smaller matrices is hardly more than Adam's; for larger ones it costs as much as the rest of the step.
MIN_SIDE, MAX_WEIGHTS = 16, 2**20
# Odd polynomial of degree five whose repetition takes singular values in (0, 1] to about 1 (0.7 to 1.2).
LINEAR, CUBIC, QUINTIC = 3.4445, -4.7750, 2.0315
NUM_ITERATIONS = 5


class Muon(torch.optim.Adam):
    """Adam, but parameters of groups with `orthogonal` take the orthogonal factor of their momentum.

    A convolution's kernel counts as a matrix with one row for each output channel. All directions in which a matrix
    can change are stepped along equally far, those that few images ask for, too.

    Args:
        groups: parameter groups; each says under `orthogonal` which of the two it takes.
        lr: step size of both.
        betas: Adam's.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """

    def __init__(self, groups: Sequence[dict[str, Any]], lr: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, lr=lr, betas=betas, fused=True)

    # Torch's stubs give its optimisers overloads that no subclass can repeat.
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; gradients of matrices are used up by it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["orthogonal"]:
                given = [p for p in group["params"] if p.grad is not None]
                self._step_matrices(given, group["lr"], group["weight_decay"])
        super().step()
        return loss

    def _step_matrices(self, parameters: list[Tensor], lr: float, weight_decay: float) -> None:
        updates = [self._momentum(p).reshape(len(p), -1) for p in parameters]
        order = sorted(range(len(updates)), key=lambda i: updates[i].shape)
        for shape, alike in groupby(order, key=lambda i: updates[i].shape):
            index = list(alike)
            steps = orthogonalize(torch.stack([updates[i] for i in index]))
            for i, step in zip(index, steps, strict=True):
                parameters[i].mul_(1 - lr * weight_decay)
                parameters[i].add_(step.view_as(parameters[i]), alpha=-lr * STEP_RMS * math.sqrt(max(shape)))
                parameters[i].grad = None  # so that Adam leaves it alone

    def _momentum(self, parameter: Tensor) -> Tensor:
        """Nesterov's momentum: the mean gradient as it will be, seen from the next step."""
        state, grad = self.state[parameter], parameter.grad
        assert grad is not None
        if not state:
            state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(parameter)}  # Adam's restoring wants a step
        state["step"] += 1
        state["momentum"].lerp_(grad, 1 - MOMENTUM)
        return grad.lerp(state["momentum"], MOMENTUM)


def orthogonalize(matrices: Float[Tensor, "k rows columns"]) -> Float[Tensor, "k rows columns"]:
    """Matrices U S V' -> about U V': the same directions, all singular values between 0.7 and 1.2.

    Newton-Schulz iterations on the small Gram matrix instead of the matrix itself, which is multiplied twice in all.
    Singular values below a thousandth of the norm stay below 1.

    Source: as Muon; Björck & Bowie 1971.
    """
    rows, columns = matrices.shape[1:]
    if rows > columns:
        return orthogonalize(matrices.mT).mT
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    gram = x @ x.mT
    product = factor = _factor(gram)
    for _ in range(NUM_ITERATIONS - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        product = factor @ product
    return product @ x


def _factor(gram: Float[Tensor, "k rows rows"]) -> Float[Tensor, "k rows rows"]:
    """The polynomial of a Gram matrix that multiplies the matrix in one iteration."""
    identity = torch.eye(gram.shape[-1], device=gram.device, dtype=gram.dtype)
    return torch.baddbmm(LINEAR * identity + CUBIC * gram, gram, gram, alpha=QUINTIC)


def split_matrices(
    groups: Sequence[dict[str, Any]], networks: nn.Module | None, adam_share: float = 1.0, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Parameter groups as Muon takes them.

    Args:
        groups: of all that is trained, each with its share of the step size under `lr_share`.
        networks: what has matrices, if anything; what is trained beside it, such as an adversary, takes Adam's steps.
        adam_share: beside matrices, the step size of all that takes Adam's steps, as a multiple of theirs.
        weight_decay: what matrices shrink by in a step, as a multiple of the step size.
    """
    matrices = {p for p in networks.parameters() if is_matrix(p)} if networks is not None else set()
    split = []
    for group in groups:
        for orthogonal in (True, False):
            share = group["lr_share"] * (1.0 if orthogonal or networks is None else adam_share)
            params = [p for p in group["params"] if (p in matrices) is orthogonal]
            decay = weight_decay if orthogonal else 0.0
            split.append(
                {**group, "params": params, "lr_share": share, "orthogonal": orthogonal, "weight_decay": decay}
            )
    return [group for group in split if group["params"]]


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon's step suits the size and shape of a parameter."""
    if parameter.ndim < 2:
        return False
    sides = len(parameter), parameter[0].numel()
    return min(sides) >= MIN_SIDE and parameter.numel() <= MAX_WEIGHTS
