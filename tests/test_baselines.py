"""The baselines train through the project's own loop."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from benchmarks.baselines import METHODS, Baseline, Gaussian, configure, kl, lord_step_size
from chiasm.checkpoint import load_model
from chiasm.networks import CrossModel
from chiasm.presets import tiny
from chiasm.training import fit

TRAIN = {"train": {"steps": 5, "max_minutes": None, "validate_every": 5}}


@pytest.mark.parametrize("method", METHODS)
def test_every_baseline_fits_and_leaves_a_model(method: str, tmp_path: Path) -> None:
    config = configure(method, "tiny", TRAIN, {})
    result = fit(config, runs=tmp_path, build=METHODS[method], progress_bar=False)
    assert result.step == 5
    assert all(np.isfinite(value) for value in result.metrics.values())
    assert load_model(result.run).config == config.model


@pytest.mark.parametrize("preset", ["compact", "faces"])
def test_a_baseline_hands_out_codes_as_it_reads_them(preset: str) -> None:
    model = CrossModel.of(configure("conditional", preset, {}, {}))
    assert model.codes_b is None
    assert model.filter_a is None
    assert CrossModel.of(configure("conditional", preset, {}, {"model.components_a": 2})).filter_a is not None


def test_latents_take_larger_steps_than_networks(avatars) -> None:
    method = METHODS["lord"]
    assert isinstance(method, partial)
    objective, _ = method(configure("lord", "tiny", TRAIN, {}), avatars)
    assert isinstance(objective, Baseline)
    groups = objective.parameter_groups()
    assert sum(len(group["params"]) for group in groups) == len(list(objective.parameters()))
    latents = max(groups, key=lambda group: group["lr_share"])
    assert {id(p) for p in latents["params"]} == {id(objective.a.weight), id(objective.b.weight)}


def test_lord_s_step_size_begins_again_with_the_encoders() -> None:
    train = tiny().train
    assert lord_step_size(train, 2.0, 0.0) == pytest.approx(2.0)
    assert lord_step_size(train, 2.0, 0.5999999) == pytest.approx(0.0, abs=1e-5)
    assert lord_step_size(train, 2.0, 0.6) == pytest.approx(2.0)


def test_divergence_agrees_with_torch_s_distributions() -> None:
    mean, log_variance = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    torch.testing.assert_close(kl(mean, log_variance), kl_divergence(posterior, prior).mean())


def test_mean_of_a_gaussian_code_is_the_encoder_s(model: CrossModel) -> None:
    model.eval()
    x = torch.rand(3, 3, 16, 16) * 2 - 1
    mean, log_variance = Gaussian(model.encoder_b)(model.encoder_b, x)
    torch.testing.assert_close(mean, model.encoder_b(x))
    assert log_variance.shape == mean.shape
