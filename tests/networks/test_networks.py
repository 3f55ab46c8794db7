import dataclasses

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn
from torch.nn import functional as F

from chiasm.config import ModelConfig, Upsampling
from chiasm.networks import CrossModel
from chiasm.networks.adain import adain
from chiasm.networks.upsample import UpsampleConv
from chiasm.presets import PRESETS
from tests.plain import PlainGenerator


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_original_has_the_printed_parameter_counts() -> None:
    with torch.device("meta"):
        model = CrossModel(PRESETS["original"]().model)
    modulation = count(model.generator.modulation)
    assert count(model.encoder_a) == count(model.encoder_b) == 4_886_464
    assert count(model.generator) - modulation == 78_823_683
    assert modulation == 526_336


def test_original_ends_in_a_sigmoid_and_its_codes_in_a_leaky_relu() -> None:
    config = PRESETS["original"]().model
    assert config.output == "sigmoid"
    with torch.device("meta"):
        model = CrossModel(config)
    assert isinstance(model.encoder_a.layers[-1], nn.LeakyReLU)
    assert len([m for m in model.encoder_a.modules() if isinstance(m, nn.BatchNorm2d)]) == 6


def test_a_pooled_encoder_is_twice_as_deep_and_does_not_see_where() -> None:
    config = dataclasses.replace(PRESETS["tiny"]().model, side_px=64, encoder_b="pooled")
    model = CrossModel(config).eval()
    x = torch.zeros(1, 3, 64, 64)
    x[:, :, 30:32, 30:32] = 1  # far from the borders
    shifted = x.roll((0, 4), dims=(2, 3))
    convs = [sum(isinstance(m, nn.Conv2d) for m in encoder.modules()) for encoder in (model.encoder_a, model.encoder_b)]
    assert convs == [3, 5]
    assert not torch.allclose(model.encoder_a(x), model.encoder_a(shifted), atol=1e-4)
    torch.testing.assert_close(model.encoder_b(x), model.encoder_b(shifted), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_generates_images_of_its_side(name: str) -> None:
    config = PRESETS[name]().model
    with torch.device("meta"):
        model = CrossModel(config)
        x = torch.empty(2, 3, config.side_px, config.side_px)
        x_generated = model.generator(model.encoder_a(x), model.encoder_b(x))
    assert x_generated.shape == x.shape


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("num", [2, 3])
def test_every_preset_s_generator_agrees_with_the_plain_one(name: str, num: int) -> None:
    """Outputs and gradients, at the preset's own channels; the largest maps are left out to save time.

    In double precision, for in float32 rounding decides on which side of LeakyReLU's kink a value near 0 lies,
    and so changes gradients of either form by up to 0.3 %.
    """
    config = PRESETS[name]().model
    blocks = min(2, len(config.generator_widths) - 1)
    shrunk = dataclasses.replace(
        config,
        side_px=8 * 2**blocks,
        encoder_widths=config.encoder_widths[:2],
        encoder_stride=2,
        generator_widths=config.generator_widths[-blocks - 1 :],
        dense_widths=config.dense_widths[:1],
    )
    torch.manual_seed(0)
    model = CrossModel(shrunk).double()
    plain = PlainGenerator(model)
    a, b = (torch.randn(num, width).double() for width in (shrunk.width_a, shrunk.code_b))
    weights = torch.randn(num, 3, shrunk.side_px, shrunk.side_px).double()
    results = []
    for generator in (model.generator, plain):
        model.zero_grad()
        x_generated = generator(a, b)
        (x_generated * weights).sum().backward()
        results.append([x_generated.detach(), *(p.grad.clone() for p in model.generator.parameters())])
    for fast, wanted in zip(*results, strict=True):
        assert (fast - wanted).norm() <= 1e-9 * wanted.norm()


def test_a_code_of_unit_size_may_be_of_any_length() -> None:
    config = dataclasses.replace(PRESETS["tiny"]().model, unit_codes=True, maps_a=(2,))
    model = CrossModel(config).eval()
    code, generator = model.encoder_a(torch.randn(3, 3, 16, 16)), model.generator
    torch.testing.assert_close(code[:, : config.code_a].square().mean(dim=1), torch.ones(3))
    a, b = torch.randn(2, config.width_a), torch.randn(2, config.code_b)
    longer, turned = a.clone(), a.clone()
    longer[:, : config.code_a] *= 5
    turned[:, : config.code_a] *= -1
    torch.testing.assert_close(generator(longer, b), generator(a, b))
    assert not torch.allclose(generator(turned, b), generator(a, b), atol=1e-3)


def test_an_image_and_its_mirror_image_have_the_same_code_a() -> None:
    config = dataclasses.replace(PRESETS["tiny"]().model, mirror_a="on", unit_codes=True, maps_a=(2,))
    model, x = CrossModel(config).eval(), torch.randn(3, 3, 16, 16)
    code = model.encoder_a(x)
    torch.testing.assert_close(model.encoder_a(x.flip(-1)), code)
    torch.testing.assert_close(code[:, : config.code_a].square().mean(dim=1), torch.ones(3))
    assert not torch.allclose(model.encoder_b(x.flip(-1)), model.encoder_b(x), atol=1e-3)


def test_adain_gives_the_mean_and_deviation_asked_for() -> None:
    features = torch.randn(2, 3, 16, 24) * 5 + 2
    scale, shift = torch.rand(2, 3) + 0.5, torch.randn(2, 3)
    result = adain(features, scale, shift)
    torch.testing.assert_close(result.mean(dim=(2, 3)), shift, atol=1e-5, rtol=0)
    torch.testing.assert_close(result.std(dim=(2, 3), correction=0), scale, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("upsampling", "border"), [("nearest", "constant"), ("bilinear", "replicate")])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 8), (7, 3)])
