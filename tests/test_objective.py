import copy
from typing import Literal

import pytest
import torch
from torch.nn import functional as F

from chiasm.augment import change
from chiasm.batch import Batch
from chiasm.config import DataConfig, GanConfig, LossConfig, ModelConfig
from chiasm.discriminator_objective import DiscriminatorObjective
from chiasm.losses import contrastive_loss, perceptual_loss, spreads
from chiasm.networks import CrossModel
from chiasm.networks.discriminator import Discriminator, FeatureDiscriminator
from chiasm.networks.hand_out import mean_of_neighbours, quantise
from chiasm.networks.photo_features import PhotoFeatures
from chiasm.objective import Objective


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1


def assert_trains_only(term: torch.Tensor, trained: list[torch.Tensor], untouched: list[torch.Tensor]) -> None:
    """A term's gradient reaches all of some weights and none of others."""
    grads = torch.autograd.grad(term, trained + untouched, retain_graph=True, allow_unused=True)
    assert all(g is not None and g.any() for g in grads[: len(trained)])
    assert all(g is None for g in grads[len(trained) :])


def test_naive_objective_is_equation_4_of_the_original(model: CrossModel, x: torch.Tensor) -> None:
    model.eval()
    config = LossConfig.only(weight_rec=1.0, gamma=0.4)
    terms = Objective(model, config).eval()(Batch(x), 1.0).terms
    x1, x2 = x.chunk(2)
    a1, b1, a2, b2 = model.encoder_a(x1), model.encoder_b(x1), model.encoder_a(x2), model.encoder_b(x2)
    x_a1b2, x_a2b1 = model.generator(a1, b2), model.generator(a2, b1)
    x1_rec = model.generator(model.encoder_a(x_a1b2), model.encoder_b(x_a2b1))
    x2_rec = model.generator(model.encoder_a(x_a2b1), model.encoder_b(x_a1b2))
    wanted = {
        "rec": F.l1_loss(x1_rec, x1) + F.l1_loss(x2_rec, x2),
        "cycle_a": 0.4 * (F.mse_loss(a1, model.encoder_a(x_a1b2)) + F.mse_loss(a2, model.encoder_a(x_a2b1))),
        "cycle_b": 0.4 * (F.mse_loss(b1, model.encoder_b(x_a2b1)) + F.mse_loss(b2, model.encoder_b(x_a1b2))),
    }
    torch.testing.assert_close(terms, wanted, rtol=1e-4, atol=1e-6)


def test_no_gradient_is_stopped_in_the_crossing(model: CrossModel, x: torch.Tensor) -> None:
    """The cycle terms alone reach every weight of both encoders and of the generator."""
    config = LossConfig.only(weight_direct=1.0, gamma=1.0)
    terms = Objective(model, config)(Batch(x), 1.0).terms
    (terms["cycle_a"] + terms["cycle_b"]).backward()
    without_gradient = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without_gradient


def test_swap_term_reads_a_from_the_partner_alone(model: CrossModel, x: torch.Tensor) -> None:
    model.eval()
    config = LossConfig.only(weight_swap=2.0)
    partner = x.flip(0)
    terms = Objective(model, config).eval()(Batch(x, partner), 0.0).terms
    generated = model.generator(model.encoder_a(partner), model.encoder_b(x))
    torch.testing.assert_close(terms, {"swap": 2 * (generated - x).abs().mean()})


def test_terms_of_weight_zero_are_not_computed(model: CrossModel, x: torch.Tensor) -> None:
    terms = Objective(model, LossConfig.only(weight_direct=1.0))(Batch(x), 0.0).terms
    assert set(terms) == {"direct"}


def test_noise_is_for_training_only(model: CrossModel, x: torch.Tensor) -> None:
    objective = Objective(model, LossConfig(noise_b=1.0, weight_adversary=0.0))
    model.eval()
    first, second = (objective.train()(Batch(x, x), 0.0).terms["swap"] for _ in range(2))
    assert first != second
    objective.eval()
    assert objective(Batch(x, x), 0.0).terms["swap"] == objective(Batch(x, x), 0.0).terms["swap"]


