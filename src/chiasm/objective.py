"""The weighted sum that the networks minimise."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from chiasm.augment import change, random_shift
from chiasm.batch import Batch, BatchCodes, LossTerms, Terms, choose_partners
from chiasm.config import Augmentation, Config, DataConfig, GanConfig, LossConfig
from chiasm.cross import Codes, Images, add_noise, disassemble, generate, mix, reassemble, swap_halves
from chiasm.data import ImageSet
from chiasm.discriminator_objective import DiscriminatorObjective
from chiasm.draws import uniform
from chiasm.loss_config import Need
from chiasm.losses import (
    Classes,
    Code,
    HalfCode,
    Scalar,
    balance,
    classification_loss,
    code_cycle_loss,
    code_decay,
    confusion_loss,
    consistency_loss,
    contrastive_loss,
    cycle_consistency_loss,
    difference_weighted_l1,
    perceptual_loss,
    realism_loss,
    reconstruction_loss,
    spreads,
    squared_loss,
    variance_loss,
)
from chiasm.networks import CrossModel
from chiasm.networks.classifier import CodeClassifier, ImageClassifier
from chiasm.networks.discriminator import AnyDiscriminator
from chiasm.networks.photo_features import PhotoFeatures

CYCLE_SHARE = 0.15
"""In the inversion, the weight of finding code B again as a share of that of the perceptual loss: a larger one keeps
more of x2's pose and less of x1's person in a mix. Chosen on people of validation, see docs/lab-notes.md."""
REFINEMENT_OWN = 0.5
"""In the refinement, the share of images that are drawn from their own code A: a larger one keeps more of x1's person
and less of x2's pose in a mix. Likewise."""


def frozen(module: nn.Module) -> Callable[..., Tensor]:
    """A module whose output has a gradient in its inputs, but none in its weights."""
    weights = {name: p.detach() for name, p in module.named_parameters()}
    return lambda *inputs: functional_call(module, weights, inputs)


