"""Few-shot: the extended code A of somebody new, from a few images, through the frozen generator."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from chiasm.cross import Images
from chiasm.inference import read_codes, to_unit
from chiasm.losses import Code, code_cycle_loss, perceptual_loss, reconstruction_loss, spreads, squared_loss
from chiasm.networks import CrossModel
from chiasm.networks.photo_features import PhotoFeatures
from chiasm.objective import frozen
from chiasm.people import PersonCode

STEPS = 200
LR = 0.05
LR_MIXING = 2e-4
"""For each image up to NUM_MIXING: matrices that step farther learn few images by heart."""
NUM_MIXING = 5
LR_IMAGE = 0.03
WARM_UP = 10
BATCH = 16
WEIGHT_SQUARED = 2.0
"""As most presets have it. The other constants were chosen on classes of validation, see docs/lab-notes.md."""
WEIGHT_IMAGE = 1.0
"""Divided by the number of images: what one image shows need not be the same in another."""
NUM_CROSSED = 8
CROSS_SHARE, SPREAD_SHARE = 0.12, 0.25
"""The weights of finding code B again and of the spread of features, as shares of that of the perceptual loss; models
that learned from pixels alone have neither, for them the former did not pay."""


def adapt_code(model: CrossModel, images: NDArray[np.uint8], *, steps: int = STEPS, seed: int = 0) -> PersonCode:
    """The extended code A with which the generator draws given images of one class best.

    Each image is drawn from its own code B, rounded but no mean of neighbours, which would say less of what it shows,
    under the noise of training, which keeps what one image alone shows from being learned. Where the model learned with
    features of photographs these judge here, too, also by how much they vary over an image, for a mean of the images is
    a fog; and encoder B must find further noisy codes B again in what is drawn from them, so that the pose stays with
    code B: codes of the training, where the model knows any, as few images show few poses; otherwise those of the
    images. The start is the mean code A of the images. Where code A has no maps, offsets to scales and shifts are
    learned, matrices that mix the channels of each block, and an image of what is the same in all, as a background is.
    No weight of the model changes, so that nobody else is drawn otherwise than before.

    Args:
        model: in evaluation mode.
        images: [n, 3, side, side] uint8, at least one.
        steps: of Adam; with 0 the result is the start.
        seed: of the noise, and of the choice of images for a step where there are more than BATCH.

    Returns:
        [1, extended], on the CPU.

    Raises:
        ConfigError: where the model learned with features of photographs, and the packages that hold them are not
            installed.

    Source: docs/method.md, section 2.3; the extended code is that of Abdal et al. 2019 (Image2StyleGAN), section 5.
    """
    device, generator = next(model.parameters()).device, model.generator
    codes_a, codes_b = read_codes(model, images)
    codes_a, codes_b = model.hand_out_a(codes_a.to(device)), model.round_b(codes_b)
    mixing, image = sum(generator.widths_mixing), generator.width_image
    # Maps can say all that images show: with offsets beside them the pose gets into code A.
    has_maps = len(model.config.maps_a) > 0
    sizes = [model.config.width_a] if has_maps else [generator.extended_a - mixing - image, mixing, image]
    start = _extended(model, codes_a.mean(dim=0, keepdim=True))[:, : sum(sizes)]
    parts = [part.clone().requires_grad_() for part in start.split(sizes, dim=1)]
    step_sizes = (LR, LR_MIXING * min(NUM_MIXING, len(images)), LR_IMAGE)
    groups = [{"params": [part], "lr": lr} for part, lr in zip(parts, step_sizes, strict=False)]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    schedule = LambdaLR(optimizer, lambda step: min(1, (step + 1) / WARM_UP) * (1 - step / max(1, steps)))
    others_b = _codes_of_mixes(model, codes_b)
    draw, read_b, rng = frozen(generator), frozen(model.encoder_b), torch.Generator().manual_seed(seed)
    features = PhotoFeatures().to(device) if model.weight_perceptual > 0 else None

    def noisy(b: Code) -> Code:
        return (b + model.noise_b * torch.randn(b.shape, generator=rng)).to(device)

    for _ in range(steps):
        chosen = torch.randperm(len(images), generator=rng)[:BATCH]
        x = to_unit(torch.from_numpy(images[chosen.numpy()]).to(device))
        a, b = torch.cat(parts, dim=1), noisy(codes_b[chosen])
        drawn = draw(a.expand(len(b), -1), b)
        loss = reconstruction_loss(x, drawn, 0.0, 1.0) + WEIGHT_SQUARED * squared_loss(x, drawn)
        if not has_maps:
            loss = loss + WEIGHT_IMAGE / len(images) * parts[-1].abs().mean()
        if features is not None:
            b = noisy(others_b[torch.randint(len(others_b), (NUM_CROSSED,), generator=rng)])
            mixes = draw(a.expand(len(b), -1), b)
            found_again = CROSS_SHARE * code_cycle_loss(b, read_b(mixes))
            loss = loss + model.weight_perceptual * (_photo_loss(features, x, drawn, mixes) + found_again)
        optimizer.zero_grad()
        loss.backward(inputs=parts)
        optimizer.step()
        schedule.step()
    return _extended(model, torch.cat(parts, dim=1).detach().cpu())


def _codes_of_mixes(model: CrossModel, codes_b: Code) -> Float[Tensor, "m code"]:
    """The codes B of which mixes are made, to be found again; codes_b where the model knows no others."""
    return codes_b if model.known_b is None else model.round_b(model.known_b.cpu())


def _extended(model: CrossModel, a: Code) -> PersonCode:
    """With zeros for what an extended code has beyond it."""
    return F.pad(a, (0, model.generator.extended_a - a.shape[1]))


def _photo_loss(features: PhotoFeatures, x: Images, drawn: Images, mixes: Float[Tensor, "mixes 3 side side"]) -> Tensor:
    """How far what is drawn is from images of one class in features of photographs, and in how much these vary over an
    image; the latter for mixes, too, of which no image is known, in the mean.

    Source: docs/method.md, eq. 22 and 30.
    """
    wanted, generated = features(x), features(drawn)
    varied, varied_generated, varied_mixes = spreads(wanted), spreads(generated), spreads(features(mixes))
    in_mean = [[layer.mean(dim=0) for layer in layers] for layers in (varied, varied_mixes)]
    spread = perceptual_loss(varied, varied_generated) + perceptual_loss(*in_mean)
    return perceptual_loss(wanted, generated) + SPREAD_SHARE * spread
