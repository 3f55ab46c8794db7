import json
from pathlib import Path

import pytest
import torch

from chiasm.checkpoint import (
    CheckpointError,
    describe_model,
    flatten_optimizer,
    load_model,
    load_state,
    restore_optimizer,
    save_model,
    save_state,
)
from chiasm.networks import CrossModel


def test_a_saved_model_generates_the_same(model: CrossModel, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model")
    a, b = torch.randn(2, 5), torch.randn(2, 7)
    for path in (tmp_path, tmp_path / "model"):
        assert torch.equal(load_model(path).generator(a, b), model.eval().generator(a, b))


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
    with pytest.raises(CheckpointError, match="'stretch'; give one of 'crop', 'pad'"):
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
