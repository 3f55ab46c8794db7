import math
from typing import get_args

import pytest
import torch

from chiasm.augment import MOVES, PAINTS, blur, change, change_alike, colour, light, random_shift, sample
from chiasm.config import Augmentation, StrengthConfig


def spot(n: int = 32, side: int = 16) -> torch.Tensor:
    x = torch.full((n, 3, side, side), -1.0)
    x[:, :, 6:10, 6:10] = 1.0
    return x


def noise(n: int = 6, side: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_shifted_images_show_the_same_elsewhere_within_reach() -> None:
    x = torch.full((32, 3, 16, 16), -1.0)
    x[:, :, 6:10, 6:10] = 1.0
    shifted = random_shift(x, 0.25)
    assert torch.equal(random_shift(x, 0.0), x)
    brightness = (shifted + 1).mean(dim=1)
    place = torch.arange(16.0)
    for axis in (1, 2):
        centre = (brightness.sum(dim=3 - axis) * place).sum(dim=1) / brightness.sum(dim=(1, 2))
        shift = centre - 7.5
        assert shift.abs().max() <= 4.001
        assert shift.min() < -2
        assert shift.max() > 2
    torch.testing.assert_close(brightness.sum(dim=(1, 2)), (x + 1).mean(dim=1).sum(dim=(1, 2)))


def test_shifts_are_those_of_the_affine_map_written_out() -> None:
    """The numbers of runs with loss.shift_b stay what they were."""
    x = noise()
    torch.manual_seed(3)
    shifted = random_shift(x, 0.25)
    torch.manual_seed(3)
    affine = torch.eye(2, 3).repeat(len(x), 1, 1)
    affine[:, :, 2] = 0.5 * (2 * torch.rand(len(x), 2) - 1)
    grid = torch.nn.functional.affine_grid(affine, list(x.shape), align_corners=False)
    expected = torch.nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    assert torch.equal(shifted, expected)


def test_every_name_is_one_function() -> None:
    assert sorted((*MOVES, *PAINTS)) == sorted(get_args(Augmentation))


@pytest.mark.parametrize("name", get_args(Augmentation))
def test_each_image_is_changed_anew_and_stays_in_range(name: Augmentation) -> None:
    x = noise().repeat(4, 1, 1, 1)
    changed = change(x, (name,), StrengthConfig())
    assert changed.shape == x.shape
    assert changed.abs().max() <= 1 + 1e-6
    assert not torch.equal(changed, change(x, (name,), StrengthConfig()))
    assert not torch.equal(changed[:6], changed[6:12])
    torch.manual_seed(5)
    first = change(x, (name,), StrengthConfig())
    torch.manual_seed(5)
    assert torch.equal(first, change(x, (name,), StrengthConfig()))


def test_nothing_named_changes_nothing_and_asks_for_no_random_number() -> None:
    x, state = noise(), torch.get_rng_state()
    assert change(x, (), StrengthConfig()) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_quarter_turns_are_those_of_rot90() -> None:
    x, angle = noise(), math.pi / 2
    affine = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    turned = sample(x, affine.repeat(len(x), 1, 1))
    either = [torch.rot90(x, k, (2, 3)) for k in (1, -1)]
    assert min((turned - other).abs().max() for other in either) < 1e-4


def test_turns_stay_within_their_range() -> None:
    angles = torch.cat([torch.atan2(m[:, 1, 0], m[:, 0, 0]) for m in [MOVES["rotate"](spot(500), 30.0)]])
    assert angles.abs().max() <= math.radians(30)
    assert angles.min() < math.radians(-25)
    assert angles.max() > math.radians(25)


def test_a_flip_is_the_mirror_image_of_about_the_share() -> None:
    x = noise(200)
    flipped = change(x, ("flip",), StrengthConfig(flip=0.25))
    mirrored = torch.stack([(f - o.flip(-1)).abs().max() < 1e-5 for f, o in zip(flipped, x, strict=True)])
    same = torch.stack([(f - o).abs().max() < 1e-5 for f, o in zip(flipped, x, strict=True)])
    assert torch.equal(mirrored, ~same)
    assert 20 < mirrored.sum() < 80


def test_several_moves_are_sampled_once_in_their_order() -> None:
    """Zoomed to half and turned, an image is what the two maps one after the other make of it."""
    x = noise()
    torch.manual_seed(2)
    maps = [MOVES[name](x, strength) for name, strength in (("flip", 1.0), ("zoom", 0.5))]
    torch.manual_seed(2)
    changed = change(x, ("zoom", "flip"), StrengthConfig(flip=1.0, zoom=0.5))
    torch.testing.assert_close(changed, sample(x, maps[0] @ maps[1]))
    torch.testing.assert_close(changed, sample(x, maps[1]).flip(-1))


def test_zoom_keeps_the_centre_and_goes_both_ways() -> None:
    area = (change(spot(200), ("zoom",), StrengthConfig(zoom=0.5)) + 1).sum(dim=(1, 2, 3)) / (spot(1) + 1).sum()
    assert area.min() > 1 / 1.5**2 - 0.05
    assert area.max() < 1.5**2 + 0.05
    assert area.min() < 0.7
    assert area.max() > 1.6


def test_colour_leaves_greys_and_the_mean_of_the_channels_as_they_are() -> None:
    grey = noise()[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(colour(grey, 1.0), grey)
    x = 0.3 * noise()
    torch.testing.assert_close(colour(x, 1.0).mean(dim=1), x.mean(dim=1))
    assert (colour(x, 1.0) - x).abs().mean() > 0.05


def test_light_is_one_line_for_all_pixels_of_an_image() -> None:
    x = 0.3 * noise()
    changed = light(x, 0.3)
    for before, after in zip(x, changed, strict=True):
        slope, offset = torch.linalg.lstsq(torch.stack([before.ravel(), torch.ones(768)], 1), after.ravel()).solution
        assert 0.7 - 1e-4 <= slope <= 1.3 + 1e-4
        assert abs(offset) <= 0.3 + 1e-4
        torch.testing.assert_close(after, slope * before + offset)


def test_blur_keeps_a_plain_image_and_takes_away_what_is_fine() -> None:
    torch.testing.assert_close(blur(torch.full((3, 3, 16, 16), 0.4), 0.1), torch.full((3, 3, 16, 16), 0.4))
    fine = torch.ones(64, 3, 16, 16)
    fine[..., ::2] = -1
    assert blur(fine, 0.2).abs().amax(dim=(1, 2, 3)).median() < 0.5


def test_images_at_one_place_are_changed_alike_and_those_at_others_differently() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 3, 16, 16).repeat(6, 1, 1, 1)
    names, before = ("rotate", "zoom", "light", "colour"), torch.get_rng_state()
    one, other = change_alike([x, x.clone()], names, StrengthConfig())
    assert torch.equal(one, other)
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one, change_alike([x], names, StrengthConfig())[0])
    torch.set_rng_state(before)
    assert torch.equal(one, change_alike([x], names, StrengthConfig())[0])
