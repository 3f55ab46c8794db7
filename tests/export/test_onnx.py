import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from PIL import Image

from chiasm.checkpoint import load_model, save_model
from chiasm.cli import main
from chiasm.config import ModelConfig
from chiasm.export import ExportError, export_onnx
from chiasm.export.graphs import GRAPHS, write_graphs
from chiasm.export.parity import NUM_IMAGES, TOLERANCE, measure_parity, require_parity
from chiasm.inference import encode, read_codes, to_unit
from chiasm.mixing import Mixer
from chiasm.networks import CrossModel
from chiasm.networks.hand_out import quantise

WITHOUT_TORCH = "import runpy, sys; sys.modules['torch'] = None; runpy.run_path(sys.argv.pop(1), run_name='__main__')"


def noise(num: int, side_px: int = 16) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (num, 3, side_px, side_px), dtype=np.uint8)


@pytest.mark.parametrize("fit", ["crop", "close", "pad"])
def test_the_example_gives_the_same_image_in_a_process_without_torch(
    fit: str, model_folder: Path, photographs: list[Path], tmp_path: Path
) -> None:
    model = load_model(model_folder)
    model.fit = fit
    save_model(model, model_folder)
    export_onnx(model_folder, tmp_path / "exported")
    arguments = [tmp_path / "exported" / "example.py", *photographs[:2], tmp_path / "mixed.png"]
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *arguments], check=True)
    wanted = np.asarray(Mixer(model).mix(*photographs[:2]), int)
    difference = np.abs(np.asarray(Image.open(tmp_path / "mixed.png"), int) - wanted)
    assert difference.max() <= 1
    assert wanted.std() > 5  # no grey in grey


def test_graphs_take_any_number_of_images_and_hand_out_the_rounded_code_b(model_folder: Path, tmp_path: Path) -> None:
    export_onnx(model_folder, tmp_path / "exported")
    sessions = {name: InferenceSession(tmp_path / "exported" / f"{name}.onnx") for name in GRAPHS}
    for num in (1, 5):
        model, images = load_model(model_folder), noise(num)
        x = to_unit(torch.from_numpy(images)).contiguous().numpy()
        a, b = (value.numpy() for value in encode(model, images))
        np.testing.assert_allclose(sessions["encoder_a"].run(["a"], {"x": x})[0], a, atol=TOLERANCE)
        np.testing.assert_array_equal(sessions["encoder_b"].run(["b"], {"x": x})[0], b)
        assert len(np.unique(b)) > 1
        (image,) = sessions["generator"].run(["image"], {"a": a, "b": b})
        (mixed,) = sessions["mix"].run(["image"], {"x1": x, "x2": x})
        assert image.shape == (num, 3, 16, 16)
        np.testing.assert_allclose(mixed, image, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("noise_b", "changes"),
    [
        (0.0, {"encoder_b": "pooled"}),
        (0.05, {"mirror_a": "on", "unit_codes": True, "maps_a": (3,), "gain_a": 1.5, "components_a": 3}),
        (0.0, {"code_block": True, "modulate_dense": False, "output": "sigmoid", "neighbours_b": 3}),
        (0.05, {"neighbours_b": 3, "components_b": 2}),
        (0.05, {"head_widths": (5,), "rgb_kernel": 7, "dense_widths": (), "last_upsampling": "bilinear"}),
    ],
)
def test_every_kind_of_network_is_the_same(noise_b: float, changes: dict, tmp_path: Path) -> None:
    sizes = {"side_px": 16, "code_a": 5, "code_b": 7, "encoder_widths": (6, 8), "generator_widths": (8, 6, 4)}
    model = CrossModel(ModelConfig(**({"dense_widths": (9,)} | sizes | changes)), noise_b=noise_b).eval()
    images = noise(NUM_IMAGES)
    if model.codes_b is not None:
        model.codes_b = read_codes(model, noise(20))[1].view(5, 4, 7).contiguous()
        model.learn_filter_b()
        assert not torch.equal(encode(model, images)[1], quantise(read_codes(model, images)[1], noise_b))
    if model.filter_a is not None:
        model.learn_filter_a(read_codes(model, noise(20))[0].unflatten(0, (5, 4)))
        assert not torch.equal(encode(model, images)[0], read_codes(model, images)[0])
    parity = measure_parity(model, write_graphs(model, tmp_path), images)
    assert set(parity) == set(GRAPHS)
    assert max(parity.values()) <= TOLERANCE


