"""Changes of images that leave the thing shown as it is: one function for each, random for each image.

The words are those of data.a_ignores, data.b_ignores and data.vary. All that move pixels are composed into one affine
map, so that an image is sampled once, however many there are.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from chiasm.config import Augmentation, StrengthConfig
from chiasm.draws import uniform

Images = Float[Tensor, "n 3 side side"]
Affine = Float[Tensor, "n 3 3"]


def change(x: Images, names: Sequence[Augmentation], strength: StrengthConfig) -> Images:
    """Images that are each changed in all of some ways, by a random amount of its own.

    What leaves the frame is lost, and the edge is repeated where nothing came in.

    Args:
        x: the images, in [-1, 1].
        names: of the changes, in any order; those that move pixels come first. None leaves the images as they are.
        strength: how far each goes at most.
    """
    maps = [MOVES[name](x, getattr(strength, name)) for name in MOVES if name in names]
    for moved in maps[1:]:
        maps[0] = maps[0] @ moved
    x = sample(x, maps[0]) if maps else x
    for name, recolour in PAINTS.items():
        x = recolour(x, getattr(strength, name)) if name in names else x
    return x


def change_alike(parts: Sequence[Images], names: Sequence[Augmentation], strength: StrengthConfig) -> list[Images]:
    """Batches of images as `change` changes one, the images at a place of each by the same amount.

    Args:
        parts: the batches, equally long.
        names: of the changes.
        strength: how far each goes at most.
    """
    seed, devices = int(torch.randint(2**31, ())), [parts[0].device] if parts[0].is_cuda else []
    changed = []
    for part in parts:
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            changed.append(change(part, names, strength))
    return changed


def sample(x: Images, affine: Affine) -> Images:
    """Images seen through affine maps: from a place in the result to the place in x; the side is 2, the centre 0."""
    grid = F.affine_grid(affine[:, :2], list(x.shape), align_corners=False).to(x.dtype)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def rotate(x: Images, degrees: float) -> Affine:
    """Turned about the centre by an angle from -degrees to degrees."""
    angle = degrees * math.pi / 180 * (2 * uniform(x) - 1)
    affine, cos, sin = _identity(x), angle.cos(), angle.sin()
    affine[:, 0, 0], affine[:, 0, 1], affine[:, 1, 0], affine[:, 1, 1] = cos, -sin, sin, cos
    return affine


def flip(x: Images, share: float) -> Affine:
    """A share of the images left to right."""
    affine = _identity(x)
    affine[:, 0, 0] = 1 - 2 * (uniform(x) < share).float()
    return affine


def shift(x: Images, reach: float) -> Affine:
    """Elsewhere by at most a fraction of the side, both across and down."""
    affine = _identity(x)
    affine[:, :2, 2] = 2 * reach * (2 * uniform(x, 2) - 1)
    return affine


def zoom(x: Images, extent: float) -> Affine:
    """Larger or smaller, by a factor from 1 / (1 + extent) to 1 + extent."""
    factor = (math.log1p(extent) * (2 * uniform(x) - 1)).exp()
    return _identity(x) * torch.stack([factor, factor, torch.ones_like(factor)], dim=1)[:, None]


def colour(x: Images, extent: float) -> Images:
    """Hues turned by at most extent half circles, and colours paler by at most that share; greys stay greys.

    The turn is one about the axis of the greys in the space of red, green and blue (Rodrigues' formula).
    """
    angle = extent * math.pi * (2 * uniform(x, 1, 1) - 1)
    saturation = 1 - extent * uniform(x, 1, 1)
    grey = torch.full((3, 3), 1 / 3, device=x.device)
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], device=x.device) / math.sqrt(3)
    turn = saturation * (angle.cos() * (torch.eye(3, device=x.device) - grey) + angle.sin() * across) + grey
    return (turn @ x.flatten(2)).reshape(x.shape).clamp(-1, 1)


def light(x: Images, extent: float) -> Images:
    """Contrast times a factor from 1 - extent to 1 + extent, and brighter or darker by at most extent."""
    random = extent * (2 * uniform(x, 2, 1, 1) - 1)
    return ((1 + random[:, :1]) * x + random[:, 1:]).clamp(-1, 1)


def blur(x: Images, extent: float) -> Images:
    """Through a Gaussian window whose standard deviation is at most a fraction of the side.

    Along columns, then along rows, as products of matrices; what the window loses beyond the edge is made up for.
    """
    side = x.shape[-1]
    sigma = (extent * side * uniform(x, 1, 1, 1)).clamp(min=0.1)
    place = torch.arange(side, device=x.device)
    weights = torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights @ x @ weights.mT


def random_shift(x: Images, reach: float) -> Images:
    """Images that are each shifted by a random distance of their own.

    A code of the shifted image cannot tell where exactly things stand in the image to be generated.

    Args:
        x: the images.
        reach: the largest distance, as a fraction of the side, both across and down.
    """
    return sample(x, shift(x, reach)) if reach > 0 else x


MOVES: dict[Augmentation, Callable[[Images, float], Affine]] = {
    "flip": flip,
    "rotate": rotate,
    "zoom": zoom,
    "shift": shift,
}
"""What moves pixels; in the result the first is done last."""
PAINTS: dict[Augmentation, Callable[[Images, float], Images]] = {"colour": colour, "light": light, "blur": blur}
"""What changes the values of pixels."""


def _identity(x: Images) -> Affine:
    return torch.eye(3, device=x.device).repeat(len(x), 1, 1)
