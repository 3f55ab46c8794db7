"""Few-shot: the code A of somebody new, from a few images, through the frozen generator."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.inference import encode, to_unit
from chiasm.losses import reconstruction_loss, squared_loss
from chiasm.networks import CrossModel
from chiasm.objective import frozen
from chiasm.people import PersonCode

STEPS = 100
LR = 0.05
WARM_UP = 10
BATCH = 16
WEIGHT_SQUARED = 2.0
"""As in training."""


def adapt_code(model: CrossModel, images: NDArray[np.uint8], *, steps: int = STEPS, seed: int = 0) -> PersonCode:
    """The code A with which the generator draws given images of one class best, each from its own code B.

    It starts from the mean code A of the images; codes B are those that are handed out. No weight of the model
    changes, so that nobody else is drawn otherwise than before.

    Args:
        model: in evaluation mode.
        images: [n, 3, side, side] uint8, at least one.
        steps: of Adam; 0 for the mean code A.
        seed: of the choice of images for a step, where there are more than BATCH.

    Returns:
        On the CPU.

    Source: docs/method.md, section 8; Abdal et al. 2019 (Image2StyleGAN), section 3, for one image and all codes.
    """
    device = next(model.parameters()).device
    codes_a, codes_b = encode(model, images)
    a = codes_a.mean(dim=0, keepdim=True).to(device).clone().requires_grad_()
    b, x = codes_b.to(device).clone(), to_unit(torch.from_numpy(images).to(device))
    generator, rng = frozen(model.generator), np.random.default_rng(seed)
    optimizer = torch.optim.Adam([a], betas=(0.9, 0.99))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = LR * min(1, (step + 1) / WARM_UP) * (1 - step / steps)
        chosen = torch.from_numpy(rng.permutation(len(x))[:BATCH]).to(device)
        x_generated = generator(a.expand(len(chosen), -1), b[chosen])
        loss = reconstruction_loss(x[chosen], x_generated, 0, 1) + WEIGHT_SQUARED * squared_loss(x[chosen], x_generated)
        (a.grad,) = torch.autograd.grad(loss, [a])
        optimizer.step()
    return a.detach().cpu()
