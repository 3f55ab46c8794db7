from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.data import ImageSet
from chiasm.mixing import Mixer


@pytest.fixture
def pictures(avatars: ImageSet, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        Image.fromarray(avatars.images[7 * i].transpose(1, 2, 0)).save(path)
    return paths


def test_paths_pictures_and_arrays_mix_alike(trained: Path, pictures: list[Path]) -> None:
    mixer = Mixer.load(trained)
    by_path = mixer.mix(a=pictures[0], b=str(pictures[1]))
    opened = [Image.open(path) for path in pictures[:2]]
    by_picture = mixer.mix(*opened)
    by_array = mixer.mix(*(np.asarray(picture) for picture in opened))
    assert by_path.size == (16, 16)
    assert by_path.tobytes() == by_picture.tobytes() == by_array.tobytes()


def test_matrix_holds_every_mix(trained: Path, pictures: list[Path]) -> None:
    mixer = Mixer.load(trained)
    grid = mixer.matrix(pictures[:2], pictures)
    assert [len(row) for row in grid] == [3, 3]
    assert np.abs(np.asarray(grid[1][2], int) - np.asarray(mixer.mix(pictures[1], pictures[2]), int)).max() <= 1
    assert mixer.sheet(pictures[:2], pictures).size == (4 * 18 - 2, 3 * 18 - 2)


def test_codes_of_a_picture_draw_its_reconstruction(trained: Path, pictures: list[Path]) -> None:
    mixer = Mixer.load(trained)
    a, b = mixer.encode(pictures[:1])
    drawn = mixer.draw(a, b)[0].transpose(1, 2, 0)
    assert np.abs(drawn.astype(int) - np.asarray(mixer.mix(pictures[0], pictures[0]), int)).max() <= 1


def test_several_pictures_give_their_mean_code_a(trained: Path, pictures: list[Path]) -> None:
    mixer = Mixer.load(trained)
    a, b = mixer.encode(pictures[:2])
    wanted = mixer.draw(a.mean(axis=0, keepdims=True), b[:1])[0].transpose(1, 2, 0)
    assert np.abs(np.asarray(mixer.mix(a=pictures[:2], b=pictures[0]), int) - wanted).max() <= 1
