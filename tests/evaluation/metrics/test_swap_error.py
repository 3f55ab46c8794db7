import numpy as np
import pytest
import torch
from grids import copies_x1, grid, oracle

from chiasm.evaluation.context import SAMPLES, EvaluationContext, HeldOut, MixedSet
from chiasm.evaluation.metrics.swap_error import MAX_PSNR_DB, image_errors, measure, summarise


def test_errors_of_a_known_difference() -> None:
    truth = torch.zeros(2, 3, 16, 16)
    errors = image_errors(truth + torch.tensor([0.0, 0.2]).reshape(2, 1, 1, 1), truth)
    np.testing.assert_allclose(errors["l1"], [0, 0.2], atol=1e-6)
    np.testing.assert_allclose(errors["psnr"], [MAX_PSNR_DB, 20.0], atol=1e-3)
    assert errors["ssim"][0] == pytest.approx(1)


def test_small_images_have_no_ssim() -> None:
    truth = torch.zeros(2, 3, 8, 8)
    assert set(image_errors(truth, truth)) == {"l1", "psnr"}


@pytest.mark.parametrize(("make", "swap_is"), [(oracle, "zero"), (lambda images: copies_x1(), "copy_x1")])
def test_an_oracle_swaps_without_error_and_a_copier_as_a_copy(make, swap_is: str) -> None:
    images = grid()
    part = HeldOut(SAMPLES, np.arange(0, 48, 3), np.setdiff1d(np.arange(48), np.arange(0, 48, 3)))
    results = measure(MixedSet(EvaluationContext(make(images), images, part.pool, num=30, seed=1), part))
    assert set(results) == {"swap", "reconstruction", "copy_x1", "copy_x2", "mean", "retrieval", "ratio"}
    wanted = 0 if swap_is == "zero" else results["copy_x1"]["l1"]["mean"]
    assert results["swap"]["l1"]["mean"] == pytest.approx(wanted, abs=1e-6)
    assert results["ratio"]["copy_x1"]["mean"] == pytest.approx(0 if swap_is == "zero" else 1, abs=1e-6)
    assert results["copy_x1"]["l1"]["mean"] > 0.1


def test_summary_has_no_ratio_without_a_swap() -> None:
    errors = {"reconstruction": {"l1": np.array([0.1, 0.3])}}
    assert summarise(errors, np.arange(2))["reconstruction"]["l1"]["mean"] == pytest.approx(0.2)
    assert "ratio" not in summarise(errors, np.arange(2))
