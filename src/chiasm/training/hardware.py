"""Whether the devices that a configuration asks for are here."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn

from chiasm.config import TrainConfig, require


def num_machines(train: TrainConfig) -> int:
    """How many machines train together: as many as torchrun has started processes for, else this one alone.

    Raises:
        ConfigError: if torchrun has started another number of processes on this machine than there are devices.
    """
    here, all_of_them = (int(os.environ.get(key, "0")) for key in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if here == 0:
        return 1
    remedy = f"torchrun has started {here} processes here; give --train.devices {here}"
    require(train.devices == here, "train.devices", train.devices, remedy)
    return all_of_them // here


def require_devices(train: TrainConfig) -> None:
    """Refuse an accelerator that is not here, and more devices than there are: they would wait for ever.

    Raises:
        ConfigError: if so.
    """
    gpus, mps = torch.cuda.device_count(), int(torch.backends.mps.is_available())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    here = {"cpu": cores, "cuda": gpus, "mps": mps, "gpu": gpus or mps, "auto": gpus or mps or cores}[train.accelerator]
    require(here > 0, "train.accelerator", train.accelerator, "there is none here; give 'cpu' or 'auto'")
    shared = train.devices * num_machines(train) == 1 or train.batch_size % 4 == 0
    require(shared, "train.batch_size", train.batch_size, "devices share pairs out: give a multiple of 4 with several")
    require(train.devices <= here, "train.devices", train.devices, f"there are {here} here; give at most {here}")


def end_with_parent() -> None:
    """End this process, which another one has started, when that has ended: it might wait for it for ever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        print("chiasm: the first process of this training has ended, and so does this one", file=sys.stderr, flush=True)
        os._exit(2)

    threading.Thread(target=watch, daemon=True).start()


class _SumOfDevices(torch.autograd.Function):
    """A sum over all devices, which depends on each one's part alike."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm with the statistics of the batches of all devices, also on CPUs, where torch's SyncBatchNorm is not."""

    def forward(self, x: Tensor) -> Tensor:
        """As BatchNorm2d; in training every device must come here with as many images."""
        if not self.training:
            return super().forward(x)
        sums = torch.stack([x.sum(dim=(0, 2, 3)), x.square().sum(dim=(0, 2, 3))])
        mean, square = _SumOfDevices.apply(sums) / (x.numel() / x.shape[1] * dist.get_world_size())
        variance = (square - mean.square()).clamp(min=0)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        with torch.no_grad():
            num = x.numel() // x.shape[1] * dist.get_world_size()
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * num / max(1, num - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]


def synchronise_statistics(networks: nn.Module, fabric: Fabric) -> None:
    """Let every BatchNorm of some networks see the batches of all devices; its weights and names stay as they are."""
    if fabric.world_size > 1:
        for module in networks.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SharedBatchNorm2d
