from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chiasm.data import DataError, ImageSet, decode_image
from chiasm.image_like import Prepared
from chiasm.inference import to_unit
from chiasm.mixing import Codes, Mixer
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


@pytest.mark.parametrize("fit", ["crop", "close", "pad"])
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


def test_an_image_gives_the_same_codes_in_every_form(trained: Path, images: list[Path]) -> None:
    mixer = Mixer.load(trained)
    array = np.stack([np.asarray(Image.open(path)) for path in images])
    tensor = torch.from_numpy(array).permute(0, 3, 1, 2)
    wanted = mixer.encode(images)
    assert isinstance(wanted, Codes)
    assert [codes.shape for codes in wanted] == [(3, 8), (3, 4)]
    assert [codes.dtype for codes in wanted] == [np.float32, np.float32]
    forms = [array, tensor, list(array), list(tensor), to_unit(tensor), to_unit(tensor).double(), iter(images)]
    for form in forms:
        got = mixer.encode(form)
        assert np.array_equal(got.a, wanted.a)
        assert np.array_equal(got.b, wanted.b)
    for form in (str(images[0]), Image.open(images[0]), array[0], tensor[0], to_unit(tensor)[0].requires_grad_()):
        assert np.allclose(mixer.encode(form).a, wanted.a[:1], atol=1e-5)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((16, 16, 3), np.float32), "array of float32"),
        (np.zeros((3, 16, 16), np.uint8), "shape (3, 16, 16)"),
        (np.zeros((2, 3, 16, 16), np.uint8), "shape (3, 16, 16)"),
        (np.zeros(5, np.uint8), "shape (5,)"),
        (np.zeros((0, 16, 3), np.uint8), "shape (0, 16, 3)"),
        (torch.zeros(16, 16, 3, dtype=torch.uint8), "tensor of shape (16, 16, 3)"),
        (torch.zeros(3, 16, 16, dtype=torch.int64), "tensor of torch.int64"),
        (torch.full((3, 16, 16), 255.0), "floats from 255 to 255"),
        (torch.full((3, 16, 16), torch.nan), "floats from nan to nan"),
        ([], "got no image"),
        (np.zeros((0, 16, 16, 3), np.uint8), "got no image"),
    ],
)
def test_what_is_no_image_is_refused_with_the_shapes_that_are(trained: Path, image: object, words: str) -> None:
    with pytest.raises(DataError) as refused:
        Mixer.load(trained).encode(image)
    assert words in str(refused.value)
    assert "give" in str(refused.value)


def test_a_pil_image_of_a_broken_file_is_refused(trained: Path, tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 90).save(tmp_path / "whole.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    with Image.open(tmp_path / "half.jpg") as image, pytest.raises(DataError, match="PIL image that cannot be read"):
        Mixer.load(trained).encode(image)


@pytest.mark.parametrize(("num_a", "num_b"), [(1, 3), (3, 1), (0, 0), (2, 3)])
def test_codes_are_generated_in_pairs(num_a: int, num_b: int, trained: Path, images: list[Path]) -> None:
    mixer = Mixer.load(trained)
    a, b = mixer.encode(images)
    with pytest.raises(DataError, match=f"{num_a} codes A and {num_b} codes B"):
        mixer.generate(a[:num_a], b[:num_b])
    with pytest.raises(DataError, match="shapes"):
        mixer.generate(a[:, 1:], b)


def test_a_matrix_of_many_images_is_generated_some_at_a_time(trained: Path, images: list[Path], monkeypatch) -> None:
    mixer = Mixer.load(trained)
    whole = mixer.matrix(images, images)
    monkeypatch.setattr("chiasm.inference.BATCH", 4)
    sizes = []
    mixer.model.generator.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    parts = mixer.matrix(images, images)
    assert max(sizes) <= 4
    for row, wanted in zip(parts, whole, strict=True):
        for cell, other in zip(row, wanted, strict=True):
            assert np.abs(np.asarray(cell).astype(int) - np.asarray(other)).max() <= 1


def test_many_images_are_read_a_batch_at_a_time(trained: Path, images: list[Path], monkeypatch) -> None:
    monkeypatch.setattr("chiasm.inference.BATCH", 4)
    mixer = Mixer.load(trained)
    ahead, seen = [], 0

    def given() -> object:
        nonlocal seen
        for i in range(10):
            ahead.append(i - seen)
            yield images[i % 3]

    def count(module: object, inputs: tuple[torch.Tensor]) -> None:
        nonlocal seen
        seen += len(inputs[0])

    mixer.model.encoder_a.register_forward_pre_hook(count)
    codes = mixer.encode(given())
    assert seen == len(codes.a) == 10
    assert max(ahead) < 4
    assert np.allclose(codes.a, np.stack([mixer.encode(images).a[i % 3] for i in range(10)]), atol=1e-5)


def test_a_blend_has_the_mixes_at_its_corners(trained: Path, images: list[Path]) -> None:
    mixer = Mixer.load(trained)
    rows = mixer.blend(images[0], images[1], b1=images[2], b2=images[0], steps=4)
    assert [len(row) for row in rows] == [4] * 4
    corners = [rows[0][0], rows[0][-1], rows[-1][0], rows[-1][-1]]
    wanted = [mixer.mix(images[a], images[b]) for b in (2, 0) for a in (0, 1)]
    for corner, mixed in zip(corners, wanted, strict=True):
        assert np.abs(np.asarray(corner, int) - np.asarray(mixed, int)).max() <= 1
    a, b = mixer.encode(images)
    third = mixer.generate((2 * a[:1] + a[1:2]) / 3, (b[2:] + 2 * b[:1]) / 3)[0].transpose(1, 2, 0)
    assert np.abs(np.asarray(rows[2][1], int) - third).max() <= 1
    with pytest.raises(ValueError, match="steps"):
        mixer.blend(*images, images[0], steps=1)


def test_code_b_comes_from_one_image(trained: Path, images: list[Path]) -> None:
    batch = np.stack([np.asarray(Image.open(path)) for path in images])
    with pytest.raises(ValueError, match="b: got '3 images'; give one"):
        Mixer.load(trained).mix(images[0], batch)


def test_prepared_pixels_are_taken_as_they_are_whatever_the_fit(trained: Path, images: list[Path]) -> None:
    mixer = Mixer.load(trained)
    mixer.model.fit = "close"
    prepared = [Prepared(pixels) for pixels in mixer.prepare(images)]
    np.testing.assert_array_equal(mixer.prepare(prepared), mixer.prepare(images))
    np.testing.assert_array_equal(mixer.encode(prepared[0]).a, mixer.encode(images[0]).a)
    with pytest.raises(DataError, match="prepared pixels of shape"):
        mixer.encode(Prepared(np.zeros((3, 8, 8), np.uint8)))
