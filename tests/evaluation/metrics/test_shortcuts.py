import re

import numpy as np
import pytest
import torch
from grids import copies_x1, copies_x2, fake, flat, grid, oracle, steganographer, unflat

from chiasm.config import Config
from chiasm.evaluation.metrics.shortcuts import add_noise, alarms, compress, copies, requantise, shortcut_values
from chiasm.inference import to_unit
from chiasm.overrides import to_dict

HEALTHY = {
    "diversity": 1.0,
    "copy_x1": 0.0,
    "copy_x2": 0.0,
    "hidden_noise": 0.1,
    "hidden_8bit": 0.0,
    "hidden_jpeg": 0.2,
}


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Pairs that differ in class and content."""
    images = grid()
    x1 = np.arange(40)
    return images.gather(x1), images.gather((x1 + 5) % 48)


def test_a_model_that_returns_x1_copies_and_ignores_code_b() -> None:
    values = shortcut_values(copies_x1(), *pairs())
    assert values["copy_x1"] == 1
    assert values["copy_x2"] == 0
    assert values["use_b"] == values["use_b_mean"] == 0
    assert values["use_a"] == pytest.approx(1)
    assert values["cycle"] == pytest.approx(0, abs=1e-6)
    assert any("equal x1" in sentence for sentence in alarms(values))


def test_a_model_that_returns_x2_copies_and_ignores_code_a() -> None:
    values = shortcut_values(copies_x2(), *pairs())
    assert values["copy_x2"] == 1
    assert values["copy_x1"] == 0
    assert values["use_a"] == 0
    assert any("equal x2" in sentence for sentence in alarms(values))


def test_a_pale_copy_is_a_copy_too() -> None:
    values = shortcut_values(fake(flat, flat, lambda a, b: unflat(a).mul(0.2).add(0.5)), *pairs())
    assert values["copy_x1"] == 1


def test_an_honest_model_raises_no_alarm() -> None:
    values = shortcut_values(oracle(grid()), *pairs())
    assert max(values["copy_x1"], values["copy_x2"]) < 0.15  # of two classes of nearly one colour
    assert values["diversity"] == pytest.approx(1)
    assert min(values["use_a"], values["use_b"]) > 0.2
    assert alarms(values) == []


def test_hidden_signals_are_lost_when_the_mix_is_perturbed() -> None:
    values = shortcut_values(steganographer(), *pairs())
    assert values["cycle"] < 0.01
    assert min(values["hidden_noise"], values["hidden_8bit"]) > 3
    assert any("steganography" in sentence for sentence in alarms(values))


def test_constant_images_are_a_collapse_and_no_copies() -> None:
    values = shortcut_values(fake(flat, flat, lambda a, b: unflat(0 * a)), *pairs())
    assert values["diversity"] == 0
    assert values["copy_x1"] == values["copy_x2"] == 0
    assert [sentence.split(":")[0] for sentence in alarms(values)] == ["collapse"]


def test_copies_are_counted_against_the_distance_of_the_images() -> None:
    found = copies(torch.tensor([0.2, 0.3, 0.0]), torch.tensor([1.0, 1.0, 0.0]))
    assert found.tolist() == [1, 0, 0]


def test_every_switch_that_an_alarm_names_exists() -> None:
    bad = [
        HEALTHY | change for change in ({"diversity": 0.0}, {"copy_x1": 1.0}, {"copy_x2": 1.0}, {"hidden_noise": 9.0})
    ]
    sentences = [sentence for values in bad for sentence in alarms(values)]
    assert len(sentences) == 4
    settings = to_dict(Config())
    named = re.findall(r"--(\w+)\.(\w+)", " ".join(sentences))
    assert len(named) >= 4
    assert all(key in settings[section] for section, key in named)
    assert alarms(HEALTHY) == []


def test_perturbations_are_as_large_as_they_say() -> None:
    x = to_unit(torch.from_numpy(grid().images))
    assert float((add_noise(x) - x).std()) == pytest.approx(0.04, rel=0.02)
    assert torch.equal(add_noise(x), add_noise(x))
    assert float((requantise(x + 1e-3) - x).abs().max()) < 1e-6
    assert 0 < float((compress(x) - x).abs().mean()) < 0.1
