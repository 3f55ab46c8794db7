"""Few-shot: the extended code A of somebody new, from a few images, through the frozen generator."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from chiasm.inference import encode, to_unit
from chiasm.losses import reconstruction_loss, squared_loss
from chiasm.networks import CrossModel
from chiasm.objective import frozen
from chiasm.people import PersonCode

STEPS = 200
LR = 0.05
WARM_UP = 10
BATCH = 16
WEIGHT_SQUARED = 2.0
"""As in training. The other constants were chosen on classes of validation, see docs/lab-notes.md."""


def adapt_code(model: CrossModel, images: NDArray[np.uint8], *, steps: int = STEPS, seed: int = 0) -> PersonCode:
    """The code A, and offsets to the scales and shifts, with which the generator draws given images of one class best.

    Each image is drawn from its own code B as it is handed out, under the noise of training, which keeps what one image
    alone shows from being learned. The start is the mean code A of the images, without offsets. No weight of the model
    changes, so that nobody else is drawn otherwise than before.

    Args:
        model: in evaluation mode.
        images: [n, 3, side, side] uint8, at least one.
        steps: of Adam; with 0 the result is the start.
        seed: of the noise, and of the choice of images for a step where there are more than BATCH.

    Returns:
        [1, extended], on the CPU.

    Source: docs/method.md, section 2.3; the extended code is that of Abdal et al. 2019 (Image2StyleGAN), section 5.
    """
    device = next(model.parameters()).device
    codes_a, codes_b = encode(model, images)
    mean = codes_a.mean(dim=0, keepdim=True)
    a = F.pad(mean, (0, model.generator.extended_a - mean.shape[1])).to(device).requires_grad_()
    generator, rng = frozen(model.generator), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam([a], betas=(0.9, 0.99))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = LR * min(1, (step + 1) / WARM_UP) * (1 - step / steps)
        chosen = torch.randperm(len(images), generator=rng)[:BATCH]
        b = codes_b[chosen]
        b = b + model.noise_b * torch.randn(b.shape, generator=rng)
        x = to_unit(torch.from_numpy(images[chosen.numpy()]).to(device))
        x_generated = generator(a.expand(len(x), -1), b.to(device))
        loss = reconstruction_loss(x, x_generated, 0.0, 1.0) + WEIGHT_SQUARED * squared_loss(x, x_generated)
        (a.grad,) = torch.autograd.grad(loss, [a])
        optimizer.step()
    return a.detach().cpu()
