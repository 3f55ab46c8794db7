import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from chiasm.adapt import SPREAD_SHARE, adapt_code
from chiasm.checkpoint import load_model, save_model
from chiasm.cli import main
from chiasm.data import DataError, ImageSet, save_image
from chiasm.image_like import Prepared
from chiasm.inference import encode, generate, read_codes, to_unit
from chiasm.losses import perceptual_loss, spreads
from chiasm.mixing import Mixer
from chiasm.networks import CrossModel
from chiasm.networks.model import GAIN_TO_PEOPLE
from chiasm.networks.photo_features import PhotoFeatures
from chiasm.people import PersonError, digest_of, load_person, name_of, people_of, save_person
from chiasm.presets import tiny

DIGEST = "d" * 64


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def photos(avatars: ImageSet, tmp_path: Path) -> Path:
    """Three images of a person."""
    folder = tmp_path / "anna"
    folder.mkdir()
    for i, place in enumerate(np.flatnonzero(avatars.classes == 3)[:3]):
        Image.fromarray(avatars.images[place].transpose(1, 2, 0)).save(folder / f"{i}.png")
    return folder


def test_adapting_draws_the_images_better_and_changes_no_weight(trained: Path, avatars: ImageSet) -> None:
    model = load_model(trained)
    images = avatars.gather(np.flatnonzero(avatars.classes == 3)[:3])
    before, x, b = digest_of(model), to_unit(torch.from_numpy(images)), encode(model, images)[1]
    start, adapted = (adapt_code(model, images, steps=steps) for steps in (0, 60))
    errors = [float((generate(model, code.expand(3, -1), b) - x).abs().mean()) for code in (start, adapted)]
    assert errors[1] < 0.9 * errors[0]
    assert digest_of(model) == before
    mean = encode(model, images)[0].mean(dim=0)
    assert torch.allclose(start[0, : len(mean)], mean)
    assert not start[0, len(mean) :].any()
    assert adapted[0, -model.generator.width_image - sum(model.generator.widths_mixing) :].all()
    assert torch.equal(adapted, adapt_code(model, images, steps=60))