def test_code_b_is_read_from_shifted_images_in_training_only(model: CrossModel, x: torch.Tensor) -> None:
    unshifted, shifted = (
        Objective(model, LossConfig.only(weight_direct=1.0, shift_b=reach)).eval() for reach in (0.0, 0.25)
    )
    assert shifted(Batch(x), 0.0).terms["direct"] == unshifted(Batch(x), 0.0).terms["direct"]
    first, second = (shifted.train()(Batch(x), 0.0).terms["direct"] for _ in range(2))
    assert first != second


def test_code_b_of_an_unshifted_image_is_tied_to_the_shifted_one_and_hidden_from_the_adversary(
    model: CrossModel, x: torch.Tensor
) -> None:
    losses = LossConfig.only(weight_direct=1.0, weight_adversary=1.0, shift_b=0.25, weight_consistency=2.0)
    objective, classes = Objective(model, losses, num_classes=3), torch.tensor([0, 1, 2, -1])
    read = []
    objective.adversary.register_forward_hook(lambda _, inputs, __: read.append(inputs[0]))
    terms = objective(Batch(x, classes=classes), 0.0).terms
    shifted, unshifted = read[0].chunk(2)
    assert terms["consistency"] > 0
    torch.testing.assert_close(terms["consistency"], 2.0 * (shifted - unshifted).square().sum(dim=1).mean())
    assert objective.eval()(Batch(x, classes=classes), 0.0).terms["consistency"] == 0


def test_codes_a_are_contrasted_with_those_of_negatives(model: CrossModel, x: torch.Tensor) -> None:
    objective = Objective(model, LossConfig(weight_adversary=0.0))
    batch = Batch(x, x, x_positive=x[1::2], x_negative=x[::2], is_negative=torch.tensor([True, False]))
    terms = objective.eval()(batch, 0.0).terms
    a, a_negative = model.encoder_a(x)[1::2], model.encoder_a(x[::2])
    torch.testing.assert_close(terms["contrastive_a"], contrastive_loss(a[:1], a_negative[:1]))
    encoder_a, rest = model.encoder_a, [model.encoder_b, model.generator]
    untouched = [p for part in rest for p in part.parameters()]
    assert_trains_only(terms["contrastive_a"], list(encoder_a.layers[-1].parameters())[:1], untouched)
    assert "contrastive_a" not in objective(batch._replace(is_negative=None), 0.0).terms


def test_codes_a_and_b_are_contrasted_with_weights_of_their_own(model: CrossModel, x: torch.Tensor) -> None:
    batch = Batch(x, x.roll(1, 0), x_positive=x[1::2], x_negative=x[::2], is_negative=torch.tensor([True, True]))
    both, half, none = (
        Objective(model, LossConfig(weight_adversary=0.0, weight_contrastive_a=weight)).eval()(batch, 0.0).terms
        for weight in (None, 0.5, 0.0)
    )
    torch.testing.assert_close(half["contrastive_a"], both["contrastive_a"] / 2)
    torch.testing.assert_close(half["contrastive_b"], both["contrastive_b"])
    assert both.keys() - none.keys() == {"contrastive_a"}


def test_codes_b_of_an_image_with_itself_are_not_contrasted(model: CrossModel, x: torch.Tensor) -> None:
    objective = Objective(model, LossConfig(weight_adversary=0.0, noise_b=0.0, shift_b=0.25))
    alone = torch.zeros(4, dtype=torch.bool)
    terms = objective(Batch(x, x, has_partner=alone), 0.0).terms
    assert terms["contrastive_b"] == 0
    some = Batch(x, x.roll(1, 0), has_partner=torch.tensor([True, False, True, False]))
    b, b_partner = (objective.eval().model.encoder_b(part) for part in (x, some.x_partner))
    expected = contrastive_loss(b[::2], b_partner[::2])
    torch.testing.assert_close(objective(some, 0.0).terms["contrastive_b"], expected)


def test_similar_images_are_positives_at_even_and_negatives_at_odd_places(x: torch.Tensor) -> None:
    x_similar = Batch(x, x_positive=x[:2], x_negative=x[2:]).x_similar
    assert torch.equal(x_similar, x[[0, 2, 1, 3]])
    assert Batch(x).x_similar is None


def test_adversary_and_encoder_work_against_each_other(model: CrossModel, x: torch.Tensor) -> None:
    """The classifier's term changes the classifier alone, the hiding term the encoder alone."""
    objective = Objective(model, LossConfig(weight_adversary=1.0), num_classes=3)
    terms = objective(Batch(x, x, classes=torch.tensor([0, 1, 2, -1])), 0.0).terms
    classifier, encoder = list(objective.adversary.parameters()), list(model.encoder_b.parameters())
    for name, trained, untouched in (("classifier_b", classifier, encoder), ("adversary", encoder, classifier)):
        assert_trains_only(terms[name], trained, untouched)


