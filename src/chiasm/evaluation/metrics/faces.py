"""Faces, as an outside judge sees them: is it x1's person, with x2's pose and expression?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from chiasm.data import UNLABELLED, ImageSet
from chiasm.evaluation.bootstrap import Groups, interval, ratio_interval
from chiasm.evaluation.classifiers import ByteImages
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
class Read:
    """A kind of images that was judged: which of them stands for each mix, and in which a face was found."""

    faces: Faces
    found: Bool[NDArray, " n"]
    place: Rows


def measure(mixed: MixedSet) -> MetricResult:
    """Whose face a mix shows, and how far its landmarks are from x2's, beside copies, mean image and reconstructions.

    A person is the mean descriptor of up to MAX_PER_PERSON real images of the class, x1 and x2 never among them: a
    single photograph would be told by its light. Copy x1 is a real image of x1's person at the model's size, hence
    the ceiling of the first two numbers; copy x2 that of the third. Mixes whose x1 and x2 are of one class, or whose
    classes have one image, are left out.

    Every image's face is where the detector finds it; where it finds none, at the median place of the real images'.

    Returns:
        For each of ROWS `nearer`, the share nearer to x1's person than to x2's, in [0, 1]; `within`, the share nearer
        to x1's person than VERIFICATION_THRESHOLD; `landmarks`, mean distance of the 68 landmarks to x2's, as a share
        of x1's own distance, >= 0, copy x1 having 1 and copy x2 0; `found`, the share in which the detector finds a
        face. `kid`: the kernel distance of mixes, reconstructions and training images to held-out ones.

    Source: docs/method.md, section 7.
    """
    images = mixed.context.images
    x1, x2 = mixed.triplets.a_from, mixed.triplets.b_from
    kept = np.flatnonzero(_can_judge(images, x1) & _can_judge(images, x2) & (images.classes[x1] != images.classes[x2]))
    if len(kept) < MIN_IMAGES:
        return f"fewer than {MIN_IMAGES} mixes are of two people with two images or more each"
    x1, x2, judge = x1[kept], x2[kept], FaceJudge()
    gallery = _gallery(mixed.context, np.concatenate([x1, x2]))
    real_bytes = images.gather(gallery)
    rectangles = judge.find(real_bytes)
    usual = usual_rectangle(rectangles)
    if usual is None:
        return "the detector finds no face in the real images"

    def read(pixels: ByteImages, place: Rows, where: Float[NDArray, "n 4"] | None = None) -> Read:
        where = judge.find(pixels) if where is None else where
        found = has_face(where)
        return Read(judge.read(pixels, np.where(found[:, None], where, usual)), found, place)

    place_1, place_2 = np.searchsorted(gallery, x1), np.searchsorted(gallery, x2)
    real = read(real_bytes, place_1, rectangles)
    mean = np.clip(np.rint((mixed.context.mean + 1) * 127.5), 0, 255).astype(np.uint8)[None]
    rebuilt, at = np.unique(np.concatenate([x1, x2]), return_inverse=True)
    a, b = encode(mixed.context.model, images.gather(rebuilt))
    reconstructions = read(to_bytes(generate(mixed.context.model, a, b)), at[: len(x1)])
    judged = {
        "mixes": read(to_bytes(mixed.generated[0][torch.from_numpy(kept)]), np.arange(len(kept))),
        "copy_x1": real,
        "copy_x2": Read(real.faces, real.found, place_2),
        "mean": read(mean, np.zeros(len(kept), dtype=np.int64)),
        "reconstruction_x1": reconstructions,
        "reconstruction_x2": Read(reconstructions.faces, reconstructions.found, at[len(x1) :]),
    }
    classes = images.classes[gallery]
    people = [person_descriptors(real.faces.descriptors, classes, place) for place in (place_1, place_2)]
    landmarks = [real.faces.landmarks[place] for place in (place_1, place_2)]
    groups, seed = mixed.groups[kept], mixed.context.seed
    return {name: summarise(one, people, landmarks, groups, seed) for name, one in judged.items()} | {
        "kid": _kernel_distances(mixed)
    }


def rows(values: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each kind of images, then their kernel distances."""
    yield "faces", "nearer x1's person %", "within 0.6 of x1's %", "landmarks: to x2 / x1 to x2", "face found %"
    for key, name in ROWS.items():
        if key in values:
            yield name, *(shown(values[key][column]) for column, shown in COLUMNS.items())
    for key, name in KID_ROWS.items():
        if key in values.get("kid", {}):
            yield f"KID on EfficientNet features, {name}", f"{values['kid'][key]['mean']:.4f}"


def summarise(
    read: Read,
    people: list[Float[NDArray, "m 128"]],
    landmarks: list[Float[NDArray, "m 68 2"]],
    groups: Groups,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """The numbers of one kind of images, with intervals.

    Args:
        read: what the judge has read.
        people: for each mix the descriptors of x1's and of x2's person.
        landmarks: for each mix those of x1 and of x2.
        groups: [m] what the bootstrap resamples each mix with.
        seed: of the bootstrap.

    Returns:
        `nearer`, `within`, `landmarks` and `found`, see measure().
    """
    descriptors, found = read.faces.descriptors[read.place], read.found[read.place]
    to_1, to_2 = (np.linalg.norm(descriptors - person, axis=1) for person in people)
    x1, x2 = landmarks
    distance = landmark_distance(read.faces.landmarks[read.place], x2)
    return {
        "nearer": interval(to_1 < to_2, groups, seed=seed),
        "within": interval(to_1 < VERIFICATION_THRESHOLD, groups, seed=seed),
        "landmarks": ratio_interval(distance, landmark_distance(x1, x2), groups, seed=seed),
        "found": interval(found, groups, seed=seed),
    }


def landmark_distance(x: Float[NDArray, "m 68 2"], y: Float[NDArray, "m 68 2"]) -> Float[NDArray, " m"]:
    """Mean distance of the landmarks of each image to another's."""
    return np.linalg.norm(x - y, axis=-1).mean(axis=-1)


def person_descriptors(descriptors: Float[NDArray, "n 128"], classes: Groups, without: Rows) -> Float[NDArray, "m 128"]:
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


def _can_judge(images: ImageSet, index: Indices) -> Bool[NDArray, " m"]:
    """Whether an image's class is known and has another image."""
    labels = images.classes[index]
    sizes = np.bincount(images.classes[images.classes != UNLABELLED], minlength=1)
    return (labels != UNLABELLED) & (sizes[labels] >= 2)


def _gallery(context: EvaluationContext, used: Indices) -> Indices:
    """The used images and up to MAX_PER_PERSON of each of their classes, sorted."""
    classes = context.images.classes
    shuffled = np.random.default_rng([context.seed, 37]).permutation(len(classes))
    others = [shuffled[classes[shuffled] == value][:MAX_PER_PERSON] for value in np.unique(classes[used]).tolist()]
    return np.unique(np.concatenate([used, *others]))


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
