"""The weighted sums: what the networks minimise, and what the discriminator minimises."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from chiasm.config import GanConfig, LossConfig
from chiasm.cross import Codes, Images, disassemble, disturb, draw, mix, move, reassemble, swap_halves
from chiasm.losses import (
    Classes,
    Code,
    Scalar,
    Unlike,
    apart_loss,
    code_cycle_loss,
    code_decay,
    confusion_loss,
    contrast_loss,
    discriminator_loss,
    home_loss,
    picture_loss,
    r1_penalty,
    reader_loss,
    realism_loss,
    spread_loss,
    squared_loss,
    still_loss,
)
from chiasm.networks import CrossModel
from chiasm.networks.discriminator import Discriminator
from chiasm.networks.reader import CodeReader, PictureReader


class Outcome(NamedTuple):
    """The weighted terms of one batch, and the mixed pictures (without gradient) where any term needed them."""

    terms: dict[str, Scalar]
    x_mix: Images | None


def _frozen(module: nn.Module) -> Callable[..., Tensor]:
    """A module whose output has a gradient in its inputs, but none in its weights."""
    weights = {name: p.detach() for name, p in module.named_parameters()}
    return lambda *inputs: functional_call(module, weights, inputs)


class Objective(nn.Module):
    """The weighted sum of all terms on one batch; the one module whose forward pass trains the networks.

    Args:
        model: the networks.
        config: the weight of every term; a term of weight 0 is not computed.
        gan: likewise for the GAN loss.
        num_classes: classes that the adversary and the reader tell apart; needed only where these have a weight.
        slice_size: pictures to draw at a time, see cross.draw.
    """

    def __init__(
        self,
        model: CrossModel,
        config: LossConfig,
        gan: GanConfig | None = None,
        *,
        num_classes: int = 0,
        slice_size: int = 0,
    ) -> None:
        super().__init__()
        self.slice_size = slice_size
        self.gan = gan or GanConfig()
        self.model = model
        self.config = config
        if config.weight_adversary > 0:
            self.adversary = CodeReader(model.config.code_b, num_classes)
        if config.weight_reader > 0:
            self.reader = PictureReader(model.config.encoder_widths, num_classes)

    def forward(
        self,
        x: Images,
        x_partner: Images | None,
        classes: Classes | None,
        used: float,
        discriminator: nn.Module | None = None,
        x_near: Images | None = None,
        others: Unlike | None = None,
    ) -> Outcome:
        """The weighted terms, by name, whose sum is the loss.

        Args:
            x: [x1; x2], an even number of pictures in [-1, 1].
            x_partner: for each picture another one of its class, for the swap term and for codes B to stand apart.
            classes: of the pictures, -1 for unlabelled ones; needed by adversary, reader and discriminator.
            used: the fraction of the training that is over; crossing and the GAN loss may start late.
            discriminator: judges mixed pictures; its weights get no gradient from here.
            x_near: for each picture one that is much like it, needed by the contrast term, and at odd places for
                codes A to stand apart.
            others: which of x_near are known to be of another class than their picture; no codes A stand apart
                without it.
        """
        config, model = self.config, self.model
        crossing = config.crosses and used >= config.cross_start
        reads = classes if config.weight_reader > 0 else None
        mixes = crossing or reads is not None or discriminator is not None
        terms: dict[str, Scalar] = {}
        x_other = None if x_near is None or others is None or config.weight_apart == 0 else x_near[1::2]
        a, a_partner, a_other = self._codes_a(x, x_partner, x_other, needs_own=config.weight_direct > 0 or mixes)
        b, b_partner, b_still = self._codes_b(x, x_partner)
        if a_other is not None and others is not None:
            terms["apart_a"] = config.weight_apart * apart_loss(a_partner[1::2], a_other, others[1::2])
        if b_partner is not None:
            terms["apart_b"] = config.weight_apart * apart_loss(b, b_partner)
        if config.decay_b > 0:
            terms["decay_b"] = config.decay_b * code_decay(b)
        if config.weight_spread > 0:
            terms["spread"] = config.weight_spread * (spread_loss(a) + spread_loss(b))
        if b_still is not None:
            terms["still"] = config.weight_still * still_loss(b, b_still)
        b = self._with_noise(b)
        if config.weight_adversary > 0 and classes is not None:
            read = [b] if b_still is None else [b, self._with_noise(b_still)]
            terms |= self._adversary_terms(torch.cat(read), classes.repeat(len(read)))
        if x_partner is not None and config.weight_swap > 0:
            terms["swap"] = config.weight_swap * self._picture_loss(x, Codes(a_partner, b), x_near)
        if config.weight_direct > 0:
            terms["direct"] = config.weight_direct * self._picture_loss(x, Codes(a, b), x_near)
        x_mix = mix(model, Codes(a, b), self.slice_size) if mixes else None
        if x_mix is not None and crossing:
            terms |= self._crossing_terms(x, Codes(a, b), x_mix)
        if x_mix is not None and reads is not None:
            terms |= self._reader_terms(x, x_mix, reads)
        if x_mix is not None and discriminator is not None and self.gan.weight_at(used) > 0:
            judged = _frozen(discriminator)(x_mix, classes)
            terms["gan"] = self.gan.weight_at(used) * realism_loss(self.gan.kind, judged)
        return Outcome(terms, None if x_mix is None else x_mix.detach())

    def _codes_a(
        self, x: Images, x_partner: Images | None, x_other: Tensor | None, needs_own: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Code A of the pictures, of their partners, and of others that these are to stand apart from, in one pass.

        Where the pictures' own codes are not needed, the partners', which show the same class, stand for them;
        where there are no partners, the other way round.
        """
        partner = x_partner if self.config.weight_swap > 0 else None
        own = x if needs_own or partner is None else None
        seen = [part for part in (own, partner, x_other) if part is not None]
        codes = self.model.encoder_a(torch.cat(seen)).split([len(part) for part in seen])
        shown, other = (codes, None) if x_other is None else (codes[:-1], codes[-1])
        return shown[0], shown[-1], other

    def _codes_b(self, x: Images, x_partner: Images | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Code B of the pictures, of their partners where these are to stand apart, and of the pictures unmoved.

        In training the first two are read from moved pictures, so that they cannot tell where things stand more
        exactly than that. All are read in one pass.
        """
        reach = self.config.move_b if self.training else 0.0
        partner = x_partner if self.config.weight_apart > 0 else None
        still = x if self.config.move_b > 0 and self.config.weight_still > 0 else None
        moved = [move(part, reach) for part in (x, partner) if part is not None]
        seen = moved if still is None else [*moved, still]
        codes = self.model.encoder_b(torch.cat(seen)).split(len(x))
        return codes[0], None if partner is None else codes[1], None if still is None else codes[-1]

    def _with_noise(self, b: Code) -> Code:
        sigma = self.config.noise_b if self.training else 0.0
        return b + sigma * torch.randn_like(b) if sigma > 0 else b

    def _picture_loss(self, x: Images, codes: Codes, x_near: Images | None) -> Scalar:
        x_drawn = draw(self.model, codes, self.slice_size)
        loss = picture_loss(x, x_drawn, self.config.weight_worst, self.config.worst_fraction)
        if self.config.weight_squared > 0:
            loss = loss + self.config.weight_squared * squared_loss(x, x_drawn)
        if self.config.weight_contrast > 0 and x_near is not None:
            loss = loss + self.config.weight_contrast * contrast_loss(x, x_drawn, x_near)
        return loss

    def _adversary_terms(self, b: Code, classes: Classes) -> dict[str, Scalar]:
        """The adversary learns to read the class from code B as it is; the encoder learns to leave it no clue."""
        return {
            "reader_b": reader_loss(self.adversary(b.detach()), classes),
            "adversary": self.config.weight_adversary * confusion_loss(_frozen(self.adversary)(b)),
        }

    def _reader_terms(self, x: Images, x_mix: Images, classes: Classes) -> dict[str, Scalar]:
        """The reader learns the classes of real pictures; mixed ones must show it the class of their A."""
        return {
            "reader_x": reader_loss(self.reader(x), classes),
            "reader_mix": self.config.weight_reader * reader_loss(_frozen(self.reader)(x_mix), classes),
        }

    def _crossing_terms(self, x: Images, codes: Codes, x_mix: Images) -> dict[str, Scalar]:
        """Eq. 1 to 3: take the mixed pictures apart, mix again."""
        config = self.config
        terms: dict[str, Scalar] = {}
        codes_of_mix = disassemble(self.model, disturb(x_mix, config.noise_mix if self.training else 0.0))
        if config.weight_rec > 0:
            terms["rec"] = config.weight_rec * home_loss(x, reassemble(self.model, codes_of_mix, self.slice_size))
        if config.cycle_a > 0:
            terms["cycle_a"] = config.cycle_a * code_cycle_loss(codes.a, codes_of_mix.a)
        if config.cycle_b > 0:
            terms["cycle_b"] = config.cycle_b * code_cycle_loss(codes.b, swap_halves(codes_of_mix.b))
        return terms


class DiscriminatorObjective(nn.Module):
    """What the discriminator minimises; it never touches the networks that it judges.

    Args:
        config: kind of loss, widths and penalty.
        num_classes: classes that the discriminator is told of; 0 for none.
    """

    def __init__(self, config: GanConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.discriminator = Discriminator(config.widths, num_classes if config.conditional else 0)

    def forward(self, x: Images, x_mix: Images, classes: Classes | None) -> dict[str, Scalar]:
        """The weighted terms, by name.

        Args:
            x: real pictures [x1; x2].
            x_mix: mixed ones [x_a1b2; x_a2b1], which show the same classes in this order, without gradient.
            classes: of both, -1 for unlabelled ones.
        """
        penalised = self.config.r1 > 0 and torch.is_grad_enabled()
        x = x.detach().requires_grad_(penalised)
        on_real = self.discriminator(x, classes)
        on_mixed = self.discriminator(x_mix, classes)
        terms = {"discriminator": discriminator_loss(self.config.kind, on_real, on_mixed)}
        if penalised:
            terms["r1"] = self.config.r1 * r1_penalty(on_real, x)
        return terms