@pytest.mark.parametrize("kind", ["hinge", "lsgan"])
def test_a_discriminator_step_leaves_the_networks_alone_and_the_other_way_round(
    kind: str, model: CrossModel, x: torch.Tensor
) -> None:
    gan = GanConfig(weight=0.5, kind=kind, r1=1.0, widths=(4, 6))
    classes = torch.tensor([0, 1, 2, -1])
    discriminator = DiscriminatorObjective(gan, num_classes=3)
    objective = Objective(model, LossConfig(weight_adversary=0.0), gan, discriminator=discriminator.discriminator)
    terms, x_mix = objective(Batch(x, x, classes=classes), 1.0)
    terms["gan"].backward()
    assert all(p.grad is None for p in discriminator.parameters())
    assert all(p.grad is not None and p.grad.any() for p in model.encoder_b.parameters())
    model.zero_grad(set_to_none=True)
    sum(discriminator(x, x_mix, classes).values()).backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in discriminator.parameters())


@pytest.mark.parametrize("sees", ["pixels", "features"])
def test_swaps_are_judged_as_they_are_drawn_and_nothing_is_mixed_for_it(
    sees: Literal["pixels", "features"], model: CrossModel, x: torch.Tensor
) -> None:
    """The truth of a swap is known; the gradient of eq. 20 is a share of that of eq. 5."""
    model.eval()
    gan = GanConfig(weight=0.5, judges="swaps", sees=sees, widths=(4, 6))
    discriminator = DiscriminatorObjective(gan, num_classes=3)
    config, classes, partner = LossConfig.only(weight_swap=1.0), torch.tensor([0, 1, 2, -1]), x.roll(1, 0)
    objective = Objective(model, config, gan, discriminator=discriminator.discriminator).eval()
    terms, x_judged = objective(Batch(x, partner, classes=classes), 1.0)
    torch.testing.assert_close(x_judged, model.generator(model.encoder_a(partner), model.encoder_b(x)))
    last = model.generator.rgb.bias
    (alone,) = torch.autograd.grad(terms["swap"], last, retain_graph=True)
    (both,) = torch.autograd.grad(terms["swap"] + terms["gan"], last)
    assert not torch.allclose(alone, both)
    model.zero_grad(set_to_none=True)
    sum(discriminator(x, x_judged, classes).values()).backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in discriminator.parameters())


