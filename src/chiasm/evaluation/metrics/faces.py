"""Faces, as an outside judge sees them: is it x1's person, with x2's pose and expression?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import Groups, interval, ratio_interval
from chiasm.evaluation.classifiers import ByteImages, Labels
from chiasm.evaluation.context import EvaluationContext, MetricResult, MixedSet
from chiasm.evaluation.efficientnet import EfficientNetFeatures
from chiasm.evaluation.face_judge import VERIFICATION_THRESHOLD, FaceJudge, Faces, has_face, usual_rectangle
from chiasm.evaluation.format import Row, number, percent
from chiasm.evaluation.metrics.realism import MIN_IMAGES, kernel_distance, unit_power
from chiasm.evaluation.references import Indices
from chiasm.inference import encode, generate, to_bytes

MAX_PER_PERSON = 20
ROWS = {
    "mixes": "mixes",
    "copy_x1": "copy x1: a real image of x1's person",
    "copy_x2": "copy x2",
    "mean": "mean image",
    "reconstruction_x1": "reconstruction of x1",
    "reconstruction_x2": "reconstruction of x2",
}
KID_ROWS = {"mixes": "mixes", "reconstructions": "reconstructions", "train": "training images (floor)"}
COLUMNS = {"nearer": percent, "within": percent, "landmarks": lambda value: number(value, 2), "found": percent}

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Gallery:
    """Real images of the people of the mixes, as the judge sees them.

    Attributes:
        index: [n] the images, sorted.
        classes: [n] whom they show, of each at least two.
        faces: what the judge read.
        found: [n] whether the detector found a face.
        usual: where a face usually is, see usual_rectangle().
    """

    index: Indices
    classes: Labels
    faces: Faces
    found: Bool[NDArray, " n"]
    usual: Float[NDArray, " 4"]

    def place(self, index: Indices) -> Rows:
        """The rows of some of the images."""
        return np.searchsorted(self.index, index)


@dataclass(frozen=True)
class Judged:
    """Images of one kind, one for each mix: what the judge read, and [m] whether the detector found a face."""

    faces: Faces
    found: Bool[NDArray, " m"]

    def __getitem__(self, rows: Rows) -> Judged:
        return Judged(Faces(self.faces.descriptors[rows], self.faces.landmarks[rows]), self.found[rows])


def measure(mixed: MixedSet) -> MetricResult:
    """Whose face a mix shows, and how far its landmarks are from x2's, beside copies, mean image and reconstructions.

    A person is several real images of the class, x1 and x2 never among them: a single photograph would be told by its
    light. Copy x1 is a real image of x1's person at the model's size, hence the ceiling of the first two numbers;
    copy x2 is that of the third. Mixes whose x1 and x2 are of one class, or one of whose classes has a single image,
    are left out.

    Every image's face is where the detector finds it; where it finds none, at the median place of the real images'.

    Returns:
        For each of ROWS the numbers of summarise(); `kid`, the kernel distance of mixes, reconstructions and training
        images to held-out ones, about 0 or more.

    Source: docs/method.md, section 7.
    """
    context, x1, x2 = mixed.context, mixed.triplets.a_from, mixed.triplets.b_from
    classes = context.images.classes
    kept = np.flatnonzero(_has_others(classes, x1) & _has_others(classes, x2) & (classes[x1] != classes[x2]))
    if len(kept) < MIN_IMAGES:
        return f"fewer than {MIN_IMAGES} mixes are of two people with two images or more each"
    x1, x2, judge = x1[kept], x2[kept], FaceJudge()
    gallery = read_gallery(judge, context, np.concatenate([x1, x2]))
    if gallery is None:
        return "the detector finds no face in the real images"
    mixes = to_bytes(mixed.generated[0][torch.from_numpy(kept)])
    judged = {"mixes": read(judge, mixes, gallery.usual)} | _references(judge, context, gallery, x1, x2)
    groups = mixed.groups[kept]
    results: dict[str, Any] = {
        name: summarise(one, gallery, gallery.place(x1), gallery.place(x2), groups, context.seed)
        for name, one in judged.items()
    }
    return results | {"kid": _kernel_distances(mixed)}


def rows(values: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each kind of images, then their kernel distances."""
    yield (
        "faces",
        "nearer x1's person %",
        f"within {VERIFICATION_THRESHOLD} of them %",
        "landmarks: to x2 / x1 to x2",
        "face found %",
    )
    for key, name in ROWS.items():
        if key in values:
            yield name, *(shown(values[key][column]) for column, shown in COLUMNS.items())
    for key, name in KID_ROWS.items():
        if key in values.get("kid", {}):
            yield f"KID on EfficientNet features, {name}", f"{values['kid'][key]['mean']:.4f}"


def read_gallery(judge: FaceJudge, context: EvaluationContext, used: Indices) -> Gallery | None:
    """The used images and up to MAX_PER_PERSON others of each of their classes; None without a face in any of them."""
    classes = context.images.classes
    shuffled = np.random.default_rng([context.seed, 37]).permutation(len(classes))
    others = [shuffled[classes[shuffled] == value][:MAX_PER_PERSON] for value in np.unique(classes[used]).tolist()]
    index = np.unique(np.concatenate([used, *others]))
    pixels = context.images.gather(index)
    rectangles = judge.find(pixels)
    usual = usual_rectangle(rectangles)
    if usual is None:
        return None
    found = has_face(rectangles)
    faces = judge.read(pixels, np.where(found[:, None], rectangles, usual))
    return Gallery(index, classes[index], faces, found, usual)


