import numpy as np
import pytest
import torch

from chiasm.inference import encode, read_codes
from chiasm.networks import CrossModel
from chiasm.networks.hand_out import STEP_PER_NOISE, quantise


def test_codes_lie_on_the_grid_and_nowhere_far_from_what_they_were() -> None:
    b = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 5
    handed_out = quantise(b, noise_b=0.5)
    step = STEP_PER_NOISE * 0.5
    assert torch.equal(handed_out / step, (handed_out / step).round())
    assert (handed_out - b).abs().max() <= step / 2 + 1e-6
    assert torch.equal(quantise(handed_out, 0.5), handed_out)


def test_without_noise_codes_are_left_as_they_are() -> None:
    b = torch.randn(3, 2)
    assert quantise(b, 0.0) is b


@pytest.mark.parametrize("noise_b", [0.0, 0.25])
def test_what_is_handed_out_is_code_a_and_the_rounded_code_b(model: CrossModel, noise_b: float) -> None:
    model.noise_b = noise_b
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)
    (a, b), (a_exact, b_exact) = encode(model.eval(), images), read_codes(model, images)
    assert torch.equal(a, a_exact)
    assert torch.equal(b, quantise(b_exact, noise_b))
    assert torch.equal(b, b_exact) == (noise_b == 0)
