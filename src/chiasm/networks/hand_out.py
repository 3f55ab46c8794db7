"""What becomes of codes B before they are handed out, so that they tell less of the class."""

from jaxtyping import Float
from torch import Tensor

STEP_PER_NOISE = 2.0
"""Chosen on validation images, see docs/lab-notes.md."""


def quantise(b: Float[Tensor, "n b"], noise_b: float) -> Float[Tensor, "n b"]:
    """Codes B rounded to a grid of STEP_PER_NOISE standard deviations of the training's noise.

    The generator has learned to see through as much noise, and what the encoder wrote below the noise, where the
    adversary could not read it, is rounded away. A code then holds a bounded number of bits.

    Args:
        b: codes as the encoder gives them.
        noise_b: standard deviation of the noise on codes B in training; without noise they are left as they are.

    Source: uniform scalar quantisation, Gray & Neuhoff 1998, section II; docs/method.md, section 7.
    """
    step = STEP_PER_NOISE * noise_b
    return (b / step).round() * step if step > 0 else b


def mean_of_neighbours(
    b: Float[Tensor, "n b"], codes: Float[Tensor, "classes each b"], num: int
) -> Float[Tensor, "n b"]:
    """The mean of the codes next to each code, one of each of the nearest classes.

    What the codes of several classes share is kept; what is one class's own is averaged away.

    Args:
        b: codes as the encoder gives them.
        codes: of images of the training, as many of each class.
        num: how many classes to take the nearest code of; of all where there are fewer.

    Source: docs/method.md, eq. 23; microaggregation, Domingo-Ferrer & Mateo-Sanz 2002, with a group for each code, of
    records of different people.
    """
    known = codes.flatten(0, 1)
    distance = (b[:, None] - known[None]).square().sum(dim=2).unflatten(1, codes.shape[:2])
    nearest, place = distance.min(dim=2)
    classes = nearest.topk(min(num, len(codes)), dim=1, largest=False).indices
    return known[classes * codes.shape[1] + place.gather(1, classes)].mean(dim=1)
