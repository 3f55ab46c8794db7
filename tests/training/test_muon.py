"""Muon against the singular value decomposition, and against Adam where it is Adam."""

import torch
from torch import nn

from chiasm.checkpoint import flatten_optimizer, restore_optimizer
from chiasm.training.muon import MAX_WEIGHTS, STEP_RMS, Muon, orthogonalize, split_matrices


class Net(nn.Module):
    """A matrix of each kind, and what is none."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 24, 3)
        self.dense = nn.Linear(16, 40)
        self.to_rgb = nn.Conv2d(24, 3, 3)
        self.large = nn.Linear(16, MAX_WEIGHTS // 16 + 1)


def names(net: nn.Module, groups: list[dict], orthogonal: bool) -> set[str]:
    chosen = {p for group in groups if group["orthogonal"] is orthogonal for p in group["params"]}
    return {name for name, p in net.named_parameters() if p in chosen}


def test_orthogonalize_keeps_the_directions_and_evens_out_their_lengths() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(2, 20, 50)
    u, s, vt = torch.linalg.svd(matrices, full_matrices=False)
    assert s.max() / s.min() > 3
    lengths = u.mT @ orthogonalize(matrices) @ vt.mT
    diagonal = lengths.diagonal(dim1=1, dim2=2)
    assert diagonal.min() > 0.65
    assert diagonal.max() < 1.25
    assert (lengths - torch.diag_embed(diagonal)).abs().max() < 1e-3


def test_orthogonalize_of_a_transposed_matrix_is_the_transposed() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, 17, 30)
    torch.testing.assert_close(orthogonalize(matrices.mT), orthogonalize(matrices).mT)


def test_orthogonalize_of_nothing_is_nothing() -> None:
    assert orthogonalize(torch.zeros(1, 16, 20)).abs().max() == 0


def test_matrices_are_those_of_the_networks_that_suit_by_size() -> None:
    net, adversary = Net(), nn.Linear(16, 40)
    both = nn.ModuleList([net, adversary])
    groups = split_matrices([{"params": list(both.parameters()), "lr_share": 2.0}], net, adam_share=1.5)
    assert names(net, groups, orthogonal=True) == {"conv.weight", "dense.weight"}
    assert {"weight", "bias"} == names(adversary, groups, orthogonal=False)
    assert sum(len(group["params"]) for group in groups) == len(list(both.parameters()))
    assert {group["orthogonal"]: group["lr_share"] for group in groups} == {True: 2.0, False: 3.0}
    (alone,) = split_matrices([{"params": list(net.parameters()), "lr_share": 2.0}], None, adam_share=1.5)
    assert not alone["orthogonal"]
    assert alone["lr_share"] == 2.0


def stepped(optimizer: torch.optim.Optimizer, net: nn.Module, num: int) -> None:
    for k in range(num):
        torch.manual_seed(k)
        x = torch.randn(5, 4, 3, 3)
        loss = net.conv(x).square().mean() + net.dense(torch.randn(5, 16)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def muon(net: nn.Module) -> Muon:
    return Muon(split_matrices([{"params": list(net.parameters()), "lr_share": 1.0}], net), lr=0.01, betas=(0.5, 0.99))


def test_matrices_step_by_the_orthogonal_factor_and_the_rest_as_in_adam() -> None:
    torch.manual_seed(0)
    net, other = Net(), Net()
    other.load_state_dict(net.state_dict())
    before = net.conv.weight.detach().clone()
    optimizer = muon(net)
    stepped(optimizer, net, 1)
    stepped(torch.optim.Adam(other.parameters(), lr=0.01, betas=(0.5, 0.99)), other, 1)
    torch.testing.assert_close(net.conv.bias, other.conv.bias)
    change = (before - net.conv.weight.detach()).flatten(1)
    gradient = other.conv.weight.grad.flatten(1)
    expected = orthogonalize(gradient[None])[0] * 0.01 * STEP_RMS * 36**0.5
    torch.testing.assert_close(change, expected, atol=1e-5, rtol=1e-3)


def test_matrices_alone_shrink_beside_their_steps() -> None:
    torch.manual_seed(0)
    net, other = Net(), Net()
    other.load_state_dict(net.state_dict())
    groups = split_matrices([{"params": list(net.parameters()), "lr_share": 1.0}], net, weight_decay=2.0)
    before = net.conv.weight.detach().clone()
    stepped(Muon(groups, lr=0.01, betas=(0.5, 0.99)), net, 1)
    stepped(muon(other), other, 1)
    torch.testing.assert_close(net.conv.weight, other.conv.weight - 0.02 * before)
    torch.testing.assert_close(net.conv.bias, other.conv.bias)


def test_state_survives_a_checkpoint() -> None:
    torch.manual_seed(0)
    net, other = Net(), Net()
    optimizer = muon(net)
    stepped(optimizer, net, 2)
    other.load_state_dict(net.state_dict())
    restored = muon(other)
    saved = {name: tensor.clone() for name, tensor in flatten_optimizer(optimizer, "o").items()}
    restore_optimizer(restored, "o", saved)
    stepped(optimizer, net, 3)
    stepped(restored, other, 3)
    for name, value in net.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