def test_the_features_that_a_discriminator_sees_are_never_trained_or_saved(x: torch.Tensor) -> None:
    torch.manual_seed(0)
    discriminator = FeatureDiscriminator(num_classes=3)
    assert sum(p.numel() for p in discriminator.parameters()) < 400_000
    assert not any("features" in name for name in discriminator.state_dict())
    blind, told = discriminator(x, torch.full((4,), -1)), discriminator(x, torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(blind, discriminator(x))
    assert blind.shape == (4, 8 * 8 + 2 * 2)
    assert (blind != told).any(dim=0).sum() == 2 * 2


@pytest.mark.parametrize(("side", "patches"), [(8, 4 * 4 + 1), (20, 10 * 10 + 2 * 2)])
def test_a_discriminator_of_features_sees_sides_that_are_no_multiple_of_eight(side: int, patches: int) -> None:
    assert FeatureDiscriminator()(torch.zeros(2, 3, side, side)).shape == (2, patches)


def test_gan_weight_waits_for_the_head_start_and_then_grows() -> None:
    gan = GanConfig(weight=2.0, head_start=0.2, ramp=0.4)
    assert [gan.weight_at(used) for used in (0.1, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 1, 2, 2])
    assert GanConfig(weight=2.0).weight_at(0.0) == 2.0
    assert GanConfig(weight=2.0, start=0.5, head_start=0.2).weight_at(0.4) == 0.0


@pytest.mark.parametrize("judges", ["mixes", "swaps"])
def test_before_its_start_there_is_no_discriminator(
    judges: Literal["mixes", "swaps"], model: CrossModel, x: torch.Tensor
) -> None:
    gan = GanConfig(weight=1.0, judges=judges, start=0.5, widths=(4, 6))
    objective = Objective(model, LossConfig(weight_adversary=0.0), gan, discriminator=Discriminator((4, 6)))
    early, late = (objective(Batch(x, x.roll(1, 0)), progress) for progress in (0.4, 0.6))
    assert early.x_judged is None
    assert late.x_judged is not None
    assert late.terms.keys() - early.terms.keys() == {"gan"}


def test_discriminator_sees_unlabelled_images_without_a_class(x: torch.Tensor) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator((4, 6), num_classes=3)
    blind, told = discriminator(x, torch.full((4,), -1)), discriminator(x, torch.tensor([0, 1, 2, 0]))
    assert torch.equal(blind, discriminator(x))
    assert not torch.allclose(blind, told)


def test_classifier_learns_from_real_images_and_changes_the_networks_by_mixed_ones(
    model: CrossModel, x: torch.Tensor
) -> None:
    objective = Objective(model, LossConfig(weight_adversary=0.0, weight_classifier=1.0), num_classes=3)
    terms = objective(Batch(x, x, classes=torch.tensor([0, 1, 2, -1])), 1.0).terms
    classifier, generator = list(objective.classifier.parameters()), list(model.generator.parameters())
    for name, trained, untouched in (
        ("classifier_x", classifier, generator),
        ("classifier_mix", generator, classifier),
    ):
        assert_trains_only(terms[name], trained, untouched)


def test_noise_on_the_mix_changes_only_what_is_read_from_it(model: CrossModel, x: torch.Tensor) -> None:
    quiet, noisy = (
        LossConfig(weight_rec=1.0, weight_adversary=0.0, noise_b=0.0, noise_mix=sigma) for sigma in (0.0, 0.5)
    )
    one, other = (Objective(model, config)(Batch(x, x), 1.0).terms for config in (quiet, noisy))
    assert one["swap"] == other["swap"]
    assert one["rec"] != other["rec"]


WITHOUT_LABELS = DataConfig(supervision="augmentations", a_ignores=("rotate", "flip"))


def test_without_labels_code_a_of_the_changed_image_draws_the_unchanged_one(model: CrossModel, x: torch.Tensor) -> None:
    objective = Objective(model, LossConfig.only(weight_swap=1.0), data=WITHOUT_LABELS)
    model.eval()  # the objective alone trains: batch statistics would differ
    seen = {}
    for name in ("encoder_a", "encoder_b", "generator"):
        part = getattr(model, name)
        part.register_forward_hook(lambda _, inputs, made, name=name: seen.update({name: (inputs, made)}))
    torch.manual_seed(4)
    loss = objective(Batch(x), 0.0).terms["swap"]
    torch.manual_seed(4)
    assert torch.equal(seen["encoder_a"][0][0], change(x, WITHOUT_LABELS.a_ignores, WITHOUT_LABELS.strength))
    assert torch.equal(seen["encoder_b"][0][0], x)
    torch.testing.assert_close(loss, (seen["generator"][1] - x).abs().mean())


def test_code_b_is_read_from_images_changed_in_what_it_ignores(model: CrossModel, x: torch.Tensor) -> None:
    data = DataConfig(b_ignores=("colour",))
    objective, read = Objective(model, LossConfig.only(weight_swap=1.0), data=data), {}
    for name in ("encoder_a", "encoder_b"):
        hook = lambda _, inputs, name=name: read.update({name: inputs[0]})  # noqa: E731
        getattr(model, name).register_forward_pre_hook(hook)
    objective(Batch(x, x.flip(0)), 0.0)
    assert torch.equal(read["encoder_a"], x.flip(0))
    torch.testing.assert_close(read["encoder_b"].mean(dim=1), x.mean(dim=1), atol=0.4, rtol=0)
    assert not torch.equal(read["encoder_b"], x)


def test_nothing_is_changed_in_evaluation(model: CrossModel, x: torch.Tensor) -> None:
    objective = Objective(model, LossConfig.only(weight_swap=1.0), data=WITHOUT_LABELS).eval()
    reconstructed = model.generator(model.encoder_a(x), model.encoder_b(x))
    torch.testing.assert_close(objective(Batch(x), 0.0).terms["swap"], (reconstructed - x).abs().mean())


def test_without_labels_codes_b_are_contrasted_in_training_only(model: CrossModel, x: torch.Tensor) -> None:
    objective = Objective(model, LossConfig.only(weight_swap=1.0, weight_contrastive=1.0), data=WITHOUT_LABELS)
    assert "contrastive_b" in objective(Batch(x), 0.0).terms
    assert "contrastive_b" not in objective.eval()(Batch(x), 0.0).terms


def test_without_labels_partners_that_the_batch_has_are_not_looked_at(model: CrossModel, x: torch.Tensor) -> None:
    objective = Objective(model, LossConfig(weight_adversary=0.0, noise_b=0.0), data=WITHOUT_LABELS)
    found = []
    for partner in (None, x.flip(0)):
        torch.manual_seed(0)
        found.append(objective(Batch(x, partner, classes=torch.tensor([0, 1, 2, 3])), 0.0).terms)
    assert found[0].keys() == found[1].keys() >= {"swap", "contrastive_b"}
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_some_images_are_their_own_partner_changed(model: CrossModel, x: torch.Tensor) -> None:
    data = DataConfig(a_ignores=("flip",), own_partner=1.0)
    objective, read = Objective(model, LossConfig.only(weight_swap=1.0), data=data), {}
    model.encoder_a.register_forward_pre_hook(lambda _, inputs: read.update(a=inputs[0]))
    objective(Batch(x, torch.zeros_like(x)), 0.0)
    own = [
        any(torch.allclose(a, shown, atol=1e-3) for shown in (one, one.flip(2)))
        for a, one in zip(read["a"], x, strict=True)
    ]
    assert all(own)
    objective.eval()(Batch(x, torch.zeros_like(x)), 0.0)
    assert not read["a"].any()


def test_code_b_is_read_from_the_image_alike_and_draws_the_image(model: CrossModel, x: torch.Tensor) -> None:
    config = LossConfig.only(weight_swap=1.0, weight_contrastive=1.0, weight_consistency=1.0, shift_b=0.1)
    objective, read = Objective(model, config), []
    model.encoder_b.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    alike = torch.zeros_like(x)
    objective.eval()(Batch(x, x.flip(0), x_alike=alike), 0.0)
    assert torch.equal(read[0], torch.cat([alike, x.flip(0), alike]))
    drawn = model.generator(model.encoder_a(x.flip(0)), model.encoder_b(alike))
    loss = objective(Batch(x, x.flip(0), x_alike=alike), 0.0).terms["swap"]
    torch.testing.assert_close(loss, (drawn - x).abs().mean())


def test_an_image_and_its_partner_are_varied_alike_in_training(model: CrossModel, x: torch.Tensor) -> None:
    data = DataConfig(vary=("light", "rotate"))
    objective, read = Objective(model, LossConfig.only(weight_swap=1.0), data=data), {}
    for name in ("encoder_a", "encoder_b"):
        hook = lambda _, inputs, name=name: read.update({name: inputs[0]})  # noqa: E731
        getattr(model, name).register_forward_pre_hook(hook)
    objective(Batch(x, x.clone()), 0.0)
    assert torch.equal(read["encoder_a"], read["encoder_b"])
    assert not torch.allclose(read["encoder_a"], x)
    objective.eval()(Batch(x, x.clone()), 0.0)
    assert torch.equal(read["encoder_a"], x)


def test_code_a_is_the_mean_over_one_to_all_partners(model: CrossModel, x: torch.Tensor) -> None:
    objective = Objective(model, LossConfig.only(weight_swap=1.0))
    each = torch.stack([torch.full((64, 2), value) for value in (0.0, 6.0, 12.0)])
    assert set(objective._mean_code(each).unique().tolist()) == {0.0, 3.0, 6.0}
    assert torch.equal(objective._mean_code(each[:1]), each[0])
    assert torch.equal(objective.eval()._mean_code(each), torch.full((64, 2), 6.0))
    partners = torch.cat([x.roll(1, 0), x.roll(2, 0)])
    a = model.eval().encoder_a(partners).unflatten(0, (2, -1)).mean(0)
    torch.testing.assert_close(objective._read_codes(Batch(x, partners), mixing=False).a_partner, a)


def test_an_image_that_is_its_own_partner_is_not_contrasted_with_itself(model: CrossModel, x: torch.Tensor) -> None:
    config = LossConfig.only(weight_swap=1.0, weight_contrastive=1.0)
    of_others, of_own = (
        Objective(model, config, data=DataConfig(a_ignores=("flip",), own_partner=share))(Batch(x, x.roll(1, 0)), 0.0)
        for share in (0.0, 1.0)
    )
    assert of_others.terms["contrastive_b"] > 0
    assert of_own.terms["contrastive_b"] == 0


def test_a_step_without_changes_draws_nothing(model: CrossModel, x: torch.Tensor) -> None:
    before = torch.get_rng_state()
    Objective(model, LossConfig.only(weight_swap=1.0))(Batch(x, x), 0.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_perceptual_term_is_zero_for_the_image_itself_and_trains_no_features(x: torch.Tensor) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    features = PhotoFeatures()
    assert not any(p.requires_grad for p in features.parameters())
    x = F.interpolate(x, size=64)
    wanted = features(x)
    assert [tuple(f.shape[1:]) for f in wanted] == [(16, 32, 32), (24, 16, 16), (40, 8, 8)]
    assert perceptual_loss(wanted, features(x)) == 0
    faint, strong = (perceptual_loss(wanted, features(x + s * torch.randn_like(x))) for s in (0.01, 0.3))
    assert 0 < faint < strong


def test_perceptual_term_is_part_of_the_reconstruction(model: CrossModel, x: torch.Tensor) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    without, with_it = (
        Objective(model, LossConfig.only(weight_swap=1.0, weight_perceptual=weight)).eval() for weight in (0.0, 2.0)
    )
    term = with_it(Batch(x, x), 0.0).terms["swap"]
    generated, features = model.generator(model.encoder_a(x), model.encoder_b(x)), PhotoFeatures()
    added = 2 * perceptual_loss(features(x), features(generated))
    torch.testing.assert_close(term, without(Batch(x, x), 0.0).terms["swap"] + added)
    assert not any("features" in name for name, _ in with_it.named_parameters())


def test_in_the_inversion_encoder_a_alone_learns(x: torch.Tensor) -> None:
    """Eq. 27: an image from its own codes, and the other's code B found again in the mix with it."""
    model = CrossModel(ModelConfig(side_px=16, code_a=8, code_b=4, encoder_widths=(8, 8), generator_widths=(8, 8)))
    config = LossConfig.only(weight_direct=1.0, weight_perceptual=2.0, inversion_start=0.5)
    objective = Objective(model, config).train()
    assert set(objective(Batch(x), 0.4).terms) == {"direct"}
    before = copy.deepcopy(model.encoder_b.state_dict())
    terms = objective(Batch(x), 0.5).terms
    a, b, features = model.encoder_a(x), model.encoder_b(x), PhotoFeatures()
    drawn, mixed = model.generator(a, b), model.generator(a, b.roll(2, 0))
    wanted = {
        "inversion": F.l1_loss(drawn, x) + 2 * perceptual_loss(features(x), features(drawn)),
        "inversion_b": 0.3 * 2 * F.mse_loss(model.encoder_b(mixed), b.roll(2, 0)),  # a sum over both halves
    }
    torch.testing.assert_close(terms, wanted, rtol=1e-4, atol=1e-6)
    others = [*model.encoder_b.parameters(), *model.generator.parameters()]
    for term in terms.values():
        assert_trains_only(term, list(model.encoder_a.parameters()), others)
    assert all(torch.equal(value, before[name]) for name, value in model.encoder_b.state_dict().items())
    assert set(objective.eval()(Batch(x), 1.0).terms) == {"direct"}


@pytest.mark.parametrize("stage", ["inversion", "refinement"])
def test_spread_of_features_counts_once_not_all_networks_learn(x: torch.Tensor, stage: str) -> None:
    """Eq. 30, inside of eq. 27 and 28, not of eq. 5."""
    pytest.importorskip("efficientnet_lite_pytorch")
    model = CrossModel(ModelConfig(side_px=16, code_a=8, code_b=4, encoder_widths=(8, 8), generator_widths=(8, 8)))
    weights = {"weight_swap": 1.0, "weight_perceptual": 2.0, f"{stage}_start": 0.5}
    with_it, without = (
        Objective(model, LossConfig.only(**weights, weight_spread=weight)).train() for weight in (0.5, 0.0)
    )
    torch.testing.assert_close(with_it(Batch(x, x), 0.4).terms, without(Batch(x, x), 0.4).terms)
    term, features = with_it(Batch(x, x), 0.5).terms[stage], PhotoFeatures()
    drawn = model.generator(model.encoder_a(x), model.encoder_b(x))
    wanted, generated = features(x), features(drawn)
    photo_loss = perceptual_loss(wanted, generated) + 0.5 * perceptual_loss(spreads(wanted), spreads(generated))
    torch.testing.assert_close(term, F.l1_loss(drawn, x) + 2 * photo_loss, rtol=1e-4, atol=1e-6)


def test_in_the_refinement_the_generator_alone_learns(x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eq. 28: an image from the partner's code A, some from their own."""
    model = CrossModel(ModelConfig(side_px=16, code_a=8, code_b=4, encoder_widths=(8, 8), generator_widths=(8, 8)))
    config = LossConfig.only(weight_swap=2.0, weight_contrastive=1.0, decay_b=1.0, refinement_start=0.5)
    objective = Objective(model, config, data=DataConfig(own_partner=1.0)).train()
    x_partner = x.flip(0)
    model.encoder_a(x.flip(3)), model.encoder_b(x.flip(3))  # statistics that are not those of the batch
    before = copy.deepcopy(model.state_dict())
    for share, of in ((0.0, x_partner), (1.0, x)):
        monkeypatch.setattr("chiasm.objective.REFINEMENT_OWN", share)
        terms = objective(Batch(x, x_partner, classes=torch.tensor([0, 1, 0, 1])), 0.5).terms
        drawn = model.generator(model.encoder_a.eval()(of), model.encoder_b.eval()(x))
        torch.testing.assert_close(terms, {"refinement": F.l1_loss(drawn, x)}, rtol=1e-4, atol=1e-6)
        encoders = [*model.encoder_a.parameters(), *model.encoder_b.parameters()]
        assert_trains_only(terms["refinement"], list(model.generator.parameters()), encoders)
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith("encoder"))


@pytest.mark.parametrize("stage", ["inversion", "refinement"])
def test_once_encoder_b_is_fixed_images_are_drawn_from_codes_b_as_mixes_have_them(x: torch.Tensor, stage: str) -> None:
    """Rounded, and what other classes' codes share and tell best: the own class's have no share."""
    model = CrossModel(
        ModelConfig(
            side_px=16,
            code_a=8,
            code_b=4,
            encoder_widths=(8, 8),
            generator_widths=(8, 8),
            neighbours_b=2,
            components_b=2,
        ),
        noise_b=0.3,
    )
    objective = Objective(model, LossConfig.only(weight_direct=1.0, noise_b=0.3, **{f"{stage}_start": 0.5})).train()
    model.codes_b, model.classes_b = torch.randn(3, 5, 4), torch.tensor([4, 7, 9])
    model.learn_filter_b()
    classes = torch.tensor([7, 4, -1, 9])
    b = mean_of_neighbours(model.encoder_b.eval()(x), model.codes_b, 2, classes[:, None] == model.classes_b)
    b = model.mean_b + (b - model.mean_b) @ model.filter_b.T
    terms = objective(Batch(x, classes=classes), 0.5).terms
    drawn = model.generator(model.encoder_a(x), quantise(b, 0.3))
    torch.testing.assert_close(terms, {stage: F.l1_loss(drawn, x)}, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stage", ["inversion", "refinement"])
def test_what_is_drawn_then_is_judged_as_swaps_are(model: CrossModel, x: torch.Tensor, stage: str) -> None:
    gan = GanConfig(weight=0.3, judges="swaps", start=0.4, head_start=0.5)
    discriminator = Discriminator(gan.widths)
    config = LossConfig.only(weight_direct=1.0, **{f"{stage}_start": 0.5})
    objective = Objective(model, config, gan, discriminator=discriminator).train()
    terms, x_judged = objective(Batch(x), 0.5)
    torch.testing.assert_close(x_judged, model.generator(model.encoder_a(x), model.encoder_b(x)))
    assert set(terms) == {"gan", stage}
    learning, still = model.encoder_a, model.generator
    if stage == "refinement":
        learning, still = still, learning
    weights = list(learning.parameters())
    assert_trains_only(terms["gan"] + terms[stage], weights, [*still.parameters(), *discriminator.parameters()])
    alone, both = (
        torch.autograd.grad(loss, weights[0], retain_graph=True)[0]
        for loss in (terms[stage], terms["gan"] + terms[stage])
    )
    assert not torch.allclose(alone, both)
