import numpy as np
import pytest
import torch
from grids import grid

from chiasm.evaluation.classifiers import Classifier
from chiasm.evaluation.metrics import realism
from chiasm.inference import to_unit


def features(num: int, shift: float, seed: int) -> torch.Tensor:
    return torch.randn(num, 6, generator=torch.Generator().manual_seed(seed)) + shift


def unbiased_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The estimate of Binkowski et al., eq. 4, with their cubic kernel, written out."""

    def kernel(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return (p @ q.T / p.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    within = [(kernel(z, z).sum() - np.trace(kernel(z, z))) / (len(z) * (len(z) - 1)) for z in (x, y)]
    return sum(within) - 2 * kernel(x, y).sum() / (n * m)


def test_kid_is_the_mean_of_the_estimate_written_out() -> None:
    real, generated = features(60, 0, 0), features(50, 1, 1)
    found = realism.kernel_distance(real, generated)
    assert found["mean"] == pytest.approx(unbiased_mmd(real.double().numpy(), generated.double().numpy()), rel=0.15)
    assert found["n"] == 50


def test_kid_is_about_zero_for_one_distribution_and_grows_with_the_distance() -> None:
    real = features(200, 0, 0)
    same, other = (realism.kernel_distance(real, features(200, shift, 1)) for shift in (0, 1))
    assert abs(same["mean"]) < 3 * same["std"]
    assert other["mean"] > 10 * same["std"]
    assert realism.kernel_distance(real, features(200, 1, 1)) == other


def test_metrics_with_weights_to_download_are_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realism.importlib.util, "find_spec", lambda name: None)
    torch.manual_seed(0)
    images = torch.from_numpy(grid().images)
    generated = {"mixes": to_unit(images)}
    found = realism.realism(Classifier((3, 2), 16).eval(), generated, images, images, np.arange(len(images)), images)
    assert set(found["kid"]) == {"mixes", "real"}
    assert found["kid"]["mixes"]["mean"] == pytest.approx(found["kid"]["real"]["mean"], abs=1e-4)
    assert found["detail"]["mixes"]["mean"] == pytest.approx(1, rel=1e-4)
    assert found["fid"] == "the package torch_fidelity is not installed"
    assert found["lpips"] == "the package torchvision is not installed"


def test_high_frequency_power_is_that_of_fine_patterns_alone() -> None:
    rows = torch.arange(16.0)
    fine = torch.sin(2 * torch.pi * 6 * rows / 16).expand(1, 3, 16, 16)  # 6 of at most 8 periods
    coarse = torch.sin(2 * torch.pi * 2 * rows / 16).expand(1, 3, 16, 16)
    power = realism.high_frequency_power(fine)
    high = np.hypot(*np.meshgrid(np.fft.fftfreq(16), np.fft.fftfreq(16))) > 0.25
    assert float(power) == pytest.approx(0.5 * 16 * 16 / high.sum(), rel=1e-4)  # Parseval: a sine has the power 1/2
    torch.testing.assert_close(realism.high_frequency_power(3 * fine + coarse), 9 * power)


def test_weights_that_are_not_there_are_not_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(realism.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert "nothing is downloaded" in realism.missing_weights("torchvision", realism.LPIPS_WEIGHTS)


def test_flat_images_have_no_detail_to_compare_with() -> None:
    torch.manual_seed(0)
    images = torch.full((6, 3, 16, 16), 90, dtype=torch.uint8)
    found = realism.realism(Classifier((3, 2), 16).eval(), {"mixes": to_unit(images)}, images, images, np.arange(6))
    assert found["detail"] == "the held-out images have no high-frequency power"
    assert found["kid"]["mixes"]["mean"] == pytest.approx(0, abs=1e-6)


def test_an_image_used_several_times_counts_once_in_the_interval_of_its_detail() -> None:
    torch.manual_seed(0)
    net, images = Classifier((3, 2), 16).eval(), torch.from_numpy(grid().images)
    power = torch.linspace(0.5, 2, 12).repeat_interleave(20)
    mixes = power[:, None, None, None] * torch.randn(1, 3, 16, 16)
    by_truth, by_mix = (
        realism.realism(net, {"mixes": mixes}, images, images, groups)["detail"]["mixes"]
        for groups in (np.repeat(np.arange(12), 20), np.arange(240))
    )
    assert by_truth["mean"] == by_mix["mean"]
    assert by_truth["high"] - by_truth["low"] > 3 * (by_mix["high"] - by_mix["low"])
