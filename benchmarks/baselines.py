"""LORD, a class-conditional autoencoder and the naive method, on the networks, split and minutes of a run.

Written from the papers. Each leaves a run folder that `chiasm evaluate` measures like any other:

    python benchmarks/baselines.py lord DATA --minutes 15 --seed 0 --out runs
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from chiasm.checkpoint import save_model
from chiasm.config import Config, LossConfig
from chiasm.data import Batches, ImageSet, Split, make_split, open_data, save_split
from chiasm.evaluation.swap import swap_errors
from chiasm.evaluation.triplets import sample_triplets
from chiasm.inference import to_unit
from chiasm.losses import code_decay
from chiasm.networks import CrossModel
from chiasm.overrides import changed
from chiasm.presets import from_preset
from chiasm.runs import RunFolder, Tracker
from chiasm.training import fit
from chiasm.training.budget import Budget
from chiasm.training.compiling import compile_networks

LATENT_SHARE = 0.6
NUM_TRIPLETS = 256


class Latents(nn.Module):
    """A code A for each class and a code B for each training image, learned directly.

    Source: Gabbay & Hoshen 2020 (LORD), section 3.2.
    """

    def __init__(self, images: ImageSet, split: Split, code_a: int, code_b: int) -> None:
        super().__init__()
        self.a = nn.Embedding(len(images.class_names), code_a)
        self.b = nn.Embedding(len(images), code_b)
        nn.init.normal_(self.b.weight, std=0.1)

    def forward(self, classes: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of images by their class and their index."""
        return self.a(classes), self.b(index)


def batches(images: ImageSet, split: Split, config: Config) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless (images in [-1, 1], classes, indices)."""
    stream = Batches(images, split.train, config.train.batch_size, config.train.seed)
    step = 0
    while True:
        index = stream.at(step).index
        yield to_unit(torch.from_numpy(images.gather(index))), *map(torch.from_numpy, (images.classes[index], index))
        step += 1


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, lr: float, used: float) -> None:
    """One step with the cosine that the method itself is trained with."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["share"] * 0.5 * (1 + np.cos(np.pi * min(used, 1.0)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def adam(config: Config, *parts: tuple[nn.Module, float]) -> torch.optim.Optimizer:
    """Adam as the method itself uses it; each part with its share of the step size."""
    groups = [{"params": list(part.parameters()), "share": share} for part, share in parts]
    return torch.optim.Adam(groups, lr=config.train.lr, betas=config.train.betas)


Watch = Callable[[int], None]
"""Called after each step with their number: it measures the model now and then."""


def train_lord(model: CrossModel, images: ImageSet, split: Split, config: Config, seconds: float, watch: Watch) -> int:
    """Latent optimisation with a noisy, decayed code B, then encoders that learn to find those codes.

    Before there are encoders nothing can be measured. Returns the steps made.

    Source: Gabbay & Hoshen 2020 (LORD), eq. 3 to 5; L1 in place of the perceptual loss.
    """
    latents = Latents(images, split, config.model.code_a, config.model.code_b)
    stream, start, step = batches(images, split, config), time.perf_counter(), 0
    first = adam(config, (model.generator, 1.0), (latents, 10.0))
    while (used := (time.perf_counter() - start) / (LATENT_SHARE * seconds)) < 1:
        x, classes, index = next(stream)
        a, b = latents(classes, index)
        drawn = model.generator(a, b + config.loss.noise_b * torch.randn_like(b))
        descend(first, (drawn - x).abs().mean() + config.loss.decay_b * code_decay(b), config.train.lr, used)
        step += 1
    second = adam(config, (model, 1.0))
    start = time.perf_counter()
    while (used := (time.perf_counter() - start) / ((1 - LATENT_SHARE) * seconds)) < 1:
        x, classes, index = next(stream)
        with torch.no_grad():
            a, b = latents(classes, index)
        a_read, b_read = model.encoder_a(x), model.encoder_b(x)
        codes = (a_read - a).square().mean() + (b_read - b).square().mean()
        descend(second, (model.generator(a_read, b_read) - x).abs().mean() + codes, config.train.lr, used)
        step += 1
        watch(step)
    return step


