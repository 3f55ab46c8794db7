"""Fits small classifiers with one or several heads: for probes on codes and for classifiers of images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.data import UNLABELLED

Prepare = Callable[[Tensor, bool, torch.Generator], Tensor]
"""(inputs, whether training, source of randomness) -> what the net takes."""

EVAL_BATCH = 512


def as_is(inputs: Tensor, training: bool, randomness: torch.Generator) -> Tensor:
    """The Prepare of inputs that are what the net takes already."""
    return inputs


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How a net is fitted; a round is an epoch, or min_steps where that is more.

    Attributes:
        lr: Adam's step size at the start; a cosine takes it to zero over all rounds.
        batch: images in a step.
        min_steps: steps in a round at least.
        max_rounds: rounds at most.
        patience: rounds without a lower validation loss after which the fit ends.
        decay: weight decay.
        val_fraction: share of the images that the fit keeps for validation.
    """

    lr: float
    batch: int = 256
    min_steps: int = 50
    max_rounds: int = 30
    patience: int = 6
    decay: float = 1e-4
    val_fraction: float = 0.15


def fit_heads(
    net: nn.Module, inputs: Tensor, labels: Int64[Tensor, "n heads"], prepare: Prepare, settings: FitSettings, seed: int
) -> float:
    """Fit a net with early stopping on images of its own validation split.

    The net is left with the weights of the round with the lowest validation loss, in evaluation mode.

    Args:
        net: returns a list of logits, one [n, values] for each head.
        inputs: [n, ...], all of them in memory.
        labels: UNLABELLED where a head has nothing to learn from a row.
        prepare: makes a batch of inputs ready, with fresh noise or shifts each time.
        settings: the sizes of the fit.
        seed: of the split, the order and the noise; the weights' start is the caller's.

    Returns:
        The lowest validation loss.
    """
    order = np.random.default_rng([seed, 11]).permutation(len(inputs))
    num_val = max(1, round(settings.val_fraction * len(inputs)))
    val, train = torch.from_numpy(order[:num_val]), torch.from_numpy(order[num_val:])
    randomness = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.lr, weight_decay=settings.decay)
    batches = _batches(train, settings.batch, randomness)
    steps = max(settings.min_steps, len(train) // settings.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.max_rounds * steps)
    best, best_loss, worse = copy.deepcopy(net.state_dict()), float("inf"), 0
    for _ in range(settings.max_rounds):
        net.train()
        for _ in range(steps):
            rows = next(batches)
            loss = _loss(net(prepare(inputs[rows], True, randomness)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        loss_now = _validate(net, inputs[val], labels[val], prepare, seed)
        worse = 0 if loss_now < best_loss else worse + 1
        if worse == 0:
            best, best_loss = copy.deepcopy(net.state_dict()), loss_now
        if worse == settings.patience:
            break
    net.load_state_dict(best)
    net.eval()
    return best_loss


@torch.no_grad()
def predict(net: nn.Module, inputs: Tensor, prepare: Prepare, seed: int = 0) -> NDArray[np.int64]:
    """The likeliest value for each head, [n, heads]."""
    net.eval()
    randomness = torch.Generator().manual_seed(seed)
    parts = [
        torch.stack([logits.argmax(dim=1) for logits in net(prepare(chunk, False, randomness))], dim=1)
        for chunk in inputs.split(EVAL_BATCH)
    ]
    return torch.cat(parts).cpu().numpy()


def _batches(rows: Tensor, batch: int, randomness: torch.Generator) -> Iterator[Tensor]:
    """Shuffled batches without end; what does not fill a batch is left for another epoch's shuffle."""
    batch = min(batch, len(rows))
    while True:
        shuffled = rows[torch.randperm(len(rows), generator=randomness)]
        yield from (shuffled[i : i + batch] for i in range(0, len(rows) - batch + 1, batch))


def _loss(logits: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Sum over the heads of the mean cross entropy over labelled rows."""
    sums = [
        F.cross_entropy(head, labels[:, k], ignore_index=UNLABELLED, reduction="sum")
        / (labels[:, k] != UNLABELLED).sum().clamp(min=1)
        for k, head in enumerate(logits)
    ]
    return torch.stack(sums).sum()


@torch.no_grad()
def _validate(net: nn.Module, inputs: Tensor, labels: Tensor, prepare: Prepare, seed: int) -> float:
    net.eval()
    randomness = torch.Generator().manual_seed(seed + 1)
    chunks = zip(inputs.split(EVAL_BATCH), labels.split(EVAL_BATCH), strict=True)
    losses = [float(_loss(net(prepare(x, False, randomness)), y)) * len(x) for x, y in chunks]
    return sum(losses) / len(inputs)
