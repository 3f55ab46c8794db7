from __future__ import annotations

import numpy as np
import pytest
import torch
from grids import grid

from chiasm.config import ConfigError, ModelConfig
from chiasm.evaluation import face_judge
from chiasm.evaluation.context import EvaluationContext, HeldOut, MixedSet
from chiasm.evaluation.face_judge import FaceJudge, Faces, enlarge, usual_rectangle
from chiasm.evaluation.metrics import choose_metrics, faces
from chiasm.evaluation.metrics.faces import Gallery, Judged


def gallery() -> Gallery:
    """Two people of three images each, whose descriptors lie on a line, and a landmark at 0 or 1."""
    along = np.array([0.0, 0.1, 0.2, 1.0, 1.2, 1.9])
    descriptors = np.zeros((6, 128))
    descriptors[:, 0] = along
    landmarks = np.zeros((6, 68, 2))
    landmarks[3:, :, 1] = 0.5
    return Gallery(np.arange(6), np.repeat([4, 7], 3), Faces(descriptors, landmarks), np.ones(6, bool), np.zeros(4))


def judged(along: list[float], landmark: float) -> Judged:
    descriptors, landmarks = np.zeros((len(along), 128)), np.zeros((len(along), 68, 2))
    descriptors[:, 0], landmarks[:, :, 1] = along, landmark
    return Judged(Faces(descriptors, landmarks), np.arange(len(along)) > 0)


def test_a_person_is_the_mean_of_the_other_images() -> None:
    known = gallery()
    people = faces.person_descriptors(known.faces.descriptors, known.classes, np.array([0, 5]))
    assert people[:, 0] == pytest.approx([0.15, 1.1])


def test_numbers_of_a_case_worked_by_hand() -> None:
    x1, x2 = np.array([0, 0]), np.array([5, 5])
    # x1's person is at 0.15, x2's at 1.1; of x1's other images, at 0.1 and 0.2, one is within 0.6 of 0.75.
    found = faces.summarise(judged([0.75, 0.3], 0.125), known := gallery(), x1, x2, np.arange(2))
    assert found["nearer"]["mean"] == 0.5
    assert found["within"]["mean"] == pytest.approx((0.5 + 1) / 2)
    assert found["landmarks"]["mean"] == pytest.approx(0.75)
    assert found["found"]["mean"] == 0.5
    copies = [faces.summarise(Judged(known.faces, known.found)[x], known, x1, x2, np.arange(2)) for x in (x1, x2)]
    assert [copy["nearer"]["mean"] for copy in copies] == [1, 0]
    assert [copy["landmarks"]["mean"] for copy in copies] == [1, 0]


def test_it_is_measured_only_when_it_is_named() -> None:
    assert "faces" not in choose_metrics(None)
    assert list(choose_metrics(["faces"])) == ["faces"]


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_judge, "find_spec", lambda name: None if name == "dlib" else object())
    with pytest.raises(ConfigError, match=r"^metrics: faces needs dlib; pip install 'chiasm\[faces\]'$"):
        choose_metrics(["faces"])


def test_small_images_are_enlarged_and_the_usual_place_is_the_median_of_those_found() -> None:
    assert enlarge(np.zeros((3, 64, 64), np.uint8)).shape == (350, 350, 3)
    assert enlarge(np.zeros((3, 400, 400), np.uint8)).shape == (400, 400, 3)
    nowhere = np.full((1, 4), np.nan)
    assert usual_rectangle(nowhere) is None
    places = np.array([[0.1, 0, 0.9, 1], [0.2, 0, 0.9, 1], [0.4, 0, 0.9, 1]])
    assert usual_rectangle(np.concatenate([nowhere, places])).tolist() == [0.2, 0, 0.9, 1]


def test_no_face_is_found_in_flat_images_and_a_face_can_be_read_anywhere() -> None:
    judge, flat = FaceJudge(), np.full((2, 3, 16, 16), 90, np.uint8)
    assert np.isnan(judge.find(flat)).all()
    seen = judge.read(flat, np.tile([0.2, 0.2, 0.8, 0.8], (2, 1)))
    assert seen.descriptors.shape == (2, 128)
    assert 0 <= seen.landmarks.min() < seen.landmarks.max() <= 1
    np.testing.assert_array_equal(*seen.landmarks)


def test_images_without_a_face_give_a_reason() -> None:
    from chiasm.networks import CrossModel

    images = grid(num_classes=5, num_contents=4, num_copies=8)
    index = np.arange(len(images))
    torch.manual_seed(0)
    side = images.images.shape[-1]
    model = CrossModel(ModelConfig(side_px=side, encoder_widths=(4, 4), generator_widths=(4, 4))).eval()
    mixed = MixedSet(EvaluationContext(model, images, index, 30, 0), HeldOut("held_out_samples", index, index))
    assert faces.measure(mixed) == "the detector finds no face in the real images"