def train_conditional(
    model: CrossModel, images: ImageSet, split: Split, config: Config, seconds: float, watch: Watch
) -> int:
    """An autoencoder that is told the class: G(code of the class, E_B(x)); E_A learns to find the class's code.

    Returns the steps made.

    Source: the class-conditional form of Hinton & Salakhutdinov 2006, as in Kingma et al. 2014 without the
    variational part.
    """
    latents = Latents(images, split, config.model.code_a, 1)
    stream, start, step = batches(images, split, config), time.perf_counter(), 0
    optimizer = adam(config, (model, 1.0), (latents.a, 10.0))
    while (used := (time.perf_counter() - start) / seconds) < 1:
        x, classes, _ = next(stream)
        a = latents.a(classes)
        found = (model.encoder_a(x) - a.detach()).square().mean()
        descend(optimizer, (model.generator(a, model.encoder_b(x)) - x).abs().mean() + found, config.train.lr, used)
        step += 1
        watch(step)
    return step


def naive(config: Config) -> Config:
    """The report's objective on the same networks: eq. 4 alone, with the best printed gamma."""
    losses = LossConfig.only(weight_rec=1.0, gamma=0.4)
    return dataclasses.replace(config, loss=losses)


class Watcher:
    """Measures the swap error every so many steps, as `chiasm fit` does, and notes it in the run's metrics."""

    def __init__(self, model: CrossModel, images: ImageSet, split: Split, run: RunFolder, config: Config) -> None:
        self.model, self.images, self.every = model, images, config.train.validate_every
        self.triplets = sample_triplets(images, split.val, NUM_TRIPLETS, config.train.seed)
        self.tracker, self.start = Tracker(run, 0), time.perf_counter()

    def __call__(self, step: int) -> None:
        """Measure after this step if it is its turn."""
        if step % self.every == 0:
            self.measure(step)

    def measure(self, step: int) -> None:
        """Note the errors at this step."""
        minutes = (time.perf_counter() - self.start) / 60
        self.model.eval()
        with torch.compiler.set_stance("force_eager"):
            errors = swap_errors(self.model, self.images, self.triplets)
        self.model.train()
        self.tracker.log(step, {"minutes": minutes, **{f"swap/{key}": value for key, value in errors.items()}})
        self.tracker.flush()


def main() -> None:
    """Train one baseline and leave its run folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=["lord", "conditional", "naive"])
    parser.add_argument("data", nargs="?", default="avatars")
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="in YAML")
    parser.add_argument("--name", help="of the run's folder")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    options = parser.parse_args()
    changes = {"data": {"source": options.data}, "train": {"max_minutes": options.minutes, "seed": options.seed}}
    settings = {key: yaml.safe_load(value) for key, value in options.set}
    config = changed(from_preset(options.preset, changes), settings)
    name = options.name or f"{options.method}-{Path(options.data).stem}-{options.seed}"
    if options.method == "naive":
        fit(naive(config), name=name, runs=options.out)
        return
    if options.method == "conditional":  # its code B has no noise, also not where the class is read from it
        config = changed(config, {"loss.noise_b": 0.0, "loss.decay_b": 0.0})
    images = open_data(config.data, config.model.side_px)
    split = make_split(images, config.data)
    run = RunFolder.create(options.out, name, config)
    save_split(split, images, run.split)
    torch.manual_seed(options.seed)
    model = CrossModel(config.model, config.data.fit)
    compile_networks(model, config.train, Budget(None, 60 * options.minutes))
    train = {"lord": train_lord, "conditional": train_conditional}[options.method]
    watcher = Watcher(model, images, split, run, config)
    steps = train(model, images, split, config, 60 * options.minutes, watcher)
    watcher.measure(steps)
    watcher.tracker.close()
    save_model(model.eval(), run.model)
    print(f"{steps} steps; {run.path}")


if __name__ == "__main__":
    main()
