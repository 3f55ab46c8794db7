from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from chiasm.config import AvatarsConfig, DataConfig
from chiasm.data import open_data
from chiasm.data.sources import avatars
from chiasm.data.sources.avatars import Avatars, distinct_people, render_all, render_avatar


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    config = AvatarsConfig(num_people=3, num_expressions=2, tilts_deg=(-20, 0))
    folder = tmp_path_factory.mktemp("avatars")
    return open_data(DataConfig(avatars=config), 24, cache_dir=folder, progress_bar=False)


def test_names_and_factors(people):
    assert people.images.shape == (3 * 2 * 2 * 2, 3, 24, 24)
    assert people.content_names == ("expression", "tilt", "mirror")
    assert people.content_values == (("awe", "blank"), ("-20", "0"), ("plain", "mirrored"))
    assert len(set(people.names)) == len(people)
    i = people.names.index("person-0002/blank_-20_mirrored")
    assert people.classes[i] == 2
    assert people.contents[i].tolist() == [1, 0, 1]


def test_every_recombination_is_in_the_set(people):
    n = len(people)
    first, second = (x.ravel() for x in np.meshgrid(np.arange(n), np.arange(n)))
    mixed = people.true_mix(first, second)
    assert (mixed >= 0).all()
    np.testing.assert_array_equal(people.classes[mixed], people.classes[first])
    np.testing.assert_array_equal(people.contents[mixed], people.contents[second])
    np.testing.assert_array_equal(people.true_mix(np.arange(n), np.arange(n)), np.arange(n))


def test_images_match_their_labels(people):
    i = people.names.index("person-0001/blank_-20_mirrored")
    seed = distinct_people(3)[1]
    expected = np.asarray(render_avatar(seed, "blank", -20, True, 24)).transpose(2, 0, 1)
    np.testing.assert_array_equal(people.images[i], expected)


def test_no_two_images_are_equal(people):
    assert len(np.unique(people.images.reshape(len(people), -1), axis=0)) == len(people)


def test_mirror_flips_the_face_and_tilt_turns_the_image_clockwise():
    upright = render_avatar(0, "awe", 0, False, 96)
    mirrored = render_avatar(0, "awe", 0, True, 96)
    np.testing.assert_array_equal(np.asarray(mirrored), np.asarray(ImageOps.mirror(upright)))
    # Pillow turns counter-clockwise, hence the minus.
    for face, mirror in ((upright, False), (mirrored, True)):
        turned = face.rotate(-20, Image.Resampling.BICUBIC, fillcolor="white")
        rendered = render_avatar(0, "awe", 20, mirror, 96)
        against = render_avatar(0, "awe", -20, mirror, 96)
        inside = np.s_[24:72, 24:72]
        right, wrong = (
            np.abs(np.asarray(turned, int)[inside] - np.asarray(other, int)[inside]).mean()
            for other in (rendered, against)
        )
        assert right < wrong / 3


def test_people_are_distinct():
    # Among the first 60 seeds, 12 and 34 differ in a few pixels of clothing.
    seeds = distinct_people(60)
    assert len(set(seeds)) == 60
    assert not {12, 34} <= set(seeds)
    assert distinct_people(7) == seeds[:7]
    faces = np.stack([np.asarray(render_avatar(s, "blank", 0, False, 32), np.float32).ravel() for s in seeds])
    distances = np.abs(faces[:, None, ::7] - faces[None, :, ::7]).mean(-1) + 255 * np.eye(60)
    assert distances.min() > 1


def test_too_many_people(monkeypatch):
    monkeypatch.setattr(avatars, "MIN_DIFFERENCE", 1000.0)
    monkeypatch.setattr(avatars, "render_avatar", lambda *_: Image.new("RGB", (32, 32)))
    with pytest.raises(avatars.DataError, match=r"num_people: got 5; give at most \d+"):
        distinct_people(5)


def test_rendering_in_a_subprocess_equals_rendering_here():
    grid = [(p, "cute", t, m) for p in range(2) for t in (0, 20) for m in (False, True)]
    np.testing.assert_array_equal(avatars._render_in_subprocess(grid, 16), render_all(grid, 16))


def test_failure_in_a_subprocess_is_reported():
    with pytest.raises(RuntimeError, match="OptionsValidationError"):
        avatars._render_in_subprocess([(0, "no-such-face", 0, False)], 16)


def test_fingerprint_follows_the_configuration():
    default = Avatars(AvatarsConfig()).fingerprint()
    assert default == Avatars(AvatarsConfig()).fingerprint()
    assert default != Avatars(AvatarsConfig(num_people=9)).fingerprint()
    assert default != Avatars(AvatarsConfig(mirror=False)).fingerprint()


def test_without_mirror_there_is_one_value():
    listing = Avatars(AvatarsConfig(num_people=2, tilts_deg=(0,), mirror=False)).listing()
    assert listing.content_values[1:] == (("0",), ("plain",))
    assert len(listing.names) == 2 * 12
