import numpy as np
import pytest
import torch

from chiasm.config import LossConfig
from chiasm.cross import disassemble, mix, swap_halves
from chiasm.losses import (
    Objective,
    code_cycle_loss,
    code_decay,
    confusion_loss,
    home_loss,
    picture_loss,
    reader_loss,
)
from chiasm.networks import CrossModel


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1


def test_home_loss_sums_the_l1_of_both_pictures() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 6, 3, 4, 4)).astype(np.float32)
    wanted = np.abs(x[:3] - y[:3]).mean() + np.abs(x[3:] - y[3:]).mean()
    assert float(home_loss(torch.tensor(x), torch.tensor(y))) == pytest.approx(wanted, rel=1e-5)


def test_code_cycle_loss_sums_the_squares_of_both_pictures() -> None:
    code, reread = np.random.default_rng(0).normal(size=(2, 6, 5)).astype(np.float32)
    wanted = ((code[:3] - reread[:3]) ** 2).mean() + ((code[3:] - reread[3:]) ** 2).mean()
    assert float(code_cycle_loss(torch.tensor(code), torch.tensor(reread))) == pytest.approx(wanted, rel=1e-5)


def test_picture_loss_adds_the_mean_of_the_worst_pixels() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 2, 3, 4, 4)).astype(np.float32)
    error = np.abs(x - y).mean(axis=1).reshape(2, -1)
    wanted = error.mean() + 0.7 * np.sort(error, axis=1)[:, -4:].mean()
    assert float(picture_loss(torch.tensor(x), torch.tensor(y), 0.7, 0.25)) == pytest.approx(wanted, rel=1e-5)


def test_code_decay_is_the_mean_squared_length() -> None:
    code = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    assert float(code_decay(torch.tensor(code))) == pytest.approx((code**2).sum(axis=1).mean(), rel=1e-5)


def test_naive_objective_is_the_report_s_equation_4(model: CrossModel, x: torch.Tensor) -> None:
    model.eval()
    config = LossConfig(weight_rec=1.0, gamma=0.4, weight_swap=0.0, weight_worst=0.0, noise_b=0.0, decay_b=0.0)
    terms = Objective(model, config).eval()(x, None, None, 1.0)
    x1, x2 = x.chunk(2)
    a1, b1, a2, b2 = model.encoder_a(x1), model.encoder_b(x1), model.encoder_a(x2), model.encoder_b(x2)
    x_a1b2, x_a2b1 = model.generator(a1, b2), model.generator(a2, b1)
    x1_rec = model.generator(model.encoder_a(x_a1b2), model.encoder_b(x_a2b1))
    x2_rec = model.generator(model.encoder_a(x_a2b1), model.encoder_b(x_a1b2))
    l1 = lambda p, q: (p - q).abs().mean()  # noqa: E731
    mse = lambda p, q: (p - q).square().mean()  # noqa: E731
    wanted = {
        "rec": l1(x1_rec, x1) + l1(x2_rec, x2),
        "cycle_a": 0.4 * (mse(a1, model.encoder_a(x_a1b2)) + mse(a2, model.encoder_a(x_a2b1))),
        "cycle_b": 0.4 * (mse(b1, model.encoder_b(x_a2b1)) + mse(b2, model.encoder_b(x_a1b2))),
    }
    torch.testing.assert_close(terms, wanted, rtol=1e-4, atol=1e-6)


def test_no_gradient_is_stopped_in_the_crossing(model: CrossModel, x: torch.Tensor) -> None:
    """The cycle terms alone reach every weight of both encoders and of the generator."""
    config = LossConfig(weight_direct=1.0, gamma=1.0, weight_swap=0.0, noise_b=0.0, decay_b=0.0)
    terms = Objective(model, config)(x, None, None, 1.0)
    (terms["cycle_a"] + terms["cycle_b"]).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_swap_term_reads_a_from_the_partner_alone(model: CrossModel, x: torch.Tensor) -> None:
    model.eval()
    config = LossConfig(weight_swap=2.0, weight_worst=0.0, noise_b=0.0, decay_b=0.0)
    partner = x.flip(0)
    terms = Objective(model, config).eval()(x, partner, None, 0.0)
    drawn = model.generator(model.encoder_a(partner), model.encoder_b(x))
    torch.testing.assert_close(terms, {"swap": 2 * (drawn - x).abs().mean()})


def test_terms_of_weight_zero_are_not_computed(model: CrossModel, x: torch.Tensor) -> None:
    terms = Objective(model, LossConfig(weight_direct=1.0, weight_swap=0.0, decay_b=0.0))(x, None, None, 0.0)
    assert set(terms) == {"direct"}


def test_noise_is_for_training_only(model: CrossModel, x: torch.Tensor) -> None:
    objective = Objective(model, LossConfig(noise_b=1.0))
    model.eval()
    first, second = (objective.train()(x, x, None, 0.0)["swap"] for _ in range(2))
    assert first != second
    objective.eval()
    assert objective(x, x, None, 0.0)["swap"] == objective(x, x, None, 0.0)["swap"]


def test_codes_in_the_cycle_are_compared_in_the_order_of_the_originals(model: CrossModel, x: torch.Tensor) -> None:
    """If x1 and x2 are the same picture, code B reread from either mix is the same, whatever the order."""
    model.eval()
    same = torch.cat([x[:2], x[:2]])
    codes = disassemble(model, same)
    b_of_mix = model.encoder_b(mix(model, codes))
    torch.testing.assert_close(b_of_mix, swap_halves(b_of_mix))


def test_confusion_is_the_divergence_from_the_uniform_answer() -> None:
    assert float(confusion_loss(torch.zeros(3, 7))) == pytest.approx(0, abs=1e-6)
    logits = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wanted = (np.log(1 / 7) - np.log(p)).mean()
    assert float(confusion_loss(torch.tensor(logits))) == pytest.approx(wanted, rel=1e-4)


def test_unlabelled_pictures_do_not_count_for_the_reader() -> None:
    logits = torch.randn(3, 4)
    alone = reader_loss(logits[:1], torch.tensor([2]))
    torch.testing.assert_close(reader_loss(logits, torch.tensor([2, -1, -1])), alone)
    assert float(reader_loss(logits, torch.tensor([-1, -1, -1]))) == 0


def test_adversary_and_encoder_work_against_each_other(model: CrossModel, x: torch.Tensor) -> None:
    """The reader's term moves the reader alone, the hiding term the encoder alone."""
    objective = Objective(model, LossConfig(weight_adversary=1.0), num_classes=3)
    terms = objective(x, x, torch.tensor([0, 1, 2, -1]), 0.0)
    reader, encoder = list(objective.adversary.parameters()), list(model.encoder_b.parameters())
    for name, moves, leaves in (("reader_b", reader, encoder), ("adversary", encoder, reader)):
        grads = torch.autograd.grad(terms[name], moves + leaves, retain_graph=True, allow_unused=True)
        assert all(g is not None and g.any() for g in grads[: len(moves)])
        assert all(g is None for g in grads[len(moves) :])


def test_noise_grows_from_nothing_over_its_ramp() -> None:
    config = LossConfig(noise_b=2.0, noise_ramp=0.5)
    assert [config.noise_at(used) for used in (0.0, 0.25, 0.5, 1.0)] == [0.0, 1.0, 2.0, 2.0]
    assert LossConfig(noise_b=2.0).noise_at(0.0) == 2.0
