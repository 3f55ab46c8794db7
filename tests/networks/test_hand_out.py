import pytest
import torch

from chiasm.networks.hand_out import RIDGE, class_filter, mean_of_neighbours, neighbour_filter, strongest_directions


@pytest.mark.parametrize("num", [1, 3, 6, 9])
def test_it_is_the_mean_of_the_nearest_code_of_each_of_the_nearest_classes(num: int) -> None:
    draws = torch.Generator().manual_seed(num)
    b, codes = torch.randn(5, 4, generator=draws), torch.randn(6, 3, 4, generator=draws)
    for got, code in zip(mean_of_neighbours(b, codes, num), b, strict=True):
        of_each = [min(of_class, key=lambda other, code=code: float((other - code).norm())) for of_class in codes]
        nearest = sorted(of_each, key=lambda other, code=code: float((other - code).norm()))[:num]
        assert torch.allclose(got, torch.stack(nearest).mean(dim=0), atol=1e-6)


@pytest.mark.parametrize("num", [2, 6])
def test_the_class_that_is_left_out_has_no_share(num: int) -> None:
    draws = torch.Generator().manual_seed(0)
    b, codes = torch.randn(6, 4, generator=draws), torch.randn(6, 3, 4, generator=draws)
    own = torch.eye(6, dtype=torch.bool)
    for i, got in enumerate(mean_of_neighbours(b, codes, num, own)):
        others = codes[torch.arange(6) != i]
        assert torch.allclose(got, mean_of_neighbours(b[i : i + 1], others, num)[0], atol=1e-6)


def test_what_is_one_class_s_own_is_averaged_away() -> None:
    """Codes are content and class: of each content all classes get nearly the same code, and contents stay apart."""
    draws = torch.Generator().manual_seed(0)
    contents, classes = 10 * torch.eye(4), torch.randn(8, 1, 4, generator=draws)
    codes = contents[None] + classes
    handed_out = mean_of_neighbours(codes.flatten(0, 1), codes, 8).unflatten(0, (8, 4))
    assert torch.allclose(handed_out, (contents + classes.mean(dim=0)).expand(8, 4, 4), atol=1e-5)


def content_and_class(num_classes: int, shared: torch.Tensor, own: torch.Tensor, seed: int) -> torch.Tensor:
    """Codes of 16 images of each class: of contents, as large as `shared` in each direction, and of the class."""
    draws = torch.Generator().manual_seed(seed)
    contents = shared * torch.randn(num_classes, 16, len(shared), generator=draws)
    return 3 + contents + own * torch.randn(num_classes, 1, len(shared), generator=draws)


def test_a_mean_of_neighbours_tells_a_code_best_once_filtered() -> None:
    """It lies too near to the mean of all; new codes of new classes are told better by what the filter makes of it."""
    shared, own = torch.tensor([2.0, 1.0, 0.2, 0.0]), torch.tensor([0.2, 0.2, 0.5, 1.0])
    codes, new = (content_and_class(60, shared, own, seed) for seed in (0, 1))
    mean, matrix = neighbour_filter(codes, 20, components=2)
    assert torch.allclose(mean, codes.mean(dim=(0, 1)))
    b = new.flatten(0, 1)
    plain = mean_of_neighbours(b, codes, 20)
    filtered = mean + (plain - mean) @ matrix.T
    errors = [(told - b)[:, :2].square().mean() for told in (plain, filtered)]
    assert float(errors[1]) < 0.7 * float(errors[0])


def test_directions_of_which_other_classes_tell_most_are_kept() -> None:
    shared, own = torch.tensor([2.0, 1.0, 0.2, 0.0]), torch.tensor([0.2, 0.2, 0.5, 1.0])
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(5)))[0]
    matrix = neighbour_filter(content_and_class(60, shared, own, 0) @ turn.T, 20, components=2)[1]
    assert int(torch.linalg.matrix_rank(matrix, atol=1e-3)) == 2
    left = turn.T @ matrix  # in the directions of contents, then of classes
    assert float(left[2:].norm()) < 0.15 * float(left[:2].norm())
    all_of_them = neighbour_filter(content_and_class(5, shared, own, 0), 3, components=9)[1]
    assert int(torch.linalg.matrix_rank(all_of_them)) == 4