def test_graphs_of_another_model_are_noticed(model_folder: Path, tmp_path: Path) -> None:
    model = load_model(model_folder)
    files = write_graphs(model, tmp_path)
    with torch.no_grad():
        model.generator.rgb.bias[0] += 0.01
    with pytest.raises(ExportError, match=r"(generator|mix)\.onnx differs from torch .* on random images"):
        require_parity({"random": measure_parity(model, files, noise(NUM_IMAGES))})


def test_a_graph_that_gives_nan_is_noticed() -> None:
    with pytest.raises(ExportError, match=r"mix\.onnx differs from torch by nan"):
        require_parity({"real": {"generator": 0.0, "mix": float("nan")}})


def test_codes_at_a_border_between_two_steps_are_left_out(model_folder: Path, tmp_path: Path) -> None:
    model = load_model(model_folder)
    with torch.no_grad():  # a last layer that gives 0.1 everywhere: half a step of 0.2
        model.encoder_b.layers[-1].weight.zero_()
        model.encoder_b.layers[-1].bias.fill_(0.1)
    parity = measure_parity(model, write_graphs(model, tmp_path), noise(NUM_IMAGES))
    assert set(parity) == {"encoder_a", "generator"}
    assert parity["encoder_a"] <= TOLERANCE


def test_a_run_is_compared_on_its_own_images_and_int8_stands_beside(trained: Path, tmp_path: Path, capsys) -> None:
    assert main(["export", str(trained), "--int8", "-o", str(tmp_path / "new" / "exported")]) == 0
    printed = capsys.readouterr().out
    about = json.loads((tmp_path / "new" / "exported" / "config.json").read_text())
    assert about["trained_on"] == "avatars"
    assert max(max(differences.values()) for differences in about["parity"].values()) <= TOLERANCE
    assert about["errors"]["float32"]["swap"] == pytest.approx(about["errors"]["torch"]["swap"], abs=1e-5)
    assert about["errors"]["int8"]["swap"] != about["errors"]["float32"]["swap"]
    for name in ("float32", "int8"):
        assert f"L1 on held-out images, {name}: " in printed
    assert {path.name for path in (tmp_path / "new" / "exported").iterdir()} == {
        *(f"{name}.onnx" for name in GRAPHS),
        *("generator.int8.onnx", "mix.int8.onnx", "config.json", "example.py"),
    }


def test_without_a_run_it_says_that_the_error_was_not_measured(model_folder: Path, tmp_path: Path, capsys) -> None:
    assert main(["export", str(model_folder), "-o", str(tmp_path / "exported")]) == 0
    assert f"swap error: not measured: {model_folder.name} lies in no run" in capsys.readouterr().out


def test_no_private_path_is_exported_where_the_images_have_gone(trained: Path, tmp_path: Path, capsys) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("source: avatars", f"source: {tmp_path / 'private' / 'photos'}"))
    assert main(["export", str(run), "-o", str(tmp_path / "exported")]) == 0
    assert "private" in capsys.readouterr().err
    for file in (tmp_path / "exported").iterdir():
        assert b"private" not in file.read_bytes()


def test_without_known_truths_it_says_so_too(trained: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    for i in range(4):
        (tmp_path / "photos" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(1)[0].transpose(1, 2, 0) + i).save(tmp_path / "photos" / str(i % 2) / f"{i}.png")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("source: avatars", f"source: {tmp_path / 'photos'}"))
    names = [f"{i % 2}/{i}.png" for i in range(4)]
    split = {part: [] for part in json.loads((run / "split.json").read_text())}
    (run / "split.json").write_text(json.dumps(split | {"train": names[:1], "val": names[1:]}))
    assert main(["export", str(run), "-o", str(tmp_path / "exported")]) == 0
    printed = capsys.readouterr().out
    assert "swap error: not measured: no held-out image is known to be a true recombination" in printed
    assert "L1 on held-out images, float32: reconstruction" in printed


def test_a_folder_with_something_in_it_is_refused_and_kept(trained: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["export", str(trained), "-o", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"chiasm: --output: {tmp_path} exists; give a new folder.\n"
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_the_missing_extra_is_named(trained: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.export.graphs.find_spec", lambda name: None if name == "onnxscript" else name)
    assert main(["export", str(trained), "-o", str(tmp_path / "exported")]) == 2
    assert capsys.readouterr().err == ("chiasm: export: not installed here: onnxscript; pip install 'chiasm[export]'\n")
    assert not (tmp_path / "exported").exists()
