"""The loop: order of steps, budgets, optimisers, logging; no maths."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from tqdm import tqdm

from chiasm.batch import Batch
from chiasm.card import write_card
from chiasm.checkpoint import save_model
from chiasm.config import Config, ConfigError
from chiasm.data import (
    Batches,
    ImageSet,
    LoadedBatch,
    Split,
    content_groups,
    hide_labels,
    keep_classes,
    save_image,
)
from chiasm.discriminator_objective import DiscriminatorObjective
from chiasm.draws import shared_draws
from chiasm.evaluation.metrics.shortcuts import alarms
from chiasm.inference import to_unit
from chiasm.objective import Objective
from chiasm.plots import curves
from chiasm.runs import CURVES_FILE, STRIP_FILE, RunFolder, Tracker
from chiasm.training.budget import Budget, Schedule
from chiasm.training.compiling import compile_networks
from chiasm.training.hardware import synchronise_statistics
from chiasm.training.interrupt import stop_on_signal
from chiasm.training.memory import Memory
from chiasm.training.muon import Muon, split_matrices
from chiasm.training.saved import Part, SavedTraining, load_training, save_training
from chiasm.training.validate import Validation, save_figures

LOG_EVERY = 20
# What the adversary, the classifier and the discriminator minimise for themselves is no loss of the model.
OTHERS_TERMS = ("classifier_b", "classifier_x", "discriminator", "r1")
# About a minute, and the first one within a minute of the first step.
SECONDS_BETWEEN_CHECKPOINTS = 50

Build = Callable[[Config, ImageSet], tuple[Objective, DiscriminatorObjective | None]]
"""(configuration, images with the labels that training may see) -> what the networks minimise, and what the
discriminator does, if there is one."""


class TrainingDivergedError(RuntimeError):
    """A loss that is not finite; the message names the step, the term and the remedy."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a training has come to.

    Attributes:
        run: the run's folder.
        step: optimiser steps made in all.
        minutes: minutes trained in all.
        metrics: the last validation, L1 on [-1, 1]; empty in all processes but the first.
        figures: the figures' paths.
        interrupted: whether it was stopped before its budget was used up.
        alarms: what is wrong with the model, as of the last validation.
        by_clock: whether the budget was in minutes, so that only a budget of as many steps can be repeated exactly.
    """

    run: Path
    step: int
    minutes: float
    metrics: dict[str, float]
    figures: list[Path]
    interrupted: bool
    alarms: list[str]
    by_clock: bool


class Loop:
    """One run at work: what the steps of the loop share."""

    def __init__(
        self,
        fabric: Fabric,
        config: Config,
        folder: RunFolder,
        images: ImageSet,
        split: Split,
        build: Build,
        schedule: Schedule,
        *,
        progress_bar: bool,
    ) -> None:
        train = config.train
        shown = keep_classes(hide_labels(images, config.data, split.all), split.train)
        self.fabric, self.config, self.folder, self.progress_bar = fabric, config, folder, progress_bar
        self.schedule = schedule
        device = fabric.global_rank, fabric.world_size
        groups = None
        if config.data.groups > 0:
            if progress_bar:
                self._say(f"grouping {len(split.train):,} images by what they show")
            groups = content_groups(shown, split.train, config.data.groups, train.seed)
        self.batches = Batches(shown, split.train, train.batch_size, train.seed, *device, config.data.partners, groups)
        self.classes = shown.classes
        self.budget = Budget.of(train, self.batches.steps_per_epoch)
        self.validation = Validation(
            images, split, train.num_val_pairs, train.seed, (*config.data.a_ignores, *config.data.b_ignores)
        )
        torch.manual_seed(train.seed)
        self.objective, discriminator = build(config, shown)
        self.memory = Memory(self.objective.model, shown, split.train, train.seed)
        self.parts: dict[str, Part] = {}
        for name, part, lr in (
            ("objective", self.objective, train.lr),
            ("discriminator", discriminator, config.gan.lr),
        ):
            if part is not None:
                networks = self.objective.model if name == "objective" and train.optimizer == "muon" else None
                synchronise_statistics(part, fabric)
                parameters = split_matrices(part.parameter_groups(), networks, train.adam_share, train.weight_decay)
                self.parts[name] = (part, Muon(parameters, lr, train.betas))
        self.step, self.elapsed_s = 0, 0.0
        compile_networks(self.objective.model, train, self.budget)
        self.wrapped = {name: fabric.setup(*part) for name, part in self.parts.items()}
        self.last_metrics: dict[str, float] = {}
        self.validated_at = self.saved_at = -1
        self.remembered_at, self.fixed_b = 0, False
        # The terms of the steps since they were last logged.
        self.window: list[dict[str, torch.Tensor] | dict[str, float]] = []
        self.alarms: list[str] = []

    def run(self) -> FitResult:
        """Step until the budget is used up or somebody asks to stop; save and show what was learned."""
        saved = time.perf_counter()
        started = saved - self.elapsed_s
        tracker = Tracker(self.folder, self.step) if self.fabric.is_global_zero else None
        needs = {data: self.objective.needs(data) for data in ("partners", "similar")}
        stream = self.batches.iterate(self.step, sys.maxsize, **needs)
        with stop_on_signal() as stop, self._bar() as bar, closing(stream) as batches:
            self.objective.train()
            while (progress := self._progress()) < 1 and not self._agree(stop.requested):
                if tracker and time.perf_counter() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                    self._save(tracker)
                    saved = time.perf_counter()
                terms = self.training_step(next(batches), progress)
                if tracker:
                    self.window.append(terms)
                self.step += 1
                self.elapsed_s = time.perf_counter() - started
                validates = self.step % self.config.train.validate_every == 0
                if tracker and (self.step % LOG_EVERY == 0 or validates):
                    self._log(tracker, bar)
                if tracker and validates:
                    self._validate(tracker, bar)
            interrupted = progress < 1
            figures = self._finish(tracker, bar, interrupted) if tracker else []
        return FitResult(
            run=self.folder.path,
            step=self.step,
            minutes=self.elapsed_s / 60,
            metrics=self.last_metrics,
            figures=figures,
            interrupted=interrupted,
            alarms=self.alarms,
            by_clock=self.budget.seconds is not None,
        )

    def training_step(self, loaded: LoadedBatch, progress: float) -> dict[str, torch.Tensor]:
        """One optimiser step, a function of the weights, the batch and (seed, step) alone."""
        if not self.fixed_b and self.config.loss.stage(progress).name != "all":
            self._remember()  # in each process: from here on encoder B stays as it is
            self.fixed_b = True
        torch.manual_seed(_seed(self.config.train.seed, self.step, 0))
        batch = self._to_device(loaded)
        with shared_draws(self.fabric.global_rank, self.fabric.world_size):
            terms, x_judged = self.wrapped["objective"][0](batch, progress)
        self._descend("objective", terms, progress)
        if x_judged is not None:
            of_discriminator = self.wrapped["discriminator"][0](batch.x, x_judged, batch.classes)
            self._descend("discriminator", of_discriminator, progress)
            terms |= of_discriminator
        return self._mean_of_devices({name: term.detach() for name, term in terms.items()})

    def _mean_of_devices(self, terms: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.fabric.world_size == 1:
            return terms
        mean = self.fabric.all_reduce(torch.stack([term.float() for term in terms.values()]), reduce_op="mean")
        assert isinstance(mean, torch.Tensor)
        return dict(zip(terms, mean.unbind(), strict=True))

    def _to_device(self, loaded: LoadedBatch) -> Batch:
        """A batch of bytes as the objective takes it."""

        def send(values: NDArray[Any]) -> torch.Tensor:
            return self.fabric.to_device(torch.from_numpy(values))

        def images(pixels: NDArray[np.uint8] | None) -> torch.Tensor | None:
            return None if pixels is None else to_unit(send(pixels))

        # Two pairs of images may show the same class, though they are known as a class each.
        known = loaded.is_negative if self.config.data.supervision != "pairs" else None
        return Batch(
            x=to_unit(send(loaded.x)),
            image_index=send(loaded.index),
            x_partner=images(loaded.x_partner),
            has_partner=send(loaded.has_partner),
            x_positive=images(loaded.x_positive),
            x_negative=images(loaded.x_negative),
            is_negative=None if known is None else send(known),
            classes=send(self.classes[loaded.index]),
            x_alike=images(loaded.x_alike),
        )

    def _descend(self, part: str, terms: dict[str, torch.Tensor], progress: float) -> None:
        """One step of the optimiser of a part, down the sum of its terms."""
        _, optimizer = self.wrapped[part]
        progress = self.config.loss.stage(progress).progress
        lr = self.config.train.lr if part == "objective" else self.config.gan.lr
        for group in optimizer.param_groups:
            group["lr"] = group["lr_share"] * self.schedule(self.config.train, lr, progress)
        optimizer.zero_grad()
        self.fabric.backward(torch.stack(list(terms.values())).sum())
        optimizer.step()

    def _progress(self) -> float:
        progress = self.budget.progress(self.step, self.elapsed_s)
        return self.fabric.broadcast(progress) if self.fabric.world_size > 1 else progress

    def _agree(self, stop: bool) -> bool:
        return self.fabric.broadcast(stop) if self.fabric.world_size > 1 else stop

    def _read_window(self) -> list[dict[str, float]]:
        """The terms of the steps since they were last logged; stops the training at the first that is not finite."""
        rows = [{name: float(term) for name, term in terms.items()} for terms in self.window]
        for step, row in enumerate(rows, self.step - len(rows) + 1):
            for name, value in row.items():
                if not np.isfinite(value):
                    raise TrainingDivergedError(
                        f"step {step}: the term '{name}' is {value}. Try a smaller --train.lr "
                        f"(now {self.config.train.lr}); the last good checkpoint, if any, is {self.folder.checkpoint}."
                    )
        return rows

    def _log(self, tracker: Tracker, bar: Any) -> None:
        """Note the mean of every term since the last time."""
        rows = self._read_window()
        means = {f"train/{name}": float(np.mean([r[name] for r in rows if name in r])) for name in rows[-1]}
        loss = sum(value for name, value in means.items() if name.removeprefix("train/") not in OTHERS_TERMS)
        tracker.log(self.step, {"minutes": self.elapsed_s / 60, **means, "train/loss": loss})
        self.window = []
        shown = {"step": self.step, "loss": f"{loss:.3f}"}
        swap = self.last_metrics.get("swap/swap", self.last_metrics.get("swap/reconstruction"))
        if swap is not None:
            shown["swap" if "swap/swap" in self.last_metrics else "reconstruction"] = f"{swap:.3f}"
        if self.alarms:
            shown["alarm"] = ", ".join(alarm.partition(":")[0] for alarm in self.alarms)
        bar.set_postfix(shown)
        bar.update(max(0.0, min(100.0, 100 * self.budget.progress(self.step, self.elapsed_s)) - bar.n))

    def _remember(self) -> None:
        """Have the model know today's codes of training images, which it needs to hand codes out."""
        training = self.objective.training
        self.objective.eval()
        with torch.compiler.set_stance("force_eager"):
            self.memory.remember(self.objective.model)
        self.objective.train(training)
        self.remembered_at = self.step

    def _validate(self, tracker: Tracker, bar: Any) -> None:
        self.objective.eval()
        self._remember()
        with torch.compiler.set_stance("force_eager"):
            self.last_metrics = self.validation.measure(self.objective, self.fabric.device)
            tracker.log(self.step, self.last_metrics)
            strip = self.validation.strip(self.objective, self.fabric.device)
            tracker.image(self.step, "strip", strip)
            save_image(strip, self.folder.figures / STRIP_FILE)
            self._sound(bar)
        self.validated_at = self.step
        tracker.flush()
        self.objective.train()

    def _sound(self, bar: Any) -> None:
        """Say what goes wrong, once for each kind of alarm."""
        shortcuts = {
            name.removeprefix("shortcut/"): v for name, v in self.last_metrics.items() if name.startswith("shortcut/")
        }
        before = {alarm.partition(":")[0] for alarm in self.alarms}
        self.alarms = alarms(shortcuts)
        for alarm in self.alarms:
            if alarm.partition(":")[0] not in before:
                bar.write(f"alarm at step {self.step}: {alarm}")

    def _finish(self, tracker: Tracker, bar: Any, interrupted: bool) -> list[Path]:
        """Measure, draw and save; a last checkpoint means that nothing else is left to do."""
        if interrupted:
            self._save(tracker)
        if self.window:
            self._log(tracker, bar)
        if self.validated_at != self.step:
            self._validate(tracker, bar)
        self.objective.eval()
        with torch.compiler.set_stance("force_eager"):
            figures = save_figures(self.validation, self.objective, self.fabric.device, self.folder.figures)
        figures.append(self.folder.figures / CURVES_FILE)
        curves(tracker.rows, ("train/", "val/", "swap/"), figures[-1])
        write_card(self.folder, self.config, alarms=self.alarms)
        self._save(tracker)
        tracker.close()
        return figures

    def _bar(self) -> Any:
        shown = self.progress_bar and self.fabric.is_global_zero
        form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
        return tqdm(total=100, desc="training", bar_format=form, disable=not shown)

    def _save(self, tracker: Tracker) -> None:
        """Write the model, and a checkpoint with all that went before it, unless that of this step is there."""
        window = self._read_window()
        tracker.flush()
        # Before the first validation; reading all codes for each would take `portraits` up to a fourth of the time.
        if self.validated_at < 0 and self.step >= 2 * self.remembered_at:
            self._remember()
        save_model(self.objective.model, self.folder.model)
        if self.saved_at == self.step:
            return
        save_training(self.folder.checkpoint, SavedTraining(self.step, self.elapsed_s, window), self.parts)
        self.saved_at = self.step

    def load(self) -> None:
        """Go on where the run's newest whole checkpoint was written, or begin where there is none.

        Raises:
            CheckpointError: if none of them can be read.
            ConfigError: if the budget is used up.
        """
        saved = load_training(self.folder.checkpoint, self.parts, self._say)
        if saved is None:
            self._say(f"{self.folder.path} has no checkpoint; beginning at step 0 with its own settings and split")
            return
        self.step = self.saved_at = saved.step
        self.elapsed_s, self.window = saved.elapsed_s, list(saved.window)
        if self.budget.progress(self.step, self.elapsed_s) >= 1:
            raise ConfigError(
                f"train: {self.folder.path} has used up its budget ({self.step} steps, {self.elapsed_s / 60:.1f} "
                "minutes); give a larger one, such as --max-minutes or --steps."
            )

    def _say(self, text: str) -> None:
        if self.fabric.is_global_zero:
            print(text, file=sys.stderr)


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
