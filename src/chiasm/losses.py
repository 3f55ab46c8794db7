"""One function for each equation; chiasm.objective weighs and sums them.

Every term is a mean over the batch; those on images are means over their elements, too. Terms over a pair are sums
over its two images: since the two halves of a batch are averaged together here, such a term carries the factor 2.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from chiasm.cross import Images
from chiasm.data import UNLABELLED

Scalar = Float[Tensor, ""]
Code = Float[Tensor, "n code"]
Logits = Float[Tensor, "n classes"]
Classes = Int[Tensor, "n"]
HalfImages = Float[Tensor, "half 3 side side"]
HalfCode = Float[Tensor, "half code"]
HalfMask = Bool[Tensor, "half"]
Mask = Bool[Tensor, "n"]
Patches = Float[Tensor, "n patches"]

IMAGES_IN_A_PAIR = 2
MIN_DIFFERENCE = 0.01
TINY = 1e-12
MARGIN = 4.0
"""Between codes under noise of standard deviation 1, one in forty is then closer to the wrong one."""


def cycle_consistency_loss(x: Images, x_rec: Images) -> Scalar:
    """Mean absolute error of images that were mixed twice, summed over the pair.

    Args:
        x: the originals [x1; x2], in [-1, 1].
        x_rec: the same images after crossing twice.

    Source: docs/method.md, eq. 1, with the L1 norm.
    """
    return IMAGES_IN_A_PAIR * (x_rec - x).abs().mean()


def code_cycle_loss(code: Code, code_reread: Code) -> Scalar:
    """Squared change of a code after its image was mixed, summed over the pair.

    Zero when the generator carries the factor through the mix untouched.

    Args:
        code: codes of the originals [x1; x2].
        code_reread: the same codes, encoded from the mixed images, in the order of the originals.

    Source: docs/method.md, eq. 2 (code A) and eq. 3 (code B).
    """
    return IMAGES_IN_A_PAIR * (code_reread - code).square().mean()


def reconstruction_loss(x: Images, x_generated: Images, weight_topk: float, topk_fraction: float) -> Scalar:
    """Mean absolute error, plus a weighted mean over each image's worst pixels.

    The plain mean is best served by leaving out what is small: an expression covers a few percent of a face.
    The mean over the worst pixels (an error averaged over the three channels) depends on just these.

    Args:
        x: the images wanted, in [-1, 1].
        x_generated: the images generated.
        weight_topk: weight of the worst pixels' mean error.
        topk_fraction: the fraction of pixels that counts as worst, in (0, 1].

    Source: docs/method.md, eq. 7 and 8; Pohlen et al. 2017, eq. 7 (bootstrapped loss).
    """
    error = (x_generated - x).abs().mean(dim=1).flatten(1)  # n, pixels
    loss = error.mean()
    if weight_topk == 0:
        return loss
    k = max(1, round(topk_fraction * error.shape[1]))
    return loss + weight_topk * error.topk(k, dim=1, sorted=False).values.mean()


def squared_loss(x: Images, x_generated: Images) -> Scalar:
    """Mean squared error: unlike the absolute one it has a detail that is wholly wrong outweigh many small errors.

    Args:
        x: the images wanted, in [-1, 1].
        x_generated: the images generated.

    Source: docs/method.md, eq. 9.
    """
    return (x_generated - x).square().mean()


def difference_weighted_l1(x: Images, x_generated: Images, x_similar: Images) -> Scalar:
    """Mean absolute error, each pixel weighted by how much it differs between two similar images.

    Where two images of a class differ in the expression alone, all weight lies on the face, which the plain mean
    hardly sees: it would pay a code B that costs something to leave it out. Where images of two classes differ in a
    pair of glasses alone, it lies on these. An image's weights have the mean 1, or less where the two hardly differ.

    Args:
        x: the images wanted, in [-1, 1].
        x_generated: the images generated.
        x_similar: for each image a similar one, its positive or its negative.

    Source: docs/method.md, eq. 10.
    """
    difference = (x - x_similar).abs().mean(dim=1).flatten(1)  # n, pixels
    weights = difference / (difference.mean(dim=1, keepdim=True) + MIN_DIFFERENCE)
    return (weights * (x_generated - x).abs().mean(dim=1).flatten(1)).mean()


def perceptual_loss(features: Sequence[Tensor], features_generated: Sequence[Tensor]) -> Scalar:
    """How far features of the images generated are from those wanted, as a share of the size of these; their mean.

    A mean of all faces that might be is near to each of them in pixels, but has features of none.

    Args:
        features: of the images wanted, several layers, without gradient.
        features_generated: of the images generated, likewise.

    Source: docs/method.md, eq. 22; Johnson et al. 2016, eq. 2, with absolute differences.
    """
    shares = [
        (wanted - generated).abs().mean() / wanted.abs().mean()
        for wanted, generated in zip(features, features_generated, strict=True)
    ]
    return torch.stack(shares).mean()


def spreads(features: Sequence[Tensor]) -> list[Float[Tensor, "n channels"]]:
    """How much each channel of features varies over an image: its standard deviation.

    What is drawn as a mean of several images is faint wherever these differ, and its features vary less.

    Args:
        features: several layers, [n, channels, side, side]; one of a single place is left out.

    Source: docs/method.md, eq. 30; Huang & Belongie 2017 (AdaIN), eq. 13.
    """
    return [layer.std(dim=(2, 3)) for layer in features if layer[0, 0].numel() > 1]


def code_decay(code: Code) -> Scalar:
    """Mean over the batch of a code's squared length.

    With noise on the code this bounds what the code can carry: its signal must stand out from the noise.

    Source: docs/method.md, eq. 11; Gabbay & Hoshen 2020 (LORD), eq. 4.
    """
    return code.square().sum(dim=1).mean()


def consistency_loss(code: Code, code_unshifted: Code) -> Scalar:
    """Mean over the batch of the squared distance between the codes of shifted images and of the same ones unshifted.

    Args:
        code: codes of shifted images.
        code_unshifted: of the images as they are.

    Source: docs/method.md, eq. 13; Sajjadi et al. 2016, eq. 1.
    """
    return (code - code_unshifted).square().sum(dim=1).mean()


def contrastive_loss(code: Code, code_negative: Code, is_negative: Mask | None = None) -> Scalar:
    """How far two codes fall short of the distance MARGIN: the mean of the squared shortfall, in [0, 1].

    Two images of a class differ in what code B must carry, and in nothing else; two similar ones of different classes
    differ in what code A must carry. Codes that are close belong to images that differ in a detail, so that the
    gradient is on the details; these cover few pixels, and the reconstruction loss alone hardly asks for them.

    Args:
        code: codes of images, without noise.
        code_negative: codes of other images: B of the same classes, or A of different ones.
        is_negative: which of the pairs count; all by default. Zero where none does.

    Source: docs/method.md, eq. 12; Hadsell et al. 2006, eq. 4 (dissimilar inputs).
    """
    distance = ((code - code_negative).square().sum(dim=1) + 1e-6).sqrt()
    shortfall = F.relu(1 - distance / MARGIN).square()
    if is_negative is None:
        return shortfall.mean()
    return (shortfall * is_negative).sum() / is_negative.sum().clamp(min=1)


def classification_loss(logits: Logits, classes: Classes) -> Scalar:
    """Cross-entropy of a classifier over the labelled images; 0 where none is labelled.

    Args:
        logits: of the classes.
        classes: the true ones, or -1 for an unlabelled image.

    Source: docs/method.md, eq. 15, 17 and 18.
    """
    labelled = classes >= 0
    total = F.cross_entropy(logits, classes, ignore_index=UNLABELLED, reduction="sum")
    return total / labelled.sum().clamp(min=1)


def confusion_loss(logits: Logits) -> Scalar:
    """Divergence of a classifier's distribution over the classes from the uniform one, in nats.

    Zero where every class is equally likely. Unlike the negative cross-entropy of a reversed gradient it
    is bounded below, so that a code is not driven from one wrong class to the next.

    Args:
        logits: of the classes, from the code that must not tell them.

    Source: docs/method.md, eq. 16; Tzeng et al. 2015, eq. 3.
    """
    return -F.log_softmax(logits, dim=1).mean() - math.log(logits.shape[1])


def discriminator_loss(kind: str, on_real: Patches, on_generated: Patches) -> Scalar:
    """What the discriminator minimises: tell real images from generated ones.

    Args:
        kind: "hinge" or "lsgan".
        on_real: its logits for real images.
        on_generated: its logits for generated ones.

    Source: docs/method.md, eq. 19; Lim & Ye 2017 (hinge); Mao et al. 2017, eq. 9 (lsgan).
    """
    if kind == "hinge":
        return F.relu(1 - on_real).mean() + F.relu(1 + on_generated).mean()
    return 0.5 * ((on_real - 1).square().mean() + on_generated.square().mean())


def realism_loss(kind: str, on_generated: Patches) -> Scalar:
    """What the generator minimises: images that the discriminator takes for real.

    Source: docs/method.md, eq. 20; otherwise as discriminator_loss.
    """
    return -on_generated.mean() if kind == "hinge" else 0.5 * (on_generated - 1).square().mean()


class _Balance(torch.autograd.Function):
    """Eq. 25, where both gradients are known: on the way back."""

    @staticmethod
    def forward(ctx: Any, x: Images, share: float) -> tuple[Images, Images]:
        ctx.share = share
        return x.clone(), x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Images) -> tuple[Images, None]:
        leading, following = gradients
        scale = ctx.share * leading.norm() / following.norm().clamp(min=TINY)
        return leading + scale * following, None


def balance(x_generated: Images, share: float) -> tuple[Images, Images]:
    """The same images twice, for two losses whose gradients shall keep a proportion, whatever their sizes.

    Args:
        x_generated: the images generated.
        share: how large the gradient of what the second are used for shall be beside that of the first, by the norms
            over the whole batch.

    Source: docs/method.md, eq. 25; Esser et al. 2021 (Taming transformers), eq. 7, at the image instead of the last
    layer.
    """
    first, second = _Balance.apply(x_generated, share)
    return first, second


def r1_penalty(on_real: Patches, x: Images) -> Scalar:
    """Half the squared gradient of the discriminator at real images, mean over the batch.

    Args:
        on_real: the logits of x.
        x: real images that require a gradient.

    Source: docs/method.md, eq. 21; Mescheder et al. 2018, eq. 9.
    """
    (gradient,) = torch.autograd.grad(on_real.mean(dim=1).sum(), x, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()


def variance_loss(code: Code) -> Scalar:
    """How far the standard deviations of a code's dimensions over the batch fall short of 1; 0 where none does.

    Keeps a code from being constant, which the cycle losses alone would reward.

    Args:
        code: of at least two images.

    Source: docs/method.md, eq. 14; Bardes et al. 2022 (VICReg), eq. 1, with gamma = 1 and eps = 1e-4.
    """
    return F.relu(1 - (code.var(dim=0) + 1e-4).sqrt()).mean()
