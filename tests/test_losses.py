import numpy as np
import pytest
import torch

from chiasm.losses import (
    balance,
    classification_loss,
    code_cycle_loss,
    code_decay,
    confusion_loss,
    consistency_loss,
    contrastive_loss,
    cycle_consistency_loss,
    difference_weighted_l1,
    discriminator_loss,
    perceptual_loss,
    r1_penalty,
    realism_loss,
    reconstruction_loss,
    spreads,
    squared_loss,
    variance_loss,
)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1


def test_cycle_consistency_loss_sums_the_l1_of_both_images() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 6, 3, 4, 4)).astype(np.float32)
    wanted = np.abs(x[:3] - y[:3]).mean() + np.abs(x[3:] - y[3:]).mean()
    assert float(cycle_consistency_loss(torch.tensor(x), torch.tensor(y))) == pytest.approx(wanted, rel=1e-5)


def test_code_cycle_loss_sums_the_squares_of_both_images() -> None:
    code, reread = np.random.default_rng(0).normal(size=(2, 6, 5)).astype(np.float32)
    wanted = ((code[:3] - reread[:3]) ** 2).mean() + ((code[3:] - reread[3:]) ** 2).mean()
    assert float(code_cycle_loss(torch.tensor(code), torch.tensor(reread))) == pytest.approx(wanted, rel=1e-5)


def test_reconstruction_loss_adds_the_mean_of_the_worst_pixels() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 2, 3, 4, 4)).astype(np.float32)
    error = np.abs(x - y).mean(axis=1).reshape(2, -1)
    wanted = error.mean() + 0.7 * np.sort(error, axis=1)[:, -4:].mean()
    assert float(reconstruction_loss(torch.tensor(x), torch.tensor(y), 0.7, 0.25)) == pytest.approx(wanted, rel=1e-5)


def test_code_decay_is_the_mean_squared_length() -> None:
    code = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    assert float(code_decay(torch.tensor(code))) == pytest.approx((code**2).sum(axis=1).mean(), rel=1e-5)


def test_confusion_loss_is_the_divergence_from_the_uniform_answer() -> None:
    assert float(confusion_loss(torch.zeros(3, 7))) == pytest.approx(0, abs=1e-6)
    logits = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wanted = (np.log(1 / 7) - np.log(p)).mean()
    assert float(confusion_loss(torch.tensor(logits))) == pytest.approx(wanted, rel=1e-4)


def test_unlabelled_images_do_not_count_for_the_classifier() -> None:
    logits = torch.randn(3, 4)
    alone = classification_loss(logits[:1], torch.tensor([2]))
    torch.testing.assert_close(classification_loss(logits, torch.tensor([2, -1, -1])), alone)
    assert float(classification_loss(logits, torch.tensor([-1, -1, -1]))) == 0


def test_gan_losses_against_numpy() -> None:
    real, mixed = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    on_real, on_mixed = torch.tensor(real), torch.tensor(mixed)
    hinge = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + mixed).mean()
    lsgan = 0.5 * (((real - 1) ** 2).mean() + (mixed**2).mean())
    assert float(discriminator_loss("hinge", on_real, on_mixed)) == pytest.approx(hinge, rel=1e-5)
    assert float(discriminator_loss("lsgan", on_real, on_mixed)) == pytest.approx(lsgan, rel=1e-5)
    assert float(realism_loss("hinge", on_mixed)) == pytest.approx(-mixed.mean(), rel=1e-4)
    assert float(realism_loss("lsgan", on_mixed)) == pytest.approx(0.5 * ((mixed - 1) ** 2).mean(), rel=1e-5)


def test_balanced_gradients_keep_their_proportion_whatever_the_losses_weigh() -> None:
    x = torch.rand(2, 3, 4, 4, requires_grad=True)
    pull, push = torch.randn(2, 2, 3, 4, 4)
    for weight in (1.0, 1e-4):
        first, second = balance(x, 0.3)
        (gradient,) = torch.autograd.grad((pull * first).sum() + weight * (push * second).sum(), x)
        torch.testing.assert_close(gradient, pull + 0.3 * push * pull.norm() / push.norm())
    first, second = balance(x, 0.3)
    (alone,) = torch.autograd.grad((pull * first).sum() + 0 * second.sum(), x)
    torch.testing.assert_close(alone, pull)