def test_what_an_adapted_code_draws_shows_the_code_b_it_is_drawn_from(
    avatars: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    model = CrossModel(tiny().model, noise_b=1.0, weight_perceptual=1.0).eval()
    images, b = avatars.gather(np.flatnonzero(avatars.classes == 3)[:3]), torch.randn(64, model.config.code_b)
    changes = []
    for weight in (0.0, 25.0):
        monkeypatch.setattr("chiasm.adapt.CROSS_SHARE", weight)
        drawn = generate(model, adapt_code(model, images, steps=60).expand(64, -1), b)
        with torch.no_grad():
            changes.append(float((model.encoder_b(drawn) - b).square().mean()))
    assert changes[1] < 0.99 * changes[0]


@pytest.mark.parametrize("left_out", ["CROSS_SHARE", "SPREAD_SHARE"])
def test_mixes_with_codes_b_of_the_training_count_where_the_model_knows_them(
    avatars: ImageSet, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    config = dataclasses.replace(tiny().model, neighbours_b=2)
    model = CrossModel(config, noise_b=1.0, weight_perceptual=1.0).eval()
    images = avatars.gather(np.flatnonzero(avatars.classes == 3)[:3])

    def adapted() -> list[torch.Tensor]:
        codes = []
        for size in (5.0, 20.0):
            model.codes_b = size * torch.ones(4, 3, config.code_b)
            codes.append(adapt_code(model, images, steps=5))
        return codes

    monkeypatch.setattr(f"chiasm.adapt.{left_out}", 0.0)
    assert not torch.equal(*adapted())
    monkeypatch.setattr("chiasm.adapt.CROSS_SHARE", 0.0)
    monkeypatch.setattr("chiasm.adapt.SPREAD_SHARE", 0.0)
    assert torch.equal(*adapted())


def test_matrices_step_farther_the_more_images_there_are(trained: Path, avatars: ImageSet) -> None:
    model = load_model(trained)
    images = avatars.gather(np.flatnonzero(avatars.classes == 3)[:3])
    mixing, image = sum(model.generator.widths_mixing), model.generator.width_image
    adapted = [adapt_code(model, images[:num], steps=5)[0] for num in (1, 3)]
    of_one, of_three = (code[-mixing - image : -image].abs().max() for code in adapted)
    assert of_three > 2 * of_one


def test_an_adapted_code_learns_what_is_the_same_in_all_images(
    trained: Path, avatars: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, red = load_model(trained), np.array([255, 0, 0], np.uint8)[:, None, None]
    images = avatars.gather(np.flatnonzero(avatars.classes == 3)[:3])
    images[:, :, :4] = red  # a wall, which no image of the training has
    b = encode(model, avatars.gather(np.flatnonzero(avatars.classes == 5)[:4]))[1]
    codes = [adapt_code(model, images), adapt_code(model, images[:1])]
    monkeypatch.setattr("chiasm.adapt.LR_IMAGE", 0.0)
    codes.append(adapt_code(model, images))
    wall = to_unit(torch.from_numpy(images))[:1, :, :4]
    errors = [float((generate(model, code.expand(4, -1), b)[:, :, :4] - wall).abs().mean()) for code in codes]
    assert errors[0] < 0.5 * errors[2]
    sizes = [float(code[:, -model.generator.width_image :].abs().mean()) for code in codes]
    assert sizes[1] < 0.8 * sizes[0]  # one image tells less of what is the same in all
    assert sizes[2] == 0


def test_with_maps_neither_offsets_nor_matrices_nor_an_image_are_learned(avatars: ImageSet) -> None:
    model = CrossModel(dataclasses.replace(tiny().model, maps_a=(3,))).eval()
    images = avatars.gather(np.flatnonzero(avatars.classes == 3)[:3])
    start, adapted = (adapt_code(model, images, steps=steps) for steps in (0, 5))
    width = model.config.width_a
    assert (adapted[0, :width] != start[0, :width]).all()
    assert adapted.shape[1] > width
    assert not adapted[0, width:].any()


def test_a_model_that_learned_with_features_of_photographs_adapts_with_them(trained: Path, avatars: ImageSet) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    model, features = load_model(trained), PhotoFeatures()
    images = avatars.gather(np.flatnonzero(avatars.classes == 3)[:3])
    x, b = to_unit(torch.from_numpy(images)), encode(model, images)[1]
    errors = []
    for weight in (0.0, 2.0):
        model.weight_perceptual = weight
        drawn = generate(model, adapt_code(model, images, steps=40).expand(3, -1), b)
        errors.append(float(perceptual_loss(features(x), features(drawn))))
    assert errors[1] < errors[0]


def test_somebody_new_is_drawn_with_features_as_varied_as_in_the_images(
    trained: Path, avatars: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    model, features = load_model(trained), PhotoFeatures()
    model.weight_perceptual = 2.0
    images = avatars.gather(np.flatnonzero(avatars.classes == 3)[:3])
    x, b = to_unit(torch.from_numpy(images)), encode(model, images)[1]
    errors = []
    for share in (0.0, SPREAD_SHARE):
        monkeypatch.setattr("chiasm.adapt.SPREAD_SHARE", share)
        drawn = generate(model, adapt_code(model, images, steps=40).expand(3, -1), b)
        errors.append(float(perceptual_loss(spreads(features(x)), spreads(features(drawn)))))
    assert errors[1] < 0.97 * errors[0]


def test_a_code_without_offsets_draws_the_same_whether_extended_or_not(model: CrossModel) -> None:
    generator, a, b = model.eval().generator, torch.randn(2, 5), torch.randn(2, 7)
    padded = torch.nn.functional.pad(a, (0, generator.extended_a - 5))
    assert torch.allclose(generator(padded, b), generator(a, b), atol=1e-6)
    # Scales and shifts are affine in code A, so that offsets can say what another code would.
    mods = [*generator.dense_modulation.layers, *generator.modulation.layers]
    other = torch.cat([torch.zeros(2, 5), *(layer(a) - layer(torch.zeros(2, 5)) for layer in mods)], dim=1)
    other = torch.nn.functional.pad(other, (0, generator.extended_a - other.shape[1]))
    assert torch.allclose(generator(other, b), generator(a, b), atol=1e-5)


def test_matrices_behind_a_code_mix_what_the_blocks_give(model: CrossModel) -> None:
    generator, a, b = model.eval().generator, torch.randn(2, 5), torch.randn(2, 7)
    matrices = [0.1 * torch.randn(len(block.weight), len(block.weight)) for block in generator.blocks]
    mixing = torch.cat([matrix.flatten() for matrix in matrices])
    image = torch.zeros(2, generator.width_image)
    offsets = torch.zeros(2, generator.extended_a - 5 - len(mixing) - generator.width_image)
    # The first image's code has the matrices, the second one's has none.
    extended = torch.cat([a, offsets, torch.stack([mixing, torch.zeros_like(mixing)]), image], dim=1)
    drawn = generator(extended, b)
    assert torch.allclose(drawn[1], generator(a, b)[1], atol=1e-5)
    with torch.no_grad():
        for block, matrix in zip(generator.blocks, matrices, strict=True):
            block.weight += torch.einsum("dc,cijk->dijk", matrix, block.weight)
            block.bias += matrix @ block.bias
    assert torch.allclose(drawn[0], generator(a, b)[0], atol=1e-5)
    assert not torch.allclose(drawn[1], generator(a, b)[1], atol=1e-3)


def test_an_image_behind_a_code_is_added_before_the_last_activation(model: CrossModel) -> None:
    generator, a, b = model.eval().generator, torch.randn(2, 5), torch.randn(2, 7)
    image = torch.randn(2, *generator.shape_image)
    zeros = torch.zeros(2, generator.extended_a - 5 - generator.width_image)
    drawn = generator(torch.cat([a, zeros, image.flatten(1)], dim=1), b)
    assert torch.allclose(torch.atanh(drawn), torch.atanh(generator(a, b)) + image, atol=1e-3)


def test_a_person_mixes_wherever_code_a_is_taken(run: Path, photos: Path) -> None:
    mixer = Mixer.load(run, "cpu")
    image = photos / "0.png"
    code = mixer.adapt(sorted(photos.iterdir()), "anna", folder=run)
    again = Mixer.load(run, "cpu")
    assert mixer.people == again.people == ["anna"]
    wanted = again.generate(code, again.encode(image).b)[0].transpose(1, 2, 0)
    assert np.array_equal(np.asarray(again.mix("@anna", image)), wanted)
    matrix = again.matrix(["@anna", image], [image])
    assert np.abs(np.asarray(matrix[0][0], int) - wanted).max() <= 1
    assert np.abs(np.asarray(matrix[1][0], int) - np.asarray(again.mix(image, image), int)).max() <= 1
    assert again.sheet([image, "@anna"], [image]).size == (2 * 18 - 2, 3 * 18 - 2)
    rows = again.blend("@anna", image, image, image, steps=3)
    assert np.abs(np.asarray(rows[0][0], int) - wanted).max() <= 1
    for method in (again.encode, lambda given: again.mix(image, given)):
        with pytest.raises(DataError, match="gives code A alone"):
            method("@anna")


@pytest.mark.parametrize("weight_perceptual", [0.0, 16.0])
def test_people_are_mixed_with_all_of_code_b_after_features_and_images_with_what_is_handed_out(
    weight_perceptual: float, avatars: ImageSet
) -> None:
    model = CrossModel(dataclasses.replace(tiny().model, neighbours_b=2), noise_b=0.1).eval()
    model.codes_b = torch.randn(5, 3, model.config.code_b, generator=torch.Generator().manual_seed(0))
    mixer, (x1, x2) = Mixer(model, "cpu"), map(Prepared, avatars.gather(np.array([40, 90])))
    anna, handed_out = mixer.adapt(x1, "anna"), mixer.encode(x2).b
    model.weight_perceptual = weight_perceptual  # not before: adapting with features takes long
    mean = model.codes_b.mean(dim=(0, 1))
    rounded = model.round_b(mean + GAIN_TO_PEOPLE * (read_codes(model, x2.pixels[None])[1] - mean)).numpy()
    assert np.abs(rounded - handed_out).max() > 0.1
    to_people, to_others = (rounded, handed_out) if weight_perceptual else (handed_out, rounded)
    image = np.pad(mixer.encode(x1).a, [(0, 0), (0, anna.shape[1] - model.config.width_a)])
    codes = (anna, to_people), (image, handed_out), ((anna + image) / 2, (to_people + handed_out) / 2)
    person, of_image, between = (mixer.generate(a, b)[0].transpose(1, 2, 0).astype(int) for a, b in codes)

    def off(picture: Image.Image, wanted: np.ndarray) -> int:
        return int(np.abs(np.asarray(picture, int) - wanted).max())

    assert off(mixer.mix("@anna", x2), mixer.generate(anna, to_others)[0].transpose(1, 2, 0).astype(int)) > 1
    assert off(mixer.mix("@anna", x2), person) <= 1
    assert off(mixer.mix(["@anna", x1], x2), between) <= 1
    matrix, rows = mixer.matrix(["@anna", x1], [x2]), mixer.blend("@anna", x1, x2, x2, steps=3)
    for pictures in ([row[0] for row in matrix], [rows[0][0], rows[0][2]]):
        assert [off(*pair) <= 1 for pair in zip(pictures, (person, of_image), strict=True)] == [True, True]
    assert off(rows[1][1], between) <= 1
    sheet = np.asarray(mixer.sheet(["@anna", x1], x2), int)
    assert np.abs(sheet[18:34, -16:] - person).max() <= 1
    assert np.abs(sheet[36:, -16:] - of_image).max() <= 1


def test_the_command_adds_a_person_or_copies_the_model(run: Path, photos: Path, tmp_path: Path, capsys) -> None:
    image, mixed = str(photos / "0.png"), tmp_path / "m.png"
    copy = tmp_path / "deep" / "copy"
    assert main(["adapt", str(run), str(photos), "-o", str(copy)]) == 0
    assert f"chiasm mix {copy} @anna" in capsys.readouterr().out
    assert people_of(run / "model") == []
    assert people_of(copy) == ["anna"]
    assert (copy / "model.safetensors").read_bytes() == (run / "model" / "model.safetensors").read_bytes()
    assert main(["adapt", str(copy), image, "--name", "ben"]) == 0
    assert people_of(copy) == ["anna", "ben"]
    assert main(["info", str(copy)]) == 0
    assert "@anna, @ben" in capsys.readouterr().out
    assert main(["mix", str(copy), "--a", "@ben", "@anna", "--b", image, "-o", str(mixed)]) == 0
    before = (copy / "people" / "anna.safetensors").read_bytes()
    assert main(["adapt", str(copy), image, "--name", "anna"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (copy / "people" / "anna.safetensors").read_bytes() == before
    assert main(["adapt", str(copy), image, "--name", "anna", "--overwrite"]) == 0
    assert (copy / "people" / "anna.safetensors").read_bytes() != before


def test_a_folder_s_own_mixes_and_what_cannot_be_read_are_left_out_and_told(
    run: Path, photos: Path, tmp_path: Path, capsys
) -> None:
    save_image(Image.new("RGB", (16, 16)), photos / "mixed.png")
    (photos / "notes.txt").write_text("")
    assert main(["adapt", str(run), str(photos)]) == 0
    printed = capsys.readouterr().out
    assert f"{photos}: left out 1 .txt file, 1 image that chiasm wrote\n3 images;" in printed
    (tmp_path / "own").mkdir()
    save_image(Image.new("RGB", (16, 16)), tmp_path / "own" / "mixed.png")
    assert main(["adapt", str(run), str(tmp_path / "own")]) == 2
    assert "holds no image to learn from but 1 image that chiasm wrote;" in capsys.readouterr().err


def test_a_person_who_was_replaced_or_removed_is_so_at_once(run: Path, photos: Path) -> None:
    images, mixer = sorted(photos.iterdir()), Mixer.load(run)
    mixer.adapt(images, "anna", folder=run)
    before = np.asarray(mixer.mix("@anna", images[0]))
    Mixer.load(run).adapt(images[:1], "anna", folder=run, overwrite=True)
    assert not np.array_equal(np.asarray(mixer.mix("@anna", images[0])), before)
    (run / "model" / "people" / "anna.safetensors").unlink()
    assert mixer.people == []
    with pytest.raises(PersonError, match="@anna"):
        mixer.mix("@anna", images[0])


def test_a_person_that_could_not_be_saved_is_not_known(
    run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    mixer = Mixer.load(run)
    with monkeypatch.context() as patch:
        patch.setattr("chiasm.mixing.save_person", full)
        with pytest.raises(OSError, match="no space"):
            mixer.adapt(sorted(photos.iterdir()), "anna", folder=run)
    assert mixer.people == []
    mixer.adapt(sorted(photos.iterdir()), "anna", folder=run)
    assert mixer.people == ["anna"]


def test_a_copy_that_fails_leaves_nothing(run: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "no.png").write_text("no image")
    assert main(["adapt", str(run), str(tmp_path / "no.png"), "--name", "x", "-o", str(tmp_path / "copy")]) == 2
    assert "no.png" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()
    assert not list(tmp_path.glob(".copy*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "../x"], "'../x'"),
        (["--name", "@x"], "'@x'"),
        (["--name", ".x"], "'.x'"),
        (["--name", "x" * 101], "101 characters"),
        (["--name", ""], "''"),
        (["-o", "."], "--output: . exists"),
    ],
)
def test_what_cannot_be_adapted_is_refused(arguments: list[str], words: str, run: Path, photos: Path, capsys) -> None:
    assert main(["adapt", str(run), str(photos), *arguments]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1
    assert people_of(run / "model") == []


def test_images_of_nobody_s_folder_need_a_name(run: Path, photos: Path, tmp_path: Path, capsys) -> None:
    assert main(["adapt", str(run), str(photos / "0.png")]) == 2
    assert "--name: not given" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["adapt", str(run), str(tmp_path / "empty")]) == 2
    assert "holds no image" in capsys.readouterr().err


def test_a_person_that_is_not_here_is_told_with_those_that_are(run: Path, photos: Path) -> None:
    mixer = Mixer.load(run, "cpu")
    mixer.adapt(photos / "0.png", "ben", folder=run)
    for name, words in (("cleo", "it has @ben"), ("../../x", "give 1 to")):
        with pytest.raises(PersonError, match=words):
            mixer.mix(f"@{name}", photos / "0.png")
    with pytest.raises(PersonError, match="has a person ben already"):
        mixer.adapt(photos / "1.png", "ben")
    mixer.adapt(photos / "0.png", "dan")
    with pytest.raises(ValueError, match="has that person"):
        mixer.adapt(photos / "1.png", "dan")
    with pytest.raises(PersonError, match="no such person"):
        Mixer(load_model(run), "cpu").mix("@ben", photos / "0.png")


def test_the_person_of_another_model_is_refused(
    run: Path, photos: Path, model: CrossModel, tmp_path: Path, capsys
) -> None:
    mixer = Mixer.load(run, "cpu")
    save_model(model, tmp_path / "other")
    with pytest.raises(ValueError, match="another model"):
        mixer.adapt(photos / "0.png", "ben", folder=tmp_path / "other")
    mixer.adapt(photos / "0.png", "ben", folder=run)
    trained_on = load_model(run)
    with torch.no_grad():
        trained_on.generator.rgb.bias += 1
    save_model(trained_on, run / "model")
    with pytest.raises(PersonError, match="of another model, or of this one before"):
        Mixer.load(run, "cpu").mix("@ben", photos / "0.png")
    assert Mixer.load(run, "cpu").people == []
    Mixer.load(run, "cpu").adapt(photos / "0.png", "anna", folder=run)
    assert main(["info", str(run)]) == 0
    assert "@anna, @ben (before it was trained on)" in capsys.readouterr().out


def test_a_saved_person_is_read_as_it_was(tmp_path: Path) -> None:
    code = torch.randn(1, 6)
    save_person(tmp_path, "zoë 2.1", code, DIGEST)
    assert torch.equal(load_person(tmp_path, "zoë 2.1", 6, DIGEST), code)
    assert people_of(tmp_path) == ["zoë 2.1"]


def test_a_hostile_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    path = tmp_path / "people" / "x.safetensors"
    good = {"model": DIGEST}

    def write(content: bytes | dict, metadata: dict | None = good) -> Path:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            save_file(content, path, metadata)
        return path

    def header(values: dict) -> bytes:
        text = json.dumps(values).encode()
        return len(text).to_bytes(8, "little") + text

    huge = {"a": {"dtype": "F32", "shape": [1, 2**40], "data_offsets": [0, 2**42]}}
    for content, words in (
        (b"\x80\x04.", "cannot be read"),
        (b"\xff" * 64, "cannot be read"),
        (header(huge), "cannot be read"),
        ({"a": torch.zeros(1, 7)}, "holds no extended code"),
        ({"a": torch.zeros(6)}, "holds no extended code"),
        ({"a": torch.zeros(1, 6, dtype=torch.float64)}, "holds no extended code"),
        ({"a": torch.zeros(1, 6), "c": torch.zeros(1)}, "holds no extended code"),
        ({"a": torch.full((1, 6), torch.nan)}, "NaN"),
    ):
        write(content)
        with pytest.raises(PersonError, match=words):
            load_person(tmp_path, "x", 6, DIGEST)
    write({"a": torch.zeros(1, 6)}, None)
    with pytest.raises(PersonError, match="of another model"):
        load_person(tmp_path, "x", 6, DIGEST)
    path.unlink()
    path.mkdir()
    with pytest.raises(PersonError, match="no such person"):
        load_person(tmp_path, "x", 6, DIGEST)


def test_only_a_text_that_begins_with_the_sign_is_a_name() -> None:
    assert [name_of(given) for given in ("@anna", "./@anna", Path("@anna"), "anna@x")] == ["anna", None, None, None]
