"""One training step of every preset, beside the same step in textbook PyTorch, taken turn by turn."""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from chiasm.batch import Batch
from chiasm.networks import CrossModel
from chiasm.objective import Objective
from chiasm.presets import PRESETS
from chiasm.training.budget import Budget
from chiasm.training.compiling import compile_networks
from chiasm.training.muon import Muon, split_matrices
from tests.plain import PlainModel

BATCH = {"original": 8, "photo": 8}


def stepper(preset: str, plain: bool) -> Callable[[], float]:
    """A function that makes one whole optimiser step and returns its seconds."""
    config = PRESETS[preset]()
    torch.manual_seed(0)
    model: torch.nn.Module = CrossModel(config.model)
    if plain:
        model = PlainModel(model)
    objective = Objective(model, config.loss, num_classes=200)
    optimizer: torch.optim.Optimizer
    if plain:
        optimizer = torch.optim.Adam(objective.parameters(), lr=config.train.lr, betas=config.train.betas, fused=False)
    else:
        matrices = objective.model if config.train.optimizer == "muon" else None
        groups = split_matrices(objective.parameter_groups(), matrices)
        optimizer = Muon(groups, config.train.lr, config.train.betas)
    if not plain:
        compile_networks(objective.model, dataclasses.replace(config.train, compile="on"), Budget(None, None))
    num = BATCH.get(preset, config.train.batch_size)
    layout = torch.contiguous_format if plain else torch.channels_last
    x = torch.rand(num, 3, config.model.side_px, config.model.side_px).mul(2).sub(1).contiguous(memory_format=layout)
    classes = torch.arange(num) % 200
    partner = x.flip(0) if config.loss.weight_swap > 0 else None
    batch = Batch(x, partner, classes=classes)
    if config.loss.weight_difference > 0:
        is_negative = torch.ones(num // 2, dtype=torch.bool)
        batch = batch._replace(x_positive=x[::2], x_negative=x[1::2], is_negative=is_negative)

    def step() -> float:
        start = time.perf_counter()
        terms = objective(batch, 1.0).terms
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        return time.perf_counter() - start

    return step


def matmul_rate() -> float:
    """GFLOP/s of a large matrix product, the yardstick of this machine."""
    a = torch.randn(2048, 2048)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times) / 1e9


def main(presets: list[str], rounds: int) -> None:
    """Print the median step of both forms and the median ratio of neighbours."""
    print(f"matrix product: {matmul_rate():.0f} GFLOP/s on {torch.get_num_threads()} threads")
    print("| preset | batch | plain, s | ours, s | ratio |\n|---|---|---|---|---|")
    for preset in presets:
        plain, ours = stepper(preset, plain=True), stepper(preset, plain=False)
        for step in (plain, ours, ours):
            step()
        pairs = [(plain(), ours()) for _ in range(rounds)]
        ratio = statistics.median(p / o for p, o in pairs)
        medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
        batch = BATCH.get(preset, PRESETS[preset]().train.batch_size)
        print(f"| {preset} | {batch} | {medians[0]:.3f} | {medians[1]:.3f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(PRESETS), rounds=7)