def test_r1_is_half_the_squared_gradient() -> None:
    """A linear discriminator with weights w has the gradient w at every image."""
    w = torch.randn(3, 4, 4)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    on_real = (x * w).sum(dim=(1, 2, 3))[:, None]
    torch.testing.assert_close(r1_penalty(on_real, x), 0.5 * w.square().sum())


def test_variance_loss_is_the_shortfall_of_the_standard_deviations() -> None:
    code = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32) * np.array([0.1, 0.5, 1, 2, 4], np.float32)
    wanted = np.maximum(0, 1 - np.sqrt(code.var(axis=0, ddof=1) + 1e-4)).mean()
    assert float(variance_loss(torch.tensor(code))) == pytest.approx(wanted, rel=1e-4)
    assert float(variance_loss(torch.tensor(code[:, 4:]))) == 0


def test_squared_loss_is_the_mean_squared_error() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 2, 3, 4, 4)).astype(np.float32)
    assert float(squared_loss(torch.tensor(x), torch.tensor(y))) == pytest.approx(((y - x) ** 2).mean(), rel=1e-4)


def test_difference_weighted_l1_weighs_the_pixels_by_what_two_similar_images_differ_in() -> None:
    x, y, similar = np.random.default_rng(0).normal(size=(3, 2, 3, 4, 4)).astype(np.float32)
    difference = np.abs(x - similar).mean(axis=1)
    weights = difference / (difference.mean(axis=(1, 2), keepdims=True) + 0.01)
    wanted = (weights * np.abs(y - x).mean(axis=1)).mean()
    x_generated = torch.tensor(y)
    assert float(difference_weighted_l1(torch.tensor(x), x_generated, torch.tensor(similar))) == pytest.approx(
        wanted, rel=1e-4
    )
    assert float(difference_weighted_l1(torch.tensor(x), x_generated, torch.tensor(x))) == 0


def test_consistency_loss_is_the_mean_squared_distance() -> None:
    code, unshifted = np.random.default_rng(0).normal(size=(2, 6, 5)).astype(np.float32)
    wanted = ((code - unshifted) ** 2).sum(axis=1).mean()
    assert float(consistency_loss(torch.tensor(code), torch.tensor(unshifted))) == pytest.approx(wanted, rel=1e-5)


def test_contrastive_loss_is_the_squared_shortfall_of_the_distance() -> None:
    code = torch.zeros(3, 5)
    partner = torch.zeros(3, 5)
    partner[0, 2], partner[1, 4] = 1.0, 7.0
    assert float(contrastive_loss(code, partner)) == pytest.approx(((1 - 1 / 4) ** 2 + 0 + 1) / 3, rel=1e-3)


def test_contrastive_loss_counts_the_known_negatives_alone() -> None:
    code, other = torch.zeros(3, 5), torch.zeros(3, 5)
    other[1, 0] = 2.0
    assert float(contrastive_loss(code, other, torch.tensor([False, True, False]))) == pytest.approx(0.25, rel=1e-3)
    assert float(contrastive_loss(code, other, torch.tensor([False, False, False]))) == 0


def test_contrastive_loss_of_an_image_with_itself_has_no_gradient() -> None:
    code = torch.randn(4, 5, requires_grad=True)
    contrastive_loss(code, code).backward()
    assert code.grad is not None
    assert not code.grad.any()


def test_perceptual_loss_is_the_mean_share_that_features_are_off() -> None:
    wanted = [torch.tensor([[1.0, -3.0]]), torch.tensor([[10.0, 10.0]])]
    generated = [torch.tensor([[2.0, -3.0]]), torch.tensor([[10.0, 5.0]])]
    assert perceptual_loss(wanted, generated) == pytest.approx((0.5 / 2 + 2.5 / 10) / 2)


def test_spreads_are_the_deviations_of_channels_over_an_image() -> None:
    wave = torch.tensor([[[[1.0, -1.0], [-1.0, 1.0]]]])
    first, second = spreads(
        [torch.cat([2 * wave, 6 * wave + 5], dim=1), torch.cat([wave, 0 * wave]), wave[..., :1, :1]]
    )
    assert torch.allclose(first, torch.tensor([[2.0, 6.0]]) * (4 / 3) ** 0.5)
    assert torch.allclose(second, torch.tensor([[1.0], [0.0]]) * (4 / 3) ** 0.5)
