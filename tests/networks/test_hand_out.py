import pytest
import torch

from chiasm.networks.hand_out import mean_of_neighbours


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
