import numpy as np
import torch
from torch import nn

from chiasm.data import UNLABELLED
from chiasm.evaluation.fitting import FitSettings, as_is, fit_heads, predict

SETTINGS = FitSettings(lr=1e-2, batch=16, min_steps=10, max_rounds=8)


class Two(nn.Module):
    """Two linear heads."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(6, 2), nn.Linear(6, 3)])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [head(x) for head in self.heads]


def fitted(labels: torch.Tensor, x: torch.Tensor) -> Two:
    torch.manual_seed(0)
    net = Two()
    fit_heads(net, x, labels, as_is, SETTINGS, seed=1)
    return net


def test_each_head_learns_its_own_labels_where_there_are_any() -> None:
    labels = torch.from_numpy(np.stack([np.arange(120) % 2, np.arange(120) % 3], axis=1))
    x = torch.cat([torch.eye(2)[labels[:, 0]], torch.eye(3)[labels[:, 1]], torch.zeros(120, 1)], dim=1)
    partly = labels.clone()
    partly[:60, 0], partly[60:, 1] = UNLABELLED, UNLABELLED
    assert (predict(fitted(partly, x), x, as_is) == labels.numpy()).all()


def test_a_head_without_labels_hurts_no_other() -> None:
    labels = torch.stack([torch.arange(60) % 2, torch.full((60,), UNLABELLED)], dim=1)
    x = torch.nn.functional.pad(torch.eye(2)[labels[:, 0]], (0, 4))
    net = fitted(labels, x)
    assert (predict(net, x, as_is)[:, 0] == labels[:, 0].numpy()).all()
    assert all(p.isfinite().all() for p in net.parameters())
    assert not net.training
