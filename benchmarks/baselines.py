"""Other methods on the networks, split, loop and budget of a run, written from their papers.

Each leaves a run folder that `chiasm evaluate` measures like any other:

    python benchmarks/baselines.py lord DATA --minutes 15 --seed 0 --out runs
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from chiasm.batch import Batch, LossTerms
from chiasm.config import Config, LossConfig, TrainConfig
from chiasm.cross import Codes, add_noise, mix, swap_halves
from chiasm.data import ImageSet
from chiasm.discriminator_objective import DiscriminatorObjective
from chiasm.loss_config import Need
from chiasm.losses import code_decay, realism_loss
from chiasm.networks import CrossModel
from chiasm.networks.discriminator import Discriminator
from chiasm.networks.encoder import Encoder
from chiasm.objective import Objective, build_objective, frozen
from chiasm.overrides import changed
from chiasm.presets import from_preset
from chiasm.training import fit
from chiasm.training.budget import step_size

LATENT_SHARE = 0.6
LATENT_LR_SHARE = 10.0
WEIGHT_KL = 1e-3
WEIGHT_GAN = 0.1


class Baseline(Objective):
    """What the loop trains: the networks of a configuration under another method's loss."""

    needed: tuple[Need, ...] = ("classes",)

    def __init__(self, config: Config, images: ImageSet, discriminator: Discriminator | None = None) -> None:
        super().__init__(CrossModel.of(config), config.loss, config.gan, discriminator=discriminator)

    def needs(self, data: Need) -> bool:
        """Whether the method needs these data."""
        return data in self.needed

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Latents that are learned directly take larger steps: each is seen once an epoch."""
        latents = [p for module in self.modules() if isinstance(module, nn.Embedding) for p in module.parameters()]
        others = [p for p in self.parameters() if not any(p is latent for latent in latents)]
        groups = [{"params": others, "lr_share": 1.0}, {"params": latents, "lr_share": LATENT_LR_SHARE}]
        return [group for group in groups if group["params"]]


class Lord(Baseline):
    """A code A for each class and a noisy, decayed code B for each image, learned directly; then encoders find them.

    Before there are encoders, in the first LATENT_SHARE of the training, nothing can be measured.

    Source: Gabbay & Hoshen 2020 (LORD), eq. 3 to 5; L1 in place of the perceptual loss.
    """

    def __init__(self, config: Config, images: ImageSet) -> None:
        super().__init__(config, images)
        self.a = nn.Embedding(len(images.class_names), config.model.code_a)
        self.b = nn.Embedding(len(images), config.model.code_b)
        nn.init.normal_(self.b.weight, std=0.1)

    def forward(self, batch: Batch, progress: float) -> LossTerms:
        """Reconstruction from the latents and their decay; later from the encoders, and how far they are from those."""
        x, model = batch.x, self.model
        if progress < LATENT_SHARE:
            a, b = self.a(batch.classes), self.b(batch.image_index)
            rec = (model.generator(a, add_noise(b, self.config.noise_b)) - x).abs().mean()
            return LossTerms({"rec": rec, "decay_b": self.config.decay_b * code_decay(b)}, None)
        a, b = model.encoder_a(x), model.encoder_b(x)
        terms = {"rec": (model.generator(a, b) - x).abs().mean()}
        if batch.image_index is not None:
            terms["code_a"] = F.mse_loss(a, self.a(batch.classes).detach())
            terms["code_b"] = F.mse_loss(b, self.b(batch.image_index).detach())
        return LossTerms(terms, None)


def lord_step_size(config: TrainConfig, lr: float, progress: float) -> float:
    """The default's for the latents, and once more for the encoders."""
    ends = (0.0, LATENT_SHARE, 1.0)
    start, end = ends[:2] if progress < LATENT_SHARE else ends[1:]
    return step_size(config, lr, (progress - start) / (end - start))


