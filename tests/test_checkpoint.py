import dataclasses
import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import chiasm.checkpoint
from chiasm.checkpoint import (
    CheckpointError,
    describe_model,
    flatten_optimizer,
    load_model,
    load_state,
    restore_optimizer,
    save_model,
    save_state,
    saved_steps,
)
from chiasm.networks import CrossModel
from chiasm.presets import tiny


def test_a_saved_model_generates_the_same(model: CrossModel, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model")
    a, b = torch.randn(2, 5), torch.randn(2, 7)
    for path in (tmp_path, tmp_path / "model"):
        assert torch.equal(load_model(path).generator(a, b), model.eval().generator(a, b))


@pytest.mark.parametrize("key", ["noise_b", "weight_perceptual"])
def test_a_model_remembers_how_it_learned(model: CrossModel, tmp_path: Path, key: str) -> None:
    setattr(model, key, 0.75)
    save_model(model, tmp_path)
    assert getattr(load_model(tmp_path), key) == 0.75
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {key: -1.0}))
    with pytest.raises(CheckpointError, match=key):
        load_model(tmp_path)
    del config[key]  # of a version that did not know it
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert getattr(load_model(tmp_path), key) == 0


def test_a_model_remembers_the_codes_that_it_hands_out(model: CrossModel, tmp_path: Path) -> None:
    model = CrossModel(dataclasses.replace(model.config, neighbours_b=2, components_b=3, gain_a=1.5))
    save_model(model, tmp_path)
    assert torch.equal(load_model(tmp_path).codes_b, torch.zeros(0, 0, 7))
    model.codes_b = torch.randn(3, 4, 7)
    model.learn_filter_a(torch.randn(3, 4, model.config.width_a))
    model.learn_filter_b()
    save_model(model, tmp_path)
    b = torch.randn(2, 7)
    assert torch.equal(load_model(tmp_path).hand_out_b(b), model.hand_out_b(b))
    a = torch.randn(2, model.config.width_a)
    assert torch.equal(load_model(tmp_path).hand_out_a(a), model.hand_out_a(a))
    model.codes_b = torch.randn(3, 4, 6)
    save_model(model, tmp_path)
    with pytest.raises(CheckpointError, match=r"codes_b is \[3, 4, 6\]"):
        load_model(tmp_path)
    model.codes_b = None
    save_model(model, tmp_path)
    with pytest.raises(CheckpointError, match="codes_b is missing"):
        load_model(tmp_path)


@pytest.mark.parametrize("shape", [(30_000, 30_000, 0), (3, 2, 2), (3, 2)])
def test_codes_of_another_width_are_refused_without_making_place_for_them(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    model = CrossModel(dataclasses.replace(tiny().model, neighbours_b=2)).eval()
    save_model(model, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors") | {"codes_b": torch.zeros(shape)}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="codes_b"):
        load_model(tmp_path)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="config.json is missing"):
        load_model(tmp_path)


def test_damaged_weights_are_named(model: CrossModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="model.safetensors cannot be read"):
        load_model(tmp_path)


def test_weights_of_another_configuration_are_refused(model: CrossModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"code_a": 6}))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"code_c": 6}))
    with pytest.raises(CheckpointError, match="code_c"):
        load_model(tmp_path)


def test_a_model_remembers_how_its_images_became_square(model: CrossModel, tmp_path: Path) -> None:
    save_model(CrossModel(model.config, "pad"), tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.fit == "pad"
    assert "fit = pad" in describe_model(loaded)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"fit": "stretch"}))
    with pytest.raises(CheckpointError, match="'stretch'; give one of 'crop', 'close', 'pad'"):
        load_model(tmp_path)
    del config["fit"]  # as older models were saved
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_model(tmp_path).fit == "crop"


def test_optimiser_state_survives(model: CrossModel, tmp_path: Path) -> None:
    def adam() -> torch.optim.Adam:
        return torch.optim.Adam(model.parameters(), lr=0.1)

    optimizer = adam()
    model.encoder_a(torch.randn(2, 3, 16, 16)).sum().backward()
    optimizer.step()
    save_state(tmp_path, 3, {"elapsed_s": 0.1}, flatten_optimizer(optimizer, "optimizer"))
    saved = load_state(tmp_path)
    restored = adam()
    restore_optimizer(restored, "optimizer", saved.tensors)
    assert (saved.step, saved.values) == (3, {"elapsed_s": 0.1})
    wanted = optimizer.state_dict()["state"]
    got = restored.state_dict()["state"]
    assert wanted.keys() == got.keys()
    for i in wanted:
        torch.testing.assert_close(got[i], wanted[i])


