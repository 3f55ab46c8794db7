import numpy as np
import pytest
import torch
from grids import copies_x1, grid, oracle
from torchmetrics.functional.image import structural_similarity_index_measure

from chiasm.evaluation.context import SAMPLES, EvaluationContext, HeldOut, MixedSet
from chiasm.evaluation.metrics.swap_error import (
    MAX_PSNR_DB,
    TOO_FEW,
    find_references,
    image_errors,
    measure,
    recombination_errors,
    rows,
    structural_similarity,
    summarise,
)
from chiasm.evaluation.table import align
from chiasm.evaluation.triplets import Triplets


def test_errors_of_a_known_difference() -> None:
    truth = torch.zeros(2, 3, 16, 16)
    errors = image_errors(truth + torch.tensor([0.0, 0.2]).reshape(2, 1, 1, 1), truth)
    np.testing.assert_allclose(errors["l1"], [0, 0.2], atol=1e-6)
    np.testing.assert_allclose(errors["psnr"], [MAX_PSNR_DB, 20.0], atol=1e-3)
    assert errors["ssim"][0] == pytest.approx(1)


def test_small_images_have_no_ssim() -> None:
    truth = torch.zeros(2, 3, 8, 8)
    assert set(image_errors(truth, truth)) == {"l1", "psnr"}


def test_ssim_agrees_with_torchmetrics() -> None:
    x, truth = torch.rand(2, 5, 3, 24, 17, generator=torch.Generator().manual_seed(0)) * 2 - 1
    truth[0] = 0.3
    x[1] = truth[1] + 0.1 * x[1]
    wanted = structural_similarity_index_measure(x, truth, data_range=2.0, reduction="none")
    torch.testing.assert_close(structural_similarity(x, truth), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("make", "swap_is"), [(oracle, "zero"), (lambda images: copies_x1(), "copy_x1")])
def test_an_oracle_swaps_without_error_and_a_copier_as_a_copy(make, swap_is: str) -> None:
    images = grid()
    part = HeldOut(SAMPLES, np.arange(0, 48, 3), np.setdiff1d(np.arange(48), np.arange(0, 48, 3)))
    results = measure(MixedSet(EvaluationContext(make(images), images, part.pool, num=30, seed=1), part))
    references = {"copy_x1", "copy_x2", "mean", "retrieval", "oracle_without_place"}
    assert set(results) == {"swap", "reconstruction", "oracle_median", "ratio"} | references
    assert results["oracle_median"] == TOO_FEW
    assert references <= set(results["ratio"])
    wanted = 0 if swap_is == "zero" else results["copy_x1"]["l1"]["mean"]
    assert results["swap"]["l1"]["mean"] == pytest.approx(wanted, abs=1e-6)
    assert results["ratio"]["copy_x1"]["mean"] == pytest.approx(0 if swap_is == "zero" else 1, abs=1e-6)
    assert results["swap"]["changed"]["mean"] == pytest.approx(
        0 if swap_is == "zero" else results["copy_x1"]["changed"]["mean"], abs=1e-6
    )
    assert results["copy_x1"]["changed"]["mean"] > results["copy_x1"]["l1"]["mean"] > 0.1
    shown = {name: values for name, values in results.items() if isinstance(values, dict)}
    assert "oracle: all but place" in "\n".join(align(list(rows(shown))))


def test_oracles_are_medians_of_other_images_with_the_known_factors() -> None:
    images = grid(num_classes=3, num_contents=4, num_copies=3)
    triplets, pool = Triplets(np.array([0]), np.array([15]), np.array([3])), np.arange(36)
    found = find_references(images, triplets, pool)
    assert found["oracle_median"][0].tolist() == [7, 11]
    assert found["oracle_without_place"][0].tolist() == [0, 1, 2, *range(4, 12)]
    zeros = torch.zeros(1, 3, 16, 16)
    errors = recombination_errors(images, triplets, zeros, zeros, pool, np.zeros((3, 16, 16), dtype=np.float32))
    median = np.median(images.images[[7, 11]], axis=0)
    wanted = np.abs(median - images.images[3].astype(float)).mean() / 127.5
    assert errors["oracle_median"]["l1"] == pytest.approx(wanted, rel=1e-4)


def test_what_most_images_lack_is_left_out_and_the_rest_is_of_those_that_have_it() -> None:
    nan = float("nan")
    errors = {
        "swap": {"l1": np.array([0.1, 0.2, 0.6, 0.7])},
        "few": {"l1": np.array([0.1, nan, nan, nan])},
        "half": {"l1": np.array([0.2, 0.4, nan, nan])},
    }
    results = summarise(errors, np.arange(4))
    assert set(results) == {"swap", "half", "ratio"}
    assert results["half"]["l1"]["mean"] == pytest.approx(0.3)
    assert results["half"]["l1"]["n"] == 2
    assert results["ratio"]["half"]["mean"] == pytest.approx(0.5)


def test_summary_has_no_ratio_without_a_swap() -> None:
    errors = {"reconstruction": {"l1": np.array([0.1, 0.3])}}
    assert summarise(errors, np.arange(2))["reconstruction"]["l1"]["mean"] == pytest.approx(0.2)
    assert "ratio" not in summarise(errors, np.arange(2))