class Conditional(Baseline):
    """An autoencoder that is told the class: G(code of the class, E_B(x)); E_A learns to find the class's code.

    Source: the class-conditional form of Hinton & Salakhutdinov 2006, as in Kingma et al. 2014 without the
    variational part.
    """

    def __init__(self, config: Config, images: ImageSet) -> None:
        super().__init__(config, images)
        self.a = nn.Embedding(len(images.class_names), config.model.code_a)

    def forward(self, batch: Batch, progress: float) -> LossTerms:
        """Reconstruction with the class's code, and encoder A's distance to it."""
        a_read, b = self.model.encoder_a(batch.x), self.model.encoder_b(batch.x)
        a = a_read if batch.classes is None else self.a(batch.classes)
        rec = (self.model.generator(a, b) - batch.x).abs().mean()
        return LossTerms({"rec": rec, "code_a": F.mse_loss(a_read, a.detach())}, None)


class Gaussian(nn.Module):
    """An encoder's code as the mean of a Gaussian, whose variances a second map reads from the same features."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        last = encoder.layers[-1]
        self.log_variance = nn.Conv2d(last.in_channels, last.out_channels, last.kernel_size)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.constant_(self.log_variance.bias, -2.0)

    def forward(self, encoder: Encoder, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images -> means and logarithms of the variances, [n, code] each."""
        features = encoder.layers[:-1](x)
        return encoder.layers[-1](features).flatten(1), self.log_variance(features).flatten(1)


