from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chiasm.data import ImageSet, decode_image
from chiasm.inference import to_unit
from chiasm.mixing import Mixer
from chiasm.overrides import changed
from chiasm.presets import tiny
from chiasm.training import fit as train


@pytest.fixture
def images(avatars: ImageSet, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        Image.fromarray(avatars.images[7 * i].transpose(1, 2, 0)).save(path)
    return paths


def test_paths_images_and_arrays_mix_alike(trained: Path, images: list[Path]) -> None:
    mixer = Mixer.load(trained)
    by_path = mixer.mix(a=images[0], b=str(images[1]))
    opened = [Image.open(path) for path in images[:2]]
    by_image = mixer.mix(*opened)
    by_array = mixer.mix(*(np.asarray(image) for image in opened))
    assert by_path.size == (16, 16)
    assert by_path.tobytes() == by_image.tobytes() == by_array.tobytes()


def test_matrix_holds_every_mix(trained: Path, images: list[Path]) -> None:
    mixer = Mixer.load(trained)
    grid = mixer.matrix(images[:2], images)
    assert [len(row) for row in grid] == [3, 3]
    assert np.abs(np.asarray(grid[1][2], int) - np.asarray(mixer.mix(images[1], images[2]), int)).max() <= 1
    assert mixer.sheet(images[:2], images).size == (4 * 18 - 2, 3 * 18 - 2)


def test_codes_of_an_image_generate_its_reconstruction(trained: Path, images: list[Path]) -> None:
    mixer = Mixer.load(trained)
    a, b = mixer.encode(images[:1])
    x_rec = mixer.generate(a, b)[0].transpose(1, 2, 0)
    assert np.abs(x_rec.astype(int) - np.asarray(mixer.mix(images[0], images[0]), int)).max() <= 1


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_wide_image_becomes_square_as_in_training(fit: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (10, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    config = changed(tiny(), {"data.fit": fit, "train.steps": 1})
    mixer = Mixer.load(train(config, runs=tmp_path, progress_bar=False).run)
    seen = []
    mixer.model.encoder_a.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = [tmp_path / "wide.png", Image.fromarray(pixels), pixels]
    mixer.encode(images)
    wanted = decode_image(Image.fromarray(pixels), 16, fit)
    assert torch.equal(seen[0], to_unit(torch.from_numpy(np.stack([wanted] * 3))))


def test_several_images_give_their_mean_code_a(trained: Path, images: list[Path]) -> None:
    mixer = Mixer.load(trained)
    a, b = mixer.encode(images[:2])
    wanted = mixer.generate(a.mean(axis=0, keepdims=True), b[:1])[0].transpose(1, 2, 0)
    assert np.abs(np.asarray(mixer.mix(a=images[:2], b=images[0]), int) - wanted).max() <= 1
