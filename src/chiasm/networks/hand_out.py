"""What becomes of codes before they are handed out: A tells more of its class, B less."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

STEP_PER_NOISE = 2.0
"""Chosen on validation images, see docs/lab-notes.md."""
RIDGE = 1e-2
"""As a share of the mean variance of a direction."""
SMALLEST_RIDGE = 1e-12
NUM_REGRESSION = 2048
"""Codes whose neighbours are looked for, to learn what means of neighbours tell of a code."""


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
    b: Float[Tensor, "n b"],
    codes: Float[Tensor, "classes each b"],
    num: int,
    apart_from: Bool[Tensor, "n classes"] | None = None,
) -> Float[Tensor, "n b"]:
    """The mean of the codes next to each code, one of each of the nearest classes.

    What the codes of several classes share is kept; what is one class's own is averaged away.

    Args:
        b: codes as the encoder gives them.
        codes: of images of the training, as many of each class.
        num: how many classes to take the nearest code of; of all where there are fewer.
        apart_from: for each code the one class, at most, that is left out.

    Source: docs/method.md, eq. 23; microaggregation, Domingo-Ferrer & Mateo-Sanz 2002, with a group for each code, of
    records of different people.
    """
    known = codes.flatten(0, 1)
    distance = (b[:, None] - known[None]).square().sum(dim=2).unflatten(1, codes.shape[:2])
    nearest, place = distance.min(dim=2)
    num_classes = len(codes)
    if apart_from is not None:
        nearest, num_classes = nearest.masked_fill(apart_from, float("inf")), num_classes - 1
    classes = nearest.topk(min(num, num_classes), dim=1, largest=False).indices
    return known[classes * codes.shape[1] + place.gather(1, classes)].mean(dim=1)


def neighbour_filter(
    codes: Float[Tensor, "classes each b"], num: int, components: int
) -> tuple[Float[Tensor, "b"], Float[Tensor, "b b"]]:
    """The mean code, and what makes of a mean of neighbours the best estimate of the code that they are next to.

    A mean of neighbours is too near to the mean of all codes, most so in directions in which codes of different classes
    have little in common. The best linear estimate makes up for that; of the code it keeps the directions of which the
    other classes' codes tell most, as a share of what codes differ in them.

    Args:
        codes: of images of the training, as many of each class.
        num: of classes whose codes the mean is over, see mean_of_neighbours; the code's own class is none of them.
        components: how many directions to keep, at least one.

    Returns:
        m and F of m + F (n - m), n the mean of neighbours; with fewer than two classes F is the identity.

    Source: docs/method.md, eq. 29; reduced-rank regression, Izenman 1975, in the directions of canonical correlation,
    Hotelling 1936.
    """
    num_classes, each, width = codes.shape
    mean = codes.flatten(0, 1).mean(dim=0)
    if num_classes < 2:
        return mean, torch.eye(width)
    some = codes[:, :: -(-num_classes * each // NUM_REGRESSION)]
    own = torch.eye(num_classes, dtype=torch.bool)
    neighbours = [mean_of_neighbours(b, codes, num, one.expand(len(b), -1)) for b, one in zip(some, own, strict=True)]
    told, wanted = torch.cat(neighbours) - mean, some.flatten(0, 1) - mean
    estimate = torch.linalg.solve(_with_ridge(told.T @ told), told.T @ wanted)
    found = told @ estimate
    projection = strongest_directions(found.T @ found, wanted.T @ wanted, min(components, width))
    return mean, projection @ estimate.T


def class_filter(
    codes: Float[Tensor, "classes each a"],
    gain: float = 0.0,
    components: int = 0,
    counted: Bool[Tensor, "classes each"] | None = None,
) -> tuple[Float[Tensor, "a"], Float[Tensor, "a a"]]:
    """The mean code, and what makes of a code what it says of its class.

    With a gain it estimates how far a class's code lies from the mean by how far that of one image does. What differs
    between images of a class is held back, what differs between classes is passed on, times the gain: of somebody new
    an image says less than of those that a model learned from, and is drawn too near to the mean.

    Args:
        codes: of images of the training, as many of each class.
        gain: 1 gives the best linear estimate; 0 none.
        components: how many directions to keep before that, see strongest_directions; 0 keeps all.
        counted: which of them count, at least one of each class: where a class has few images, copies do not. All if
            not given.

    Returns:
        m and F of m + F (a - m); with fewer than two classes F is the gain, if there is one, times the identity.

    Source: docs/method.md, eq. 24 and 26; the posterior mean of a class's code in the linear Gaussian model of Ioffe
    2006 (Probabilistic linear discriminant analysis).
    """
    num_classes, each, width = codes.shape
    counted = torch.ones(num_classes, each, dtype=torch.bool) if counted is None else counted
    num_each = counted.sum(dim=1)
    of_class = (codes * counted[:, :, None]).sum(dim=1) / num_each[:, None]
    mean, matrix = of_class.mean(dim=0), torch.eye(width)
    if num_classes < 2:
        return mean, (gain or 1.0) * matrix
    apart, own = of_class - mean, (codes - of_class[:, None])[counted]
    within = own.T @ own / max(1, len(own) - num_classes)
    values, vectors = torch.linalg.eigh(apart.T @ apart / (num_classes - 1) - within * num_each.reciprocal().mean())
    between = (vectors * values.clamp(min=0)) @ vectors.T
    if components > 0:
        matrix = strongest_directions(between, within, min(components, num_classes - 1))
    if gain > 0:
        matrix = gain * torch.linalg.solve(_with_ridge(between + within), between).T @ matrix
    return mean, matrix


def strongest_directions(signal: Float[Tensor, "a a"], noise: Float[Tensor, "a a"], num: int) -> Float[Tensor, "a a"]:
    """What keeps of a code the directions in which one covariance is largest as a multiple of another.

    What else codes differ in is taken out as far as it is linear. Where classes are what is wanted and what images
    of a class differ in is the measure, that is such as the character that a code of a typeface tells.

    Args:
        signal: the covariance that is wanted.
        noise: the one that it is measured by.
        num: how many directions to keep.

    Returns:
        P with P P = P, of rank num; the identity where there is no noise.

    Source: docs/method.md, eq. 26 and 29; linear discriminant analysis, Rao 1948.
    """
    if noise.trace() == 0:
        return torch.eye(len(noise))
    root = torch.linalg.cholesky(_with_ridge(noise))
    half = torch.linalg.solve_triangular(root, signal, upper=False)
    directions = torch.linalg.eigh(torch.linalg.solve_triangular(root, half.T, upper=False))[1][:, -num:]
    return root @ directions @ torch.linalg.solve_triangular(root.T, directions, upper=True).T


def _with_ridge(covariance: Float[Tensor, "a a"]) -> Float[Tensor, "a a"]:
    """Such that there is an inverse, even where nothing varies."""
    width = len(covariance)
    return covariance + (RIDGE * covariance.trace() / width).clamp(min=SMALLEST_RIDGE) * torch.eye(width)