def test_upsampling_convolution_is_upsampling_then_convolution(
    size: tuple[int, int], upsampling: Upsampling, border: str
) -> None:
    torch.manual_seed(0)
    fast = UpsampleConv(3, 5, upsampling).double()
    x = torch.randn(2, 3, *size, dtype=torch.double, requires_grad=True)
    upsampled = F.pad(F.interpolate(x, scale_factor=2, mode=upsampling), (1, 1, 1, 1), mode=border)
    plain = F.conv2d(upsampled, fast.weight, fast.bias)
    torch.testing.assert_close(fast(x), plain)
    inputs = (x, fast.weight, fast.bias)
    weights = torch.randn_like(plain)
    grads_fast = torch.autograd.grad((fast(x) * weights).sum(), inputs)
    grads_plain = torch.autograd.grad((plain * weights).sum(), inputs)
    torch.testing.assert_close(grads_fast, grads_plain)


def test_the_last_block_alone_upsamples_as_asked() -> None:
    sizes = {"side_px": 16, "encoder_widths": (4, 4), "generator_widths": (4, 4, 4)}
    generator = CrossModel(ModelConfig(**sizes, last_upsampling="bilinear")).generator
    assert [block.upsampling for block in generator.blocks] == ["nearest", "bilinear"]


def test_upsampling_convolution_starts_like_a_convolution() -> None:
    torch.manual_seed(0)
    ours = UpsampleConv(64, 64)
    theirs = nn.Conv2d(64, 64, 3)
    for mine, other in zip((ours.weight, ours.bias), (theirs.weight, theirs.bias), strict=True):
        assert mine.shape == other.shape
        torch.testing.assert_close(mine.abs().max(), other.abs().max(), rtol=0.05, atol=0)


def test_evaluation_is_deterministic_and_free_of_the_batch(model: CrossModel) -> None:
    model.eval()
    x = torch.rand(4, 3, 16, 16) * 2 - 1
    together = model.encoder_a(x)
    torch.testing.assert_close(together[:1], model.encoder_a(x[:1]), atol=1e-6, rtol=1e-5)
    assert torch.equal(together, model.encoder_a(x))


def test_a_wrong_shape_is_refused(model: CrossModel) -> None:
    with pytest.raises(TypeCheckError):
        model.encoder_a(torch.zeros(2, 3, 16, 24))
