"""One function for each equation, then the weighted sum.

Every term is a mean over batch and elements. Terms over a pair are sums over its two pictures: since the two
halves of a batch are averaged together here, such a term carries the factor 2.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from chiasm.config import LossConfig
from chiasm.cross import Codes, Images, disassemble, draw, mix, reassemble, swap_halves
from chiasm.data import UNLABELLED
from chiasm.networks import CrossModel
from chiasm.networks.reader import CodeReader

Scalar = Float[Tensor, ""]
Code = Float[Tensor, "n code"]
Logits = Float[Tensor, "n classes"]
Classes = Int[Tensor, "n"]

PICTURES_IN_A_PAIR = 2


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


def code_decay(code: Code) -> Scalar:
    """Mean over the batch of a code's squared length.

    With noise on the code this bounds what the code can carry: its signal must stand out from the noise.

    Source: Gabbay & Hoshen 2020 (LORD), eq. 4: activation decay beside noise on the content code.
    """
    return code.square().sum(dim=1).mean()


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


class Objective(nn.Module):
    """The weighted sum of all terms on one batch; the one module whose forward pass trains the model.

    Args:
        model: the networks.
        config: the weight of every term; a term of weight 0 is not computed.
        num_classes: classes that the adversary tells apart; needed only where it has a weight.
        slice_size: pictures to draw at a time, see cross.draw.
    """

    def __init__(self, model: CrossModel, config: LossConfig, num_classes: int = 0, slice_size: int = 0) -> None:
        super().__init__()
        self.slice_size = slice_size
        self.model = model
        self.config = config
        if config.weight_adversary > 0:
            self.adversary = CodeReader(model.config.code_b, num_classes)

    def forward(self, x: Images, x_partner: Images | None, classes: Classes | None, used: float) -> dict[str, Scalar]:
        """The weighted terms, by name; their sum is the loss.

        Args:
            x: [x1; x2], an even number of pictures in [-1, 1].
            x_partner: for each picture another one of its class, needed by the swap term alone.
            classes: of the pictures, -1 for unlabelled ones; needed by the adversary alone.
            used: the fraction of the training that is over, by which noise and crossing may start late.
        """
        config, model = self.config, self.model
        crossing = config.crosses and used >= config.cross_start
        terms: dict[str, Scalar] = {}
        a, a_partner = self._codes_a(x, x_partner, needs_own=config.weight_direct > 0 or crossing)
        b = model.encoder_b(x)
        if config.decay_b > 0:
            terms["decay_b"] = config.decay_b * code_decay(b)
        if self.training and config.noise_b > 0:
            b = b + config.noise_at(used) * torch.randn_like(b)
        if config.weight_adversary > 0 and classes is not None:
            terms |= self._adversary_terms(b, classes)
        if a_partner is not None:
            terms["swap"] = config.weight_swap * self._picture_loss(x, Codes(a_partner, b))
        if config.weight_direct > 0:
            terms["direct"] = config.weight_direct * self._picture_loss(x, Codes(a, b))
        if crossing:
            terms |= self._crossing_terms(x, Codes(a, b))
        return terms

    def _codes_a(self, x: Images, x_partner: Images | None, needs_own: bool) -> tuple[Tensor, Tensor | None]:
        """Code A of the pictures and of their partners, read in one pass; what is not needed is not read."""
        encoder_a = self.model.encoder_a
        if x_partner is None or self.config.weight_swap == 0:
            return encoder_a(x), None
        if not needs_own:
            return x.new_empty(0), encoder_a(x_partner)
        own, partner = encoder_a(torch.cat([x, x_partner])).chunk(2)
        return own, partner

    def _picture_loss(self, x: Images, codes: Codes) -> Scalar:
        x_drawn = draw(self.model, codes, self.slice_size)
        return picture_loss(x, x_drawn, self.config.weight_worst, self.config.worst_fraction)

    def _adversary_terms(self, b: Code, classes: Classes) -> dict[str, Scalar]:
        """The adversary learns to read the class from code B as it is; the encoder learns to leave it no clue."""
        frozen = {name: p.detach() for name, p in self.adversary.named_parameters()}
        return {
            "reader_b": reader_loss(self.adversary(b.detach()), classes),
            "adversary": self.config.weight_adversary * confusion_loss(functional_call(self.adversary, frozen, (b,))),
        }

    def _crossing_terms(self, x: Images, codes: Codes) -> dict[str, Scalar]:
        """Eq. 1 to 3: mix, take apart, mix again."""
        config = self.config
        terms: dict[str, Scalar] = {}
        codes_of_mix = disassemble(self.model, mix(self.model, codes, self.slice_size))
        if config.weight_rec > 0:
            terms["rec"] = config.weight_rec * home_loss(x, reassemble(self.model, codes_of_mix, self.slice_size))
        if config.cycle_a > 0:
            terms["cycle_a"] = config.cycle_a * code_cycle_loss(codes.a, codes_of_mix.a)
        if config.cycle_b > 0:
            terms["cycle_b"] = config.cycle_b * code_cycle_loss(codes.b, swap_halves(codes_of_mix.b))
        return terms
