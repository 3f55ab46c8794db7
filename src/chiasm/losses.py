"""One function for each equation; chiasm.objective weighs and sums them.

Every term is a mean over batch and elements. Terms over a pair are sums over its two pictures: since the two
halves of a batch are averaged together here, such a term carries the factor 2.
"""

import math

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
Unlike = Bool[Tensor, "n"]
Patches = Float[Tensor, "n 1 h w"]

PICTURES_IN_A_PAIR = 2
MIN_CONTRAST = 0.01
MARGIN = 4.0
"""Between codes under noise of standard deviation 1, one in forty is then nearer to the wrong one."""


def home_loss(x: Images, x_rec: Images) -> Scalar:
    """Mean absolute error of pictures that were mixed twice, summed over the pair.

    Args:
        x: the originals [x1; x2], in [-1, 1].
        x_rec: the same pictures after crossing twice.

    Source: spec/cross-training.md, eq. 1, with the L1 norm.
    """
    return PICTURES_IN_A_PAIR * (x_rec - x).abs().mean()


def code_cycle_loss(code: Code, code_reread: Code) -> Scalar:
    """Squared change of a code after its picture was mixed, summed over the pair.

    Zero when the generator carries the factor through the mix untouched.

    Args:
        code: codes of the originals [x1; x2].
        code_reread: the same codes read back from the mixed pictures, in the order of the originals.

    Source: spec/cross-training.md, eq. 2 (code A) and eq. 3 (code B).
    """
    return PICTURES_IN_A_PAIR * (code_reread - code).square().mean()


def picture_loss(x: Images, x_drawn: Images, weight_worst: float, worst_fraction: float) -> Scalar:
    """Mean absolute error, plus a weighted mean over each picture's worst pixels.

    The plain mean is best served by leaving out what is small: an expression covers a few percent of a face.
    The mean over the worst pixels (an error averaged over the three channels) is moved by just these.

    Args:
        x: the pictures wanted, in [-1, 1].
        x_drawn: the pictures drawn.
        weight_worst: weight of the worst pixels' mean error.
        worst_fraction: the fraction of pixels that counts as worst, in (0, 1].

    Source: top-k ("hard pixel") error averaging, as in the bootstrapped loss of Pohlen et al. 2017, eq. 7.
    """
    error = (x_drawn - x).abs().mean(dim=1).flatten(1)  # n, pixels
    loss = error.mean()
    if weight_worst == 0:
        return loss
    num_worst = max(1, round(worst_fraction * error.shape[1]))
    return loss + weight_worst * error.topk(num_worst, dim=1, sorted=False).values.mean()


def squared_loss(x: Images, x_drawn: Images) -> Scalar:
    """Mean squared error: unlike the absolute one it has a detail that is wholly wrong outweigh many small errors.

    Args:
        x: the pictures wanted, in [-1, 1].
        x_drawn: the pictures drawn.
    """
    return (x_drawn - x).square().mean()


def contrast_loss(x: Images, x_drawn: Images, x_near: Images) -> Scalar:
    """Mean absolute error, each pixel weighted by how much it differs between two much alike pictures.

    Where two pictures of a class are alike but for the expression, all weight lies on the face, which the plain mean
    hardly sees: a code B that costs something is else better silent about it. Where pictures of two classes are alike
    but for a pair of glasses, it lies on these. A picture's weights have the mean 1, or less where the two hardly
    differ.

    Args:
        x: the pictures wanted, in [-1, 1].
        x_drawn: the pictures drawn.
        x_near: for each picture one that is much like it.
    """
    contrast = (x - x_near).abs().mean(dim=1).flatten(1)  # n, pixels
    weights = contrast / (contrast.mean(dim=1, keepdim=True) + MIN_CONTRAST)
    return (weights * (x_drawn - x).abs().mean(dim=1).flatten(1)).mean()


def code_decay(code: Code) -> Scalar:
    """Mean over the batch of a code's squared length.

    With noise on the code this bounds what the code can carry: its signal must stand out from the noise.

    Source: Gabbay & Hoshen 2020 (LORD), eq. 4: activation decay beside noise on the content code.
    """
    return code.square().sum(dim=1).mean()


