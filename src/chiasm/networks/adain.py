"""Adaptive instance normalisation, as a function."""

import torch
from jaxtyping import Float
from torch import Tensor

Features = Float[Tensor, "n channels height width"]
PerChannel = Float[Tensor, "n channels"]


def adain(features: Features, scale: PerChannel, shift: PerChannel, eps: float = 1e-5) -> Features:
    """Give every channel of every image the mean `shift` and the standard deviation `scale`.

    Written as one gain and one offset a channel, so that the backward pass keeps the features alone; the variance as
    the mean square less the squared mean, in at least float32, for torch.compile makes one fast pass of both.

    Args:
        features: activations of any range.
        scale: the standard deviations asked for.
        shift: the means asked for.
        eps: added to the biased variance before its root.

    Source: Huang & Belongie 2017, eq. 8; docs/method.md, section 2.1.
    """
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    mean = exact.mean(dim=(2, 3))
    variance = (exact.square().mean(dim=(2, 3)) - mean.square()).clamp(min=0)  # rounding may take it below
    gain = scale * torch.rsqrt(variance + eps)
    offset = shift - mean * gain
    return features * gain[:, :, None, None] + offset[:, :, None, None]