def sample(mean: Tensor, log_variance: Tensor, training: bool) -> Tensor:
    """A sample of a Gaussian in training, else its mean (Kingma & Welling 2014, section 2.4)."""
    return mean + (0.5 * log_variance).exp() * torch.randn_like(mean) if training else mean


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of Gaussians from the standard one, mean over the batch (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()


class SwapAdversarial(Baseline):
    """Two images of a class exchange their codes A; mixes of two classes must pass a class-conditional discriminator.

    Source: Mathieu et al. 2016, "Disentangling factors of variation in deep representations using adversarial
    training", algorithm 1; hinge in place of the logistic GAN loss.
    """

    needed = ("classes", "partners")

    def __init__(self, config: Config, images: ImageSet, discriminator: Discriminator) -> None:
        super().__init__(config, images, discriminator)
        self.posterior_b = Gaussian(self.model.encoder_b)

    def forward(self, batch: Batch, progress: float) -> LossTerms:
        """Both reconstructions, the divergence of code B, and the discriminator's answer to the mixes."""
        partner = batch.x if batch.x_partner is None else batch.x_partner
        a, a_partner = self.model.encoder_a(torch.cat([batch.x, partner])).chunk(2)
        mean, log_variance = self.posterior_b(self.model.encoder_b, batch.x)
        b = sample(mean, log_variance, self.training)
        rec, swap = ((self.model.generator(code, b) - batch.x).abs().mean() for code in (a, a_partner))
        x_mix = mix(self.model, Codes(a, b))
        on_mixed = frozen(self._discriminators[0])(x_mix, batch.classes)
        terms = {"rec": rec, "swap": swap, "kl_b": WEIGHT_KL * kl(mean, log_variance)}
        terms["gan"] = WEIGHT_GAN * realism_loss(self.gan.kind, on_mixed)
        return LossTerms(terms, x_mix.detach())


class CycleVae(Baseline):
    """Images of a class exchange their codes A; a code B sampled from the prior must be read back from any two classes.

    Source: Jha et al. 2018, "Disentangling factors of variation with cycle-consistent variational auto-encoders",
    eq. 3 and 4.
    """

    needed = ("classes", "partners")

    def __init__(self, config: Config, images: ImageSet) -> None:
        super().__init__(config, images)
        self.posterior_b = Gaussian(self.model.encoder_b)

    def forward(self, batch: Batch, progress: float) -> LossTerms:
        """The forward cycle's reconstruction and divergence, and the reverse cycle's distance of codes B."""
        model, partner = self.model, batch.x if batch.x_partner is None else batch.x_partner
        a, a_partner = model.encoder_a(torch.cat([batch.x, partner])).chunk(2)
        mean, log_variance = self.posterior_b(model.encoder_b, batch.x)
        swap = (model.generator(a_partner, sample(mean, log_variance, self.training)) - batch.x).abs().mean()
        b_prior = torch.randn_like(mean[: len(mean) // 2]).repeat(2, 1)
        b_read = model.encoder_b(model.generator(a, b_prior))
        reverse = (b_read - swap_halves(b_read)).abs().mean()
        return LossTerms({"swap": swap, "kl_b": WEIGHT_KL * kl(mean, log_variance), "reverse": reverse}, None)


class MlVae(Baseline):
    """Code A is the product of the Gaussians that the images of a class give, here an image and its partner.

    Source: Bouchacourt et al. 2018, "Multi-level variational autoencoder", eq. 4 and section 3.2.
    """

    needed = ("classes", "partners")

    def __init__(self, config: Config, images: ImageSet) -> None:
        super().__init__(config, images)
        self.posterior_a, self.posterior_b = Gaussian(self.model.encoder_a), Gaussian(self.model.encoder_b)

    def forward(self, batch: Batch, progress: float) -> LossTerms:
        """The evidence lower bound with an absolute error: reconstruction and the divergences of both codes."""
        partner = batch.x if batch.x_partner is None else batch.x_partner
        mean, log_variance = self.posterior_a(self.model.encoder_a, torch.cat([batch.x, partner]))
        precision = (-log_variance).exp()
        total = sum(precision.chunk(2))
        mean_a, log_variance_a = sum((mean * precision).chunk(2)) / total, -total.log()
        mean_b, log_variance_b = self.posterior_b(self.model.encoder_b, batch.x)
        codes = (sample(m, v, self.training) for m, v in ((mean_a, log_variance_a), (mean_b, log_variance_b)))
        rec = (self.model.generator(*codes) - batch.x).abs().mean()
        divergence = kl(mean_a, log_variance_a) + kl(mean_b, log_variance_b)
        return LossTerms({"rec": rec, "kl": WEIGHT_KL * divergence}, None)


def build(method: type[Baseline], config: Config, images: ImageSet) -> tuple[Baseline, DiscriminatorObjective | None]:
    """What the loop trains, as chiasm.objective.build_objective."""
    if method is not SwapAdversarial:
        return method(config, images), None
    discriminator = DiscriminatorObjective(config.gan, len(images.class_names))
    return SwapAdversarial(config, images, discriminator.discriminator), discriminator


METHODS: dict[str, Callable[..., Any]] = {
    "naive": build_objective,
    "lord": partial(build, Lord),
    "conditional": partial(build, Conditional),
    "swap-adversarial": partial(build, SwapAdversarial),
    "cycle-vae": partial(build, CycleVae),
    "ml-vae": partial(build, MlVae),
}
NOISY_B = ("lord",)
"""Methods whose code B passes through this project's noise; that of the others is handed out as it is."""

HANDED_OUT_AS_READ = {"model.neighbours_b": 0, "model.components_b": 0, "model.gain_a": 0.0, "model.components_a": 0}
"""What a preset does to codes before they are handed out belongs to this project's method, not to another."""


def configure(method: str, preset: str, changes: dict[str, dict[str, Any]], settings: dict[str, Any]) -> Config:
    """The preset's networks, data and budget, and the losses of a method where they are this project's own."""
    config = changed(from_preset(preset, changes), HANDED_OUT_AS_READ | settings)
    if method == "naive":  # the best printed gamma
        losses = LossConfig.only(weight_rec=1.0, gamma=0.4)
    elif method in NOISY_B:
        losses = LossConfig.only(weight_direct=1.0, noise_b=config.loss.noise_b, decay_b=config.loss.decay_b)
    else:
        losses = LossConfig.only(weight_direct=1.0)
    return changed(config, {f"loss.{key}": value for key, value in vars(losses).items()})


def main() -> None:
    """Train one baseline and leave its run folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("data", nargs="?", default="avatars")
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="in YAML")
    parser.add_argument("--name", help="of the run's folder")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, default=15.0)
    budget.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    options = parser.parse_args()
    minutes = None if options.steps else options.minutes
    train = {"max_minutes": minutes, "steps": options.steps, "epochs": None, "seed": options.seed}
    settings = {key: yaml.safe_load(value) for key, value in options.set}
    config = configure(options.method, options.preset, {"data": {"source": options.data}, "train": train}, settings)
    name = options.name or f"{options.method}-{Path(options.data).stem}-{options.seed}"
    schedule = lord_step_size if options.method == "lord" else step_size
    result = fit(config, name=name, runs=options.out, build=METHODS[options.method], schedule=schedule)
    print(f"{result.step} steps; {result.run}")


if __name__ == "__main__":
    main()