def test_restored_moments_lie_on_the_device_and_in_the_layout_of_their_parameters() -> None:
    """Meta tensors stand for a GPU: what is read from a file lies on the CPU and must follow the parameters."""
    weight = torch.nn.Parameter(torch.empty(4, 3, 2, 2, device="meta").to(memory_format=torch.channels_last))
    optimizer = torch.optim.Adam([weight])
    moments = {name: torch.ones(4, 3, 2, 2) for name in ("exp_avg", "exp_avg_sq")}
    tensors = {f"optimizer.0.{name}": value for name, value in {"step": torch.tensor(3.0), **moments}.items()}
    restore_optimizer(optimizer, "optimizer", tensors)
    for name in moments:
        assert optimizer.state[weight][name].device.type == "meta"
        assert optimizer.state[weight][name].is_contiguous(memory_format=torch.channels_last)


def save(folder: Path, step: int) -> None:
    save_state(folder, step, {"elapsed_s": step / 3}, {"x": torch.full((3,), float(step))})


def cut(place: Path, name: str) -> None:
    path = place / name
    path.write_bytes(path.read_bytes()[:-3])


def flip(place: Path, name: str) -> None:
    """Exchange the last digit, or bit."""
    content = bytearray((place / name).read_bytes())
    where = max(i for i, byte in enumerate(content) if chr(byte).isdigit()) if name == "state.json" else -1
    content[where] ^= 1
    (place / name).write_bytes(content)


def mix(place: Path, name: str) -> None:
    """The file of the checkpoint before this one."""
    shutil.copy(place.with_name("000000020") / name, place / name)


def remove(place: Path, name: str) -> None:
    (place / name).unlink()


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    assert load_state(tmp_path / "checkpoint") is None
    for step in (10, 20, 30):
        save(tmp_path / "checkpoint", step)
    assert saved_steps(tmp_path / "checkpoint") == [20, 30]
    saved = load_state(tmp_path / "checkpoint")
    assert (saved.step, saved.values, saved.tensors["x"].tolist()) == (30, {"elapsed_s": 10.0}, [30.0] * 3)
    assert saved.damaged == []


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
@pytest.mark.parametrize("damage", [cut, flip, mix, remove])
def test_the_last_good_checkpoint_is_used_and_kept_when_the_newest_is_damaged(
    damage: Callable[[Path, str], None], name: str, tmp_path: Path
) -> None:
    save(tmp_path, 20)
    save(tmp_path, 30)
    damage(tmp_path / "000000030", name)
    saved = load_state(tmp_path)
    assert (saved.step, saved.values, saved.tensors["x"].tolist()) == (20, {"elapsed_s": 20 / 3}, [20.0] * 3)
    assert saved.damaged == [30]
    save(tmp_path, 25)
    assert saved_steps(tmp_path) == [20, 25]


def test_a_damaged_checkpoint_gives_way_to_a_good_one_of_its_step(tmp_path: Path) -> None:
    save(tmp_path, 20)
    save(tmp_path, 30)
    cut(tmp_path / "000000030", "state.json")
    save(tmp_path, 30)
    assert load_state(tmp_path).damaged == []


def test_where_all_are_damaged_the_remedy_is_named(tmp_path: Path) -> None:
    for step in (20, 30):
        save(tmp_path, step)
        cut(tmp_path / f"{step:09d}", "state.safetensors")
    with pytest.raises(CheckpointError, match="step 20 and 30 are damaged; .*--overwrite"):
        load_state(tmp_path)


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(tensors: dict, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    save(tmp_path, 20)
    monkeypatch.setattr(chiasm.checkpoint, "save_file", write)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 30)
    assert [path.name for path in tmp_path.iterdir()] == ["000000020"]
    assert load_state(tmp_path).step == 20