def read(judge: FaceJudge, pixels: ByteImages, usual: Float[NDArray, " 4"]) -> Judged:
    """What the judge reads in images, [n, 3, side, side]; where it finds no face, at the usual place."""
    rectangles = judge.find(pixels)
    found = has_face(rectangles)
    return Judged(judge.read(pixels, np.where(found[:, None], rectangles, usual)), found)


def summarise(
    judged: Judged, gallery: Gallery, x1: Rows, x2: Rows, groups: Groups, seed: int = 0
) -> dict[str, dict[str, float]]:
    """The numbers of one kind of images, with intervals.

    Args:
        judged: what the judge read in them, for each mix.
        gallery: real images of the people.
        x1: [m] the rows of the images x1 in it.
        x2: [m] the rows of the images x2 in it.
        groups: [m] what the bootstrap resamples each mix with.
        seed: of the bootstrap.

    Returns:
        `nearer`, the share nearer to the mean descriptor of x1's person than to that of x2's, in [0, 1]; `within`,
        the share of the images of x1's person that the judge takes for the same person, nearer than
        VERIFICATION_THRESHOLD; `landmarks`, mean distance of the landmarks to x2's as a share of that of x1's, >= 0,
        1 for x1 and 0 for x2; `found`, the share in which the detector finds a face.
    """
    known, seen = gallery.faces, judged.faces
    people = [person_descriptors(known.descriptors, gallery.classes, rows) for rows in (x1, x2)]
    to_1, to_2 = (np.linalg.norm(seen.descriptors - person, axis=1) for person in people)
    distance = landmark_distance(seen.landmarks, known.landmarks[x2])
    between = landmark_distance(known.landmarks[x1], known.landmarks[x2])
    return {
        "nearer": interval(to_1 < to_2, groups, seed=seed),
        "within": interval(verified(seen.descriptors, gallery, x1), groups, seed=seed),
        "landmarks": ratio_interval(distance, between, groups, seed=seed),
        "found": interval(judged.found, groups, seed=seed),
    }


def verified(descriptors: Float[NDArray, "m 128"], gallery: Gallery, without: Rows) -> Float[NDArray, " m"]:
    """For each image the share of the images of a person that are nearer than VERIFICATION_THRESHOLD.

    Args:
        descriptors: of the images.
        gallery: real images.
        without: [m] the rows of the images whose people are meant, which do not count themselves.
    """
    shares = np.empty(len(without))
    for row, (descriptor, one) in enumerate(zip(descriptors, without.tolist(), strict=True)):
        others = np.flatnonzero(gallery.classes == gallery.classes[one])
        others = others[others != one]
        distance = np.linalg.norm(gallery.faces.descriptors[others] - descriptor, axis=1)
        shares[row] = (distance < VERIFICATION_THRESHOLD).mean()
    return shares


def landmark_distance(x: Float[NDArray, "m 68 2"], y: Float[NDArray, "m 68 2"]) -> Float[NDArray, " m"]:
    """Mean distance of the landmarks of each image to another's."""
    return np.linalg.norm(x - y, axis=-1).mean(axis=-1)


def person_descriptors(descriptors: Float[NDArray, "n 128"], classes: Labels, without: Rows) -> Float[NDArray, "m 128"]:
    """For each image the mean descriptor of the other images of its class.

    Args:
        descriptors: of real images.
        classes: [n] who they show; of each at least two images.
        without: [m] the rows of the images whose people are wanted, which tell nothing of these.
    """
    values, person = np.unique(classes, return_inverse=True)
    sums = np.zeros((len(values), descriptors.shape[1]))
    np.add.at(sums, person, descriptors)
    others = np.bincount(person)[person[without]] - 1
    return (sums[person[without]] - descriptors[without]) / others[:, None]


def _has_others(classes: Labels, index: Indices) -> Bool[NDArray, " m"]:
    """Whether an image's class is known and has another image."""
    sizes = np.bincount(classes[classes != UNLABELLED], minlength=1)
    return (classes[index] != UNLABELLED) & (sizes[classes[index]] >= 2)


def _references(
    judge: FaceJudge, context: EvaluationContext, gallery: Gallery, x1: Indices, x2: Indices
) -> dict[str, Judged]:
    """What copying, averaging and reconstructing would give, one image for each mix."""
    real = Judged(gallery.faces, gallery.found)
    mean = read(judge, to_bytes(torch.from_numpy(context.mean[None])), gallery.usual)
    rebuilt, place = np.unique(np.concatenate([x1, x2]), return_inverse=True)
    a, b = encode(context.model, context.images.gather(rebuilt))
    reconstructions = read(judge, to_bytes(generate(context.model, a, b)), gallery.usual)
    return {
        "copy_x1": real[gallery.place(x1)],
        "copy_x2": real[gallery.place(x2)],
        "mean": mean[np.zeros(len(x1), dtype=np.int64)],
        "reconstruction_x1": reconstructions[place[: len(x1)]],
        "reconstruction_x2": reconstructions[place[len(x1) :]],
    }


def _kernel_distances(mixed: MixedSet) -> MetricResult:
    """KID of sets of images to held-out ones, on features that neither training nor classifier has seen."""
    context, net = mixed.context, EfficientNetFeatures()
    rng = np.random.default_rng([context.seed, 41])
    real, train = (rng.permutation(index)[: context.num] for index in (mixed.part.indices, context.train))
    if min(len(real), len(train)) < MIN_IMAGES:
        return f"fewer than {MIN_IMAGES} images"
    mixes, reconstructions = map(to_bytes, mixed.generated)
    known = unit_power(net.read(context.images.gather(real)))
    sets = {"mixes": mixes, "reconstructions": reconstructions, "train": context.images.gather(train)}
    return {name: kernel_distance(known, unit_power(net.read(x)), context.seed) for name, x in sets.items()}
