"""Random values for the images of a batch, of which several devices have a part each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_share: ContextVar[tuple[int, int]] = ContextVar("share", default=(0, 1))


@contextmanager
def shared_draws(rank: int, world_size: int) -> Iterator[None]:
    """Draw for the batch of all devices, which have the same seed, and take this device's share of it.

    Args:
        rank: number of this device, from 0.
        world_size: number of devices.
    """
    before = _share.set((rank, world_size))
    try:
        yield
    finally:
        _share.reset(before)


def own_rows(draw: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """Random values for this device's rows, shared out as pairs are: a part of the first halves and of the second."""
    rank, world_size = _share.get()
    if world_size == 1:
        return draw(like)
    of_all = draw(torch.cat([like.detach()] * world_size))
    return torch.cat([half.chunk(world_size)[rank] for half in of_all.chunk(2)])


def uniform(like: Tensor, *shape: int) -> Tensor:
    """Uniform in [0, 1), [n, *shape] for a batch of n."""
    return own_rows(torch.rand_like, like.new_empty(len(like), *shape))