def still_loss(code: Code, code_still: Code) -> Scalar:
    """Mean over the batch of the squared distance between the codes of moved pictures and of the same ones unmoved.

    Args:
        code: codes of moved pictures.
        code_still: of the pictures as they are.

    Source: Sajjadi et al. 2016, eq. 1: agreement between transformations of a picture.
    """
    return (code - code_still).square().sum(dim=1).mean()


def apart_loss(code: Code, code_other: Code, unlike: Unlike | None = None) -> Scalar:
    """How far two codes fall short of standing MARGIN apart: the mean of the squared shortfall, in [0, 1].

    Two pictures of a class differ in what code B shall carry, and in nothing else; two that look alike, of different
    classes, differ in what code A shall carry. Those whose codes stand together are alike but for a detail, so that
    the pull is on the details; an error of the picture alone hardly moves them, for they cover few pixels.

    Args:
        code: codes of pictures, without noise.
        code_other: codes of other pictures: B of the same classes, or A of different ones.
        unlike: which of the pairs count; all by default. Zero where none does.

    Source: Hadsell et al. 2006, eq. 4: the contrastive loss of two unlike inputs.
    """
    distance = ((code - code_other).square().sum(dim=1) + 1e-6).sqrt()
    shortfall = F.relu(1 - distance / MARGIN).square()
    if unlike is None:
        return shortfall.mean()
    return (shortfall * unlike).sum() / unlike.sum().clamp(min=1)


def reader_loss(logits: Logits, classes: Classes) -> Scalar:
    """Cross-entropy of a class reader over the labelled pictures; 0 where none is labelled.

    Args:
        logits: of the classes.
        classes: the true ones, or -1 for an unlabelled picture.
    """
    labelled = classes >= 0
    total = F.cross_entropy(logits, classes, ignore_index=UNLABELLED, reduction="sum")
    return total / labelled.sum().clamp(min=1)


def confusion_loss(logits: Logits) -> Scalar:
    """How far a reader is from having no idea: the divergence of its answer from the uniform one, in nats.

    Zero when every class is equally likely to it. Unlike the negative cross-entropy of a reversed gradient it
    is bounded below, so that a code is not driven from one wrong class to the next.

    Args:
        logits: of the classes, read from the code that shall not tell them.

    Source: Tzeng et al. 2015, "Simultaneous deep transfer across domains and tasks", eq. 3.
    """
    return -F.log_softmax(logits, dim=1).mean() - math.log(logits.shape[1])


def discriminator_loss(kind: str, on_real: Patches, on_mixed: Patches) -> Scalar:
    """What the discriminator minimises: tell real pictures from mixed ones.

    Args:
        kind: "hinge" or "lsgan".
        on_real: its logits for real pictures.
        on_mixed: its logits for mixed ones.

    Source: Lim & Ye 2017 (hinge); Mao et al. 2017, eq. 9 (lsgan).
    """
    if kind == "hinge":
        return F.relu(1 - on_real).mean() + F.relu(1 + on_mixed).mean()
    return 0.5 * ((on_real - 1).square().mean() + on_mixed.square().mean())


def realism_loss(kind: str, on_mixed: Patches) -> Scalar:
    """What the generator minimises: mixed pictures that the discriminator takes for real.

    Source: as of discriminator_loss.
    """
    return -on_mixed.mean() if kind == "hinge" else 0.5 * (on_mixed - 1).square().mean()


def r1_penalty(on_real: Patches, x: Images) -> Scalar:
    """Half the squared gradient of the discriminator at real pictures, mean over the batch.

    Args:
        on_real: the logits of x.
        x: real pictures that require a gradient.

    Source: Mescheder et al. 2018, eq. 9.
    """
    (gradient,) = torch.autograd.grad(on_real.mean(dim=(1, 2, 3)).sum(), x, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()


def spread_loss(code: Code) -> Scalar:
    """How far the standard deviations of a code's dimensions over the batch fall short of 1; 0 where none does.

    Keeps a code from being constant, which the cycle losses alone would reward.

    Args:
        code: of at least two pictures.

    Source: Bardes et al. 2022 (VICReg), eq. 1, with gamma = 1 and eps = 1e-4.
    """
    return F.relu(1 - (code.var(dim=0) + 1e-4).sqrt()).mean()
