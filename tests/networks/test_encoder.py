import dataclasses
from typing import get_args

import pytest
import torch

from chiasm.config import ConfigError, EncoderKind
from chiasm.networks import CrossModel
from chiasm.networks.encoder import ENCODERS
from chiasm.presets import tiny


def test_the_configuration_names_exactly_the_encoders_that_there_are() -> None:
    assert get_args(EncoderKind) == tuple(ENCODERS)


@pytest.mark.parametrize("code_block", [False, True])
@pytest.mark.parametrize("kind", ENCODERS)
def test_either_encoder_may_be_of_any_kind(kind: str, code_block: bool) -> None:
    config = dataclasses.replace(tiny().model, code_a=5, code_b=7, code_block=code_block)
    x = torch.randn(2, 3, 16, 16)
    assert CrossModel(dataclasses.replace(config, encoder_a=kind)).encoder_a(x).shape == (2, 5)
    assert CrossModel(dataclasses.replace(config, encoder_b=kind)).encoder_b(x).shape == (2, 7)


@pytest.mark.parametrize("kind", ENCODERS)
def test_maps_of_code_a_stand_where_the_image_changes(kind: str) -> None:
    config = dataclasses.replace(tiny().model, encoder_a=kind, code_a=5, maps_a=(3, 2))
    assert config.maps_px == (4, 8)
    assert config.width_a == 5 + 3 * 4**2 + 2 * 8**2
    model, x = CrossModel(config).eval(), torch.randn(1, 3, 16, 16)
    other = x.clone()
    other[:, :, :2, :2] += 1.0
    a = model.encoder_a(x)
    assert a.shape == (1, config.width_a)
    _, small, large = (a - model.encoder_a(other)).split([5, 3 * 4**2, 2 * 8**2], dim=1)
    for changed, channels, px in ((small, 3, 4), (large, 2, 8)):
        where = changed.view(channels, px, px).abs().sum(dim=0)
        assert where[0, 0] > 0
        assert where[-1, -1] == 0


def test_a_first_block_of_stride_4_halves_twice_and_leaves_maps_their_places() -> None:
    sizes = {"side_px": 32, "generator_widths": (8, 8, 8, 8), "encoder_stride": 4}
    config = dataclasses.replace(tiny().model, **sizes, code_a=5, maps_a=(3, 2))
    model = CrossModel(config).eval()
    first = model.encoder_b.layers[0]
    assert (first.kernel_size, first.stride) == ((8, 8), (4, 4))
    assert model.encoder_b(torch.randn(2, 3, 32, 32)).shape == (2, config.code_b)
    assert model.encoder_a(torch.randn(2, 3, 32, 32)).shape == (2, 5 + 3 * 4**2 + 2 * 8**2)
    with pytest.raises(ConfigError, match="model.maps_a"):  # no block gives a map of half the side
        dataclasses.replace(config, maps_a=(3, 2, 1))
    with pytest.raises(ConfigError, match="model.side_px"):
        dataclasses.replace(config, side_px=36)


def test_the_generator_draws_from_every_map() -> None:
    config = dataclasses.replace(tiny().model, code_a=5, maps_a=(3, 2))
    generator = CrossModel(config).eval().generator
    a, b = torch.randn(1, config.width_a, requires_grad=True), torch.randn(1, config.code_b)
    image = generator(a, b)
    assert image.shape == (1, 3, 16, 16)
    (grad,) = torch.autograd.grad(image[:, :, 0, 0].sum(), a)
    assert all(part.any() for part in grad.split([5, 3 * 4**2, 2 * 8**2], dim=1))