class Objective(nn.Module):
    """The weighted sum of all terms on one batch; the one module whose forward pass trains the networks.

    Args:
        model: the networks.
        config: the weight of every term; a term of weight 0 is not computed.
        gan: likewise for the GAN loss.
        num_classes: classes of the adversary and of the classifier; needed only where these have a weight.
        slice_size: images to generate at a time, see cross.generate.
        discriminator: of mixes or swaps; it is trained elsewhere, and gets no gradient from here.
        data: what each code must ignore.
    """

    def __init__(
        self,
        model: CrossModel,
        config: LossConfig,
        gan: GanConfig | None = None,
        *,
        num_classes: int = 0,
        slice_size: int = 0,
        discriminator: AnyDiscriminator | None = None,
        data: DataConfig | None = None,
    ) -> None:
        super().__init__()
        self.data = data or DataConfig()
        self.slice_size = slice_size
        self.gan = gan or GanConfig()
        self.model = model
        self.config = config
        # In a tuple, so that its weights are no part of this module.
        self._photo_features = (PhotoFeatures(),) if config.weight_perceptual > 0 else ()
        if config.weight_adversary > 0:
            self.adversary = CodeClassifier(model.config.code_b, num_classes)
        if config.weight_classifier > 0:
            self.classifier = ImageClassifier(model.config.encoder_widths, num_classes)
        # Likewise.
        self._discriminators: tuple[AnyDiscriminator, ...] = () if discriminator is None else (discriminator,)

    def forward(self, batch: Batch, progress: float) -> LossTerms:
        """The weighted terms, by name, whose sum is the loss (docs/method.md, section 3).

        Args:
            batch: the images.
            progress: the fraction of the training that is over; crossing and the GAN loss may start late, after
                fractions of the part in which all networks learn.
        """
        stage, progress = self.config.stage(progress)
        if self.training and stage != "all":
            return self._invert(batch) if stage == "inversion" else self._refine(batch)
        crossing = self.config.crosses and progress >= self.config.cross_start
        classifying = batch.classes if self.config.weight_classifier > 0 else None
        judging = self.gan.judges if self._discriminators and progress >= self.gan.start else None
        mixing = crossing or classifying is not None or judging == "mixes"
        batch = choose_partners(batch, self.data, self.training)
        codes = self._read_codes(batch, mixing)
        terms = self._contrastive_terms(batch, codes) | self._code_terms(codes)
        b = self._with_noise(codes.b)
        terms |= self._adversary_terms(b, codes, batch.classes)
        weight, x_judged = self.gan.weight_at(progress), None
        if batch.x_partner is not None and self.config.weight_swap > 0:
            x_swap = generate(self.model, Codes(codes.a_partner, b), self.slice_size)
            x_judged = x_swap if judging == "swaps" else None
            judged = weight if judging == "swaps" else 0.0
            terms |= self._drawn_terms("swap", self.config.weight_swap, batch, x_swap, judged)
        if self.config.weight_direct > 0:
            x_direct = generate(self.model, Codes(codes.a, b), self.slice_size)
            terms["direct"] = self.config.weight_direct * self._distance(batch, x_direct)
        if mixing:
            x_mix = mix(self.model, Codes(codes.a, b), self.slice_size)
            if crossing:
                terms |= self._crossing_terms(batch.x, Codes(codes.a, b), x_mix)
            if classifying is not None:
                terms |= self._classifier_terms(batch.x, x_mix, classifying)
            if judging == "mixes":
                x_judged = x_mix
                terms |= self._gan_terms(x_mix, batch.classes, weight)
        return LossTerms(terms, None if x_judged is None else x_judged.detach())

    def needs(self, data: Need) -> bool:
        """Whether any term needs these data."""
        return bool(self.config.keys_that_need(data))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The parameters as an optimiser takes them, each group with its share of the step size."""
        return [{"params": list(self.parameters()), "lr_share": 1.0}]

    def _read_codes(self, batch: Batch, mixing: bool) -> BatchCodes:
        """Codes A and codes B of all images that any term needs, each encoder in one pass."""
        a, a_partner, a_negative = self._read_codes_a(batch, needs_own=mixing or self.config.weight_direct > 0)
        return BatchCodes(a, a_partner, a_negative, *self._read_codes_b(batch))

    def _read_codes_a(self, batch: Batch, needs_own: bool) -> tuple[Code, Code, HalfCode | None]:
        contrasts = self.config.contrastive_a > 0 and batch.is_negative is not None
        negative = batch.x_negative if contrasts else None
        partner = batch.x_partner if self.config.weight_swap > 0 else None
        own = batch.x if needs_own or partner is None else None
        seen = [part for part in (own, partner, negative) if part is not None]
        changed = self._changed(torch.cat(seen), self.data.a_ignores)
        codes = list(self.model.encoder_a(changed).split([len(part) for part in seen]))
        of_negative = None if negative is None else codes.pop()
        a_partner = codes[-1] if partner is None else self._mean_code(codes.pop().unflatten(0, (-1, len(batch.x))))
        return codes[0] if codes else a_partner, a_partner, of_negative

    def _mean_code(self, each: Float[Tensor, "k n a"]) -> Code:
        """The mean over the codes A of partners; in training over the first of them, for each image one to all."""
        if len(each) == 1:
            return each[0]
        num = torch.full_like(each[0, :, 0], len(each))
        if self.training:
            num = 1 + (uniform(num) * num).floor()
        counts = torch.arange(len(each), device=each.device)[:, None] < num
        return (each * (counts / num)[:, :, None]).sum(dim=0)

    def _read_codes_b(self, batch: Batch) -> tuple[Code, Code | None, Code | None]:
        """In training of shifted images, so that codes B cannot tell more exactly than that where things stand."""
        x = batch.x if batch.x_alike is None else batch.x_alike
        reach = self.config.shift_b if self.training else 0.0
        changed = self.data.supervision == "augmentations"  # an image is its own partner: unchanged, the same codes
        compared = self.config.weight_contrastive > 0 and (self.training or not changed)
        partner = batch.x_partner if compared else None
        partner = None if partner is None else partner[: len(batch.x)]
        if partner is not None and changed:
            partner = self._changed(partner, self.data.a_ignores)
        unshifted = x if self.config.shift_b > 0 and self.config.weight_consistency > 0 else None
        seen = [random_shift(part, reach) for part in (x, partner) if part is not None]
        seen += [] if unshifted is None else [unshifted]
        codes = self.model.encoder_b(self._changed(torch.cat(seen), self.data.b_ignores)).split(len(x))
        return codes[0], None if partner is None else codes[1], None if unshifted is None else codes[-1]

    def _changed(self, x: Images, ignored: tuple[Augmentation, ...]) -> Images:
        """In training images that are changed in what a code must ignore."""
        return change(x, ignored, self.data.strength) if self.training else x

    def _contrastive_terms(self, batch: Batch, codes: BatchCodes) -> Terms:
        """Eq. 12: codes B of two images of a class, and codes A of similar images of two classes."""
        terms = Terms()
        if codes.a_negative is not None:
            width = self.model.config.code_a  # maps differ by what is where
            of_class, of_negative = codes.a_partner[1::2, :width], codes.a_negative[:, :width]
            loss = contrastive_loss(of_class, of_negative, batch.is_negative)
            terms["contrastive_a"] = self.config.contrastive_a * loss
        if codes.b_partner is not None:
            loss = contrastive_loss(codes.b, codes.b_partner, batch.has_partner)
            terms["contrastive_b"] = self.config.weight_contrastive * loss
        return terms

    def _code_terms(self, codes: BatchCodes) -> Terms:
        """What is asked of the codes alone: short ones, that vary, and that do not depend on a shift."""
        config, terms = self.config, Terms()
        if config.decay_b > 0:
            terms["decay_b"] = config.decay_b * code_decay(codes.b)
        if config.weight_variance > 0:
            terms["variance"] = config.weight_variance * (variance_loss(codes.a) + variance_loss(codes.b))
        if codes.b_unshifted is not None:
            terms["consistency"] = config.weight_consistency * consistency_loss(codes.b, codes.b_unshifted)
        return terms

    def _with_noise(self, b: Code) -> Code:
        return add_noise(b, self.config.noise_b if self.training else 0.0)

    def _adversary_terms(self, b: Code, codes: BatchCodes, classes: Classes | None) -> Terms:
        """Eq. 15 and 16: the adversary learns the class from noisy codes B; the encoder learns to hide it there."""
        if self.config.weight_adversary == 0 or classes is None:
            return {}
        if codes.b_unshifted is not None:
            b, classes = torch.cat([b, self._with_noise(codes.b_unshifted)]), classes.repeat(2)
        return {
            "classifier_b": classification_loss(self.adversary(b.detach()), classes),
            "adversary": self.config.weight_adversary * confusion_loss(frozen(self.adversary)(b)),
        }

    def _distance(self, batch: Batch, x_generated: Images, weight_spread: float = 0.0) -> Scalar:
        """How far images generated are from x; with a weight also in how much their features vary (eq. 30)."""
        config, x_similar = self.config, batch.x_similar
        loss = reconstruction_loss(batch.x, x_generated, config.weight_topk, config.topk_fraction)
        if config.weight_squared > 0:
            loss = loss + config.weight_squared * squared_loss(batch.x, x_generated)
        for features in self._photo_features:
            features.to(batch.x.device)
            with torch.no_grad():
                wanted = features(batch.x)
            generated = features(x_generated)
            photo_loss = perceptual_loss(wanted, generated)
            if weight_spread > 0:
                photo_loss = photo_loss + weight_spread * perceptual_loss(spreads(wanted), spreads(generated))
            loss = loss + config.weight_perceptual * photo_loss
        if config.weight_difference > 0 and x_similar is not None:
            loss = loss + config.weight_difference * difference_weighted_l1(batch.x, x_generated, x_similar)
        return loss

    def _crossing_terms(self, x: Images, codes: Codes, x_mix: Images) -> Terms:
        """Eq. 1 to 3: disassemble the mixed images, mix again."""
        config, terms = self.config, Terms()
        codes_of_mix = disassemble(self.model, add_noise(x_mix, config.noise_mix if self.training else 0.0))
        if config.weight_rec > 0:
            x_rec = reassemble(self.model, codes_of_mix, self.slice_size)
            terms["rec"] = config.weight_rec * cycle_consistency_loss(x, x_rec)
        if config.cycle_a > 0:
            terms["cycle_a"] = config.cycle_a * code_cycle_loss(codes.a, codes_of_mix.a)
        if config.cycle_b > 0:
            terms["cycle_b"] = config.cycle_b * code_cycle_loss(codes.b, swap_halves(codes_of_mix.b))
        return terms

    def _invert(self, batch: Batch) -> LossTerms:
        """Eq. 27: an image from its own codes, and the other image's code B found again in the mix with it."""
        # Nothing looks at partners here.
        batch, model = choose_partners(batch._replace(x_partner=None), self.data, training=True), self.model
        draw, read_b = frozen(model.generator), frozen(model.encoder_b)
        b = self._handed_out_b(batch)
        a = model.encoder_a(self._changed(batch.x, self.data.a_ignores))
        terms, x_judged = self._judged_terms("inversion", batch, draw(a, b))
        if (weight := CYCLE_SHARE * self.config.weight_perceptual) > 0:
            others_b = swap_halves(b)
            terms["inversion_b"] = weight * code_cycle_loss(others_b, read_b(draw(a, others_b)))
        return LossTerms(terms, x_judged)

    def _refine(self, batch: Batch) -> LossTerms:
        """Eq. 28: an image from its partner's code A, or for some its own, and its code B as mixes have it."""
        # Nothing is contrasted here.
        batch = choose_partners(batch._replace(is_negative=None), self.data, training=True, own=REFINEMENT_OWN)
        model = self.model
        model.encoder_a.eval()
        with torch.no_grad():
            _, a, _ = self._read_codes_a(batch, needs_own=False)
        x_drawn = generate(model, Codes(a, self._handed_out_b(batch)), self.slice_size)
        return LossTerms(*self._judged_terms("refinement", batch, x_drawn))

    def _handed_out_b(self, batch: Batch) -> Code:
        """Codes B as mixes have them, of an encoder B that learns no more.

        Where these are means of neighbours (eq. 23), the image's own class is none of them, as in a mix.
        """
        model = self.model
        model.encoder_b.eval()  # its statistics must not follow what is drawn
        with torch.no_grad():
            b = model.encoder_b(batch.x if batch.x_alike is None else batch.x_alike)
        if model.codes_b is None or len(model.codes_b) < 2 or batch.classes is None:
            return model.round_b(b)
        return model.hand_out_b(b, apart_from=batch.classes[:, None] == model.classes_b)

    def _judged_terms(self, name: str, batch: Batch, x_drawn: Images) -> tuple[Terms, Images | None]:
        """The terms of images that are drawn once not all networks learn, and these for the discriminator of swaps."""
        judged = bool(self._discriminators) and self.gan.judges == "swaps"
        weight_gan = self.gan.weight if judged else 0.0
        terms = self._drawn_terms(name, 1.0, batch, x_drawn, weight_gan, self.config.weight_spread)
        return terms, x_drawn.detach() if judged else None

    def _drawn_terms(
        self, name: str, weight: float, batch: Batch, x_drawn: Images, weight_gan: float, weight_spread: float = 0.0
    ) -> Terms:
        """How far images drawn are from x; with a weight of the GAN loss on swaps the judge has its share (eq. 25)."""
        terms = Terms()
        if weight_gan > 0:
            x_drawn, x_sharper = balance(x_drawn, weight_gan)
            terms |= self._gan_terms(x_sharper, batch.classes, weight_gan)
        return terms | {name: weight * self._distance(batch, x_drawn, weight_spread)}

    def _classifier_terms(self, x: Images, x_mix: Images, classes: Classes) -> Terms:
        """Eq. 17 and 18: the classifier learns from real images; mixed ones must have the class of their A."""
        on_mixed = classification_loss(frozen(self.classifier)(x_mix), classes)
        return {
            "classifier_x": classification_loss(self.classifier(x), classes),
            "classifier_mix": self.config.weight_classifier * on_mixed,
        }

    def _gan_terms(self, x_generated: Images, classes: Classes | None, weight: float) -> Terms:
        """Eq. 20: images that the discriminator takes for real."""
        if weight == 0:
            return {}
        on_generated = frozen(self._discriminators[0])(x_generated, classes)
        return {"gan": weight * realism_loss(self.gan.kind, on_generated)}


def build_objective(config: Config, images: ImageSet) -> tuple[Objective, DiscriminatorObjective | None]:
    """What a configuration trains: the objective of new networks, and that of the discriminator where it has one.

    Args:
        config: the whole experiment.
        images: with the labels that training may see.
    """
    num_classes = len(images.class_names)
    model = CrossModel.of(config)
    discriminator = DiscriminatorObjective(config.gan, num_classes) if config.gan.weight > 0 else None
    objective = Objective(
        model,
        config.loss,
        config.gan,
        num_classes=num_classes,
        slice_size=config.train.slice_size,
        discriminator=None if discriminator is None else discriminator.discriminator,
        data=config.data,
    )
    return objective, discriminator
