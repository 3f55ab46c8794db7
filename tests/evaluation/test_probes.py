import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from chiasm.data import UNLABELLED
from chiasm.evaluation import probes
from chiasm.evaluation.fitting import FitSettings
from chiasm.evaluation.probes import fit_factor, fit_probe, pixels, read_factor


def blobs(num: int, deviation: float, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Codes around five centres, in directions of very different scale."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(5, 6))
    labels = rng.integers(0, 5, size=num)
    codes = (centres[labels] + deviation * rng.normal(size=(num, 6))) * np.array([1, 10, 0.1, 1, 5, 1])
    return torch.from_numpy(codes).float(), labels


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_one_hot_codes_are_read_without_error(kind) -> None:
    labels = np.arange(200) % 7 + 3
    codes = torch.eye(10)[torch.from_numpy(labels)]
    assert fit_probe(codes, labels, kind=kind).right(codes, labels).mean() == 1


def test_the_linear_probe_agrees_with_scikit_learn() -> None:
    (codes, labels), (test, test_labels) = blobs(600, 0.8, 0), blobs(900, 0.8, 1)
    scale = codes.std(dim=0)
    wanted = LogisticRegression(max_iter=500).fit(codes / scale, labels).score(test / scale, test_labels)
    assert 0.6 < wanted < 0.95
    assert fit_probe(codes, labels, kind="linear").right(test, test_labels).mean() == pytest.approx(wanted, abs=0.02)


def test_only_the_mlp_reads_what_no_line_divides() -> None:
    rng = np.random.default_rng(0)
    codes = rng.uniform(-1, 1, size=(900, 2))
    labels = (codes[:, 0] * codes[:, 1] > 0).astype(np.int64)
    x = torch.from_numpy(codes).float()
    right = {k: fit_probe(x[:600], labels[:600], kind=k).right(x[600:], labels[600:]).mean() for k in ("linear", "mlp")}
    assert right["linear"] < 0.65
    assert right["mlp"] > 0.9


def test_pure_noise_is_read_at_chance() -> None:
    rng = np.random.default_rng(4)
    codes = {"a": torch.from_numpy(rng.normal(size=(500, 5))).float()}
    labels = rng.integers(0, 4, size=500)
    probes = fit_factor({"a": codes["a"][:300]}, labels[:300])
    found = read_factor([(probes, np.arange(200))], {"a": codes["a"][300:]}, labels[300:], np.arange(200))
    assert found["chance"] == 0.25
    for kind in ("linear", "mlp"):
        assert found["a"][kind]["low"] <= 0.27
        assert found["a"][kind]["mean"] < 0.36
        assert found["a"][kind]["n"] == 200


def test_a_control_reads_nothing_from_what_a_probe_reads_well() -> None:
    (codes, labels), (test, test_labels) = blobs(600, 0.3, 0), blobs(300, 0.3, 1)
    folds = [(fit_factor({"b": codes}, labels, thorough=True), np.arange(300))]
    found = read_factor(folds, {"b": test}, test_labels, np.arange(300))
    assert found["b"]["mlp"]["mean"] > 0.9
    assert found["control"]["mean"] < 0.4


def test_unknown_and_unlearned_values_are_left_out() -> None:
    labels = np.array([0, 1, 0, 1, 0, 0, 2, 2])
    labels[:2] = UNLABELLED
    codes = {"a": torch.eye(3)[torch.from_numpy(np.maximum(labels, 0))].repeat(1, 1)}
    probes = fit_factor({"a": codes["a"][:6]}, labels[:6])
    assert probes.num_fit == 4
    unlearned = read_factor([(probes, np.arange(6, 8))], codes, labels, np.arange(8))
    assert unlearned.startswith("no held-out image")
    found = read_factor([(probes, np.arange(8))], codes, labels, np.arange(8))
    assert found["a"]["linear"]["n"] == 4
    assert found["majority"] == 0.75


def test_what_several_probes_say_of_an_image_is_averaged() -> None:
    """One probe has learned the right labels, one exchanged ones; the second reads a half alone."""
    labels = np.arange(8) % 2
    codes = {"a": torch.eye(2)[torch.from_numpy(labels)]}
    right, wrong = fit_factor(codes, labels), fit_factor(codes, 1 - labels)
    found = read_factor([(right, np.arange(8)), (wrong, np.arange(4))], codes, labels, np.arange(8))
    assert found["a"]["linear"]["mean"] == 0.75
    assert found["a"]["linear"]["n"] == 8


def test_a_factor_with_one_value_is_refused_with_a_reason() -> None:
    assert "fewer than two values" in fit_factor({"a": torch.zeros(3, 2)}, np.array([1, 1, UNLABELLED]))


def test_the_same_seed_gives_the_same_probe() -> None:
    codes, labels = blobs(80, 1.0, 0)
    first, again = (fit_probe(codes, labels, kind="mlp", seed=3).right(codes, labels) for _ in range(2))
    assert (first == again).all()


def test_codes_that_hardly_vary_are_whitened() -> None:
    """Seven classes on a flat background: all directions but one have next to no variance."""
    rng = np.random.default_rng(0)
    labels = np.arange(126) % 7
    codes = torch.from_numpy(np.outer(labels, np.full(128, 1e-3)) + 1e-9 * rng.normal(size=(126, 128))).float()
    assert fit_probe(codes, labels, kind="linear").right(codes, labels).mean() > 0.9
    constant = torch.ones(126, 128)
    assert fit_probe(constant, labels, kind="mlp").right(constant, labels).mean() < 0.3


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_codes_wider_than_they_are_many_are_read(kind) -> None:
    """What varies in the codes to be read alone must not drown what the probe has learned."""
    labels = np.arange(240) % 6
    codes = torch.randn(240, 1500, generator=torch.Generator().manual_seed(0))
    codes[:, :6] += 12 * torch.eye(6)[torch.from_numpy(labels)]
    fitted = fit_probe(codes[:120], labels[:120], kind=kind)
    assert fitted.right(codes[120:], labels[120:]).mean() > 0.85


def test_the_probe_with_the_lowest_validation_loss_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, labels = blobs(400, 0.3, 0)
    useless, good = FitSettings(lr=1e-9, min_steps=1, max_rounds=1), FitSettings(lr=1e-2)
    for settings in ((useless, good), (good, useless)):
        monkeypatch.setitem(probes.SETTINGS, "linear", settings)
        assert fit_probe(codes, labels, kind="linear", thorough=True).right(codes, labels).mean() > 0.8
    assert fit_probe(codes, labels, kind="linear").right(codes, labels).mean() > 0.8


def test_pixels_are_means_over_squares() -> None:
    images = np.zeros((2, 3, 32, 32), dtype=np.uint8)
    images[1, 0, :2, :2] = 255
    found = pixels(images)
    assert found.shape == (2, 3 * 16 * 16)
    assert float(found[1, 0]) == 1
    assert float(found[1, 1:].max()) == -1
