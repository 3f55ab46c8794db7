import pytest
import torch

from chiasm.networks.hand_out import RIDGE, class_filter, mean_of_neighbours


@pytest.mark.parametrize("num", [1, 3, 6, 9])
def test_it_is_the_mean_of_the_nearest_code_of_each_of_the_nearest_classes(num: int) -> None:
    draws = torch.Generator().manual_seed(num)
    b, codes = torch.randn(5, 4, generator=draws), torch.randn(6, 3, 4, generator=draws)
    for got, code in zip(mean_of_neighbours(b, codes, num), b, strict=True):
        of_each = [min(of_class, key=lambda other, code=code: float((other - code).norm())) for of_class in codes]
        nearest = sorted(of_each, key=lambda other, code=code: float((other - code).norm()))[:num]
        assert torch.allclose(got, torch.stack(nearest).mean(dim=0), atol=1e-6)


def test_what_is_one_class_s_own_is_averaged_away() -> None:
    """Codes are content and class: of each content all classes get nearly the same code, and contents stay apart."""
    draws = torch.Generator().manual_seed(0)
    contents, classes = 10 * torch.eye(4), torch.randn(8, 1, 4, generator=draws)
    codes = contents[None] + classes
    handed_out = mean_of_neighbours(codes.flatten(0, 1), codes, 8).unflatten(0, (8, 4))
    assert torch.allclose(handed_out, (contents + classes.mean(dim=0)).expand(8, 4, 4), atol=1e-5)


def test_a_class_is_estimated_best_from_one_code() -> None:
    """Directions in which classes differ little, or their images much, are held back as the linear model says."""
    draws = torch.Generator().manual_seed(0)
    between, within = torch.tensor([4.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 1.0])
    centres = 5 + between.sqrt() * torch.randn(2000, 1, 3, generator=draws)
    codes = centres + within.sqrt() * torch.randn(2000, 4, 3, generator=draws)
    mean, matrix = class_filter(codes, gain=1.0)
    assert torch.allclose(mean, torch.full((3,), 5.0), atol=0.2)
    ridge = RIDGE * float(between.sum() + within.sum()) / 3
    assert torch.allclose(matrix, (between / (between + within + ridge)).diag(), atol=0.05)
    new = 5 + between.sqrt() * torch.randn(500, 1, 3, generator=draws)
    seen = new + within.sqrt() * torch.randn(500, 4, 3, generator=draws)
    estimated = mean + (seen - mean) @ matrix.T
    assert float((estimated - new).square().mean()) < 0.5 * float((seen - new).square().mean())
    assert torch.allclose(class_filter(codes, gain=1.5)[1], 1.5 * matrix)


@pytest.mark.parametrize("shape", [(1, 3, 2), (5, 1, 2)])
def test_with_one_class_or_one_image_of_each_nothing_can_be_told_apart(shape: tuple[int, int, int]) -> None:
    """The gain is all that is left; the ridge holds back a hundredth of it."""
    codes = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    mean, matrix = class_filter(codes, gain=2.0)
    assert torch.allclose(mean, codes.mean(dim=(0, 1)))
    assert torch.allclose(matrix, 2 * torch.eye(2), atol=0.1)