@pytest.mark.parametrize("codes", [torch.randn(1, 5, 3), torch.zeros(4, 5, 3), torch.ones(4, 5, 3)])
def test_with_one_class_or_codes_all_alike_the_filter_makes_nothing_of_it(codes: torch.Tensor) -> None:
    mean, matrix = neighbour_filter(codes, 20, components=2)
    assert torch.allclose(mean, codes.mean(dim=(0, 1)))
    assert bool(matrix.isfinite().all())
    assert float(matrix.abs().max()) <= 1 + 1e-5


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


def test_copies_of_an_image_are_not_taken_for_other_images_of_the_class() -> None:
    """Two thirds of the classes have one image, which comes six times."""
    draws = torch.Generator().manual_seed(0)
    codes = torch.randn(3000, 1, 1, generator=draws) + torch.randn(3000, 6, 1, generator=draws)
    codes[:2000] = codes[:2000, :1]
    counted = torch.ones(3000, 6, dtype=torch.bool)
    counted[:2000, 1:] = False
    assert float(class_filter(codes, gain=1.0, counted=counted)[1]) == pytest.approx(0.5, abs=0.03)
    assert float(class_filter(codes, gain=1.0)[1]) > 0.7


@pytest.mark.parametrize("shape", [(1, 3, 2), (5, 1, 2)])
def test_with_one_class_or_one_image_of_each_nothing_can_be_told_apart(shape: tuple[int, int, int]) -> None:
    """The gain is all that is left; the ridge holds back a hundredth of it."""
    codes = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    mean, matrix = class_filter(codes, gain=2.0)
    assert torch.allclose(mean, codes.mean(dim=(0, 1)))
    assert torch.allclose(matrix, 2 * torch.eye(2), atol=0.1)
    assert torch.equal(class_filter(codes, components=1)[1], torch.eye(2))


def drawn(num_classes: int, between: torch.Tensor, within: torch.Tensor) -> torch.Tensor:
    """Codes of eight images of each class, with these covariances."""
    draws = torch.Generator().manual_seed(0)
    centres = torch.randn(num_classes, 1, len(between), generator=draws) @ torch.linalg.cholesky(between).T
    return 5 + centres + torch.randn(num_classes, 8, len(within), generator=draws) @ torch.linalg.cholesky(within).T


def test_what_tells_classes_apart_is_kept_and_what_changes_within_them_taken_out() -> None:
    """Of two directions that are not at right angles: that in which classes differ and that of all else."""
    of_class, of_content = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 0.0])
    small = 0.01 * torch.eye(3)
    codes = drawn(2000, 4 * of_class.outer(of_class) + small, 9 * of_content.outer(of_content) + small)
    mean, matrix = class_filter(codes, components=1)
    assert torch.allclose(mean, torch.full((3,), 5.0), atol=0.2)
    assert torch.allclose(matrix @ of_class, of_class, atol=0.05)
    assert torch.allclose(matrix @ of_content, torch.zeros(3), atol=0.05)
    assert int(torch.linalg.matrix_rank(matrix, atol=1e-3)) == 1
    assert torch.allclose(matrix @ matrix, matrix, atol=1e-4)
    both = class_filter(codes, gain=1.5, components=1)[1]
    assert torch.allclose(both, class_filter(codes, gain=1.5)[1] @ matrix, atol=1e-5)


def test_all_directions_together_leave_codes_as_they_are() -> None:
    within = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]])
    projection = strongest_directions(torch.diag(torch.tensor([1.0, 2.0, 3.0])), within, 3)
    assert torch.allclose(projection, torch.eye(3), atol=1e-5)


def test_classes_differ_in_fewer_directions_than_there_are_of_them() -> None:
    codes = drawn(3, torch.eye(6), torch.eye(6))
    assert int(torch.linalg.matrix_rank(class_filter(codes, components=5)[1], atol=1e-3)) == 2
