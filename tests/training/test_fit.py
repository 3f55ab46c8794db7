import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

import chiasm
from chiasm.batch import Batch
from chiasm.checkpoint import load_model, load_state
from chiasm.config import Config, ConfigError, GanConfig, LossConfig
from chiasm.data import UNLABELLED, come_first, load_split, of_each_class, open_data
from chiasm.inference import read_codes
from chiasm.networks import CrossModel
from chiasm.networks.hand_out import class_filter, mean_of_neighbours, neighbour_filter
from chiasm.objective import Objective
from chiasm.overrides import changed
from chiasm.presets import PRESETS, from_preset, unlabelled
from chiasm.runs import RunError, RunFolder, read_metrics
from chiasm.training import NoClassesError, fit
from chiasm.training.budget import Budget, step_size
from chiasm.training.loop import Loop, TrainingDivergedError
from chiasm.training.memory import Memory
from chiasm.training.summary import summary
from chiasm.training.validate import choose_matrix


def with_train(config: Config, **changes: object) -> Config:
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_model(run).state_dict()


SHRUNK_COMPACT = {"encoder_widths": [4, 4, 4], "generator_widths": [4, 4, 4], "side_px": 16, "dense_widths": [4]}
SHRUNK_ORIGINAL = {**SHRUNK_COMPACT, "dense_widths": [4, 4], "head_widths": [4]}
# A stride of 4 leaves out a side of maps that portraits has: they begin a block earlier.
SHRUNK_STRIDED = {**SHRUNK_COMPACT, "generator_widths": [4, 4, 4, 4]}
SHRUNK_MODEL = {
    "original": SHRUNK_ORIGINAL,
    "original-small": SHRUNK_ORIGINAL,
    "portraits-128": SHRUNK_STRIDED,
    "tiny": {},
}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_fits_two_steps_when_shrunk(name: str, tmp_path: Path) -> None:
    tiny_data = {"avatars": {"num_people": 12, "num_expressions": 2, "tilts_deg": [-20, 20]}}
    train = {
        "steps": 2,
        "epochs": None,
        "max_minutes": None,
        "batch_size": 4,
        "num_val_pairs": 2,
        "compile": "off",
    }
    config = from_preset(name, {"data": tiny_data, "model": SHRUNK_MODEL.get(name, SHRUNK_COMPACT), "train": train})
    result = fit(config, runs=tmp_path, progress_bar=False)
    assert result.step == 2
    assert all(np.isfinite(value) for value in result.metrics.values())


def test_a_run_leaves_everything_it_promises(trained: Path, config: Config) -> None:
    run, written = RunFolder.open(trained)
    assert written == config
    load_model(run.model)
    assert run.split.exists()
    rows = read_metrics(run.metrics)
    assert rows[-1]["step"] == config.train.steps
    assert {"train/loss", "train/swap", "val/loss", "swap/swap", "swap/copy_x1"} <= {k for row in rows for k in row}
    for name in ("strip", "swap_matrix", "curves"):
        assert np.asarray(Image.open(run.figures / f"{name}.png")).std() > 1
    assert list(run.tensorboard.iterdir())


def test_training_learns(config: Config, tmp_path: Path) -> None:
    config = with_train(config, steps=80, validate_every=79, lr=5e-3)
    result = fit(config, runs=tmp_path, progress_bar=False)
    rows = read_metrics(result.run / "metrics.csv")
    losses = [row["train/swap"] for row in rows if "train/swap" in row]
    assert losses[-1] < 0.8 * losses[0]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(config: Config, tmp_path: Path) -> None:
    first, again = (weights(fit(config, runs=tmp_path, progress_bar=False).run) for _ in range(2))
    other = weights(fit(with_train(config, seed=1), runs=tmp_path, progress_bar=False).run)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["generator.rgb.weight"], other["generator.rgb.weight"])


@pytest.mark.parametrize(
    ("loss", "gan", "groups"),
    [
        pytest.param({}, {}, 0, id="negatives"),
        pytest.param({"weight_difference": 0.0, "shift_b": 0.1, "weight_consistency": 0.1}, {}, 0, id="shift"),
        pytest.param({}, {"weight": 0.1, "r1": 1.0, "widths": (4,)}, 0, id="gan"),
        pytest.param({}, {"weight": 0.1, "start": 0.7, "widths": (4,)}, 0, id="gan that begins after the stop"),
        pytest.param({"weight_adversary": 0.0}, {}, 4, id="groups"),
    ],
)
def test_resuming_goes_on_as_if_never_stopped(
    loss: dict, gan: dict, groups: int, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the midst of the cooldown: the run that is stopped and the one that is not have the same budget."""
    config = with_train(config, steps=6, cooldown=1.0)
    wide = dataclasses.replace(config.model, generator_widths=(16, 16, 16), neighbours_b=2, gain_a=1.5)  # for Muon
    data = dataclasses.replace(config.data, groups=groups)
    config = dataclasses.replace(config, data=data, model=wide, loss=LossConfig(**loss), gan=GanConfig(**gan))
    whole = fit(config, runs=tmp_path, progress_bar=False)
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_agree", lambda self, stop: self.step == 3)
        half = fit(config, name="half", runs=tmp_path, progress_bar=False)
    assert half.interrupted
    assert half.step == 3
    resumed = fit(config, resume=half.run, progress_bar=False)
    assert resumed.step == 6
    expected, got = weights(whole.run), weights(resumed.run)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    steps = [row["step"] for row in read_metrics(resumed.run / "metrics.csv")]
    assert steps == sorted(steps)
    assert sum("swap/swap" in row for row in read_metrics(whole.run / "metrics.csv")) == 3


def test_a_model_learns_what_neighbours_tell_of_code_b(config: Config, tmp_path: Path) -> None:
    config = changed(config, {"model.neighbours_b": 3, "model.components_b": 2})
    model = load_model(fit(config, runs=tmp_path, progress_bar=False).run)
    mean, matrix = neighbour_filter(model.codes_b, 3, components=2)
    assert torch.allclose(model.mean_b, mean, atol=1e-5)
    assert torch.allclose(model.filter_b, matrix, atol=1e-3)
    b = torch.randn(4, config.model.code_b)
    told = mean_of_neighbours(b, model.codes_b, 3) - mean
    assert torch.allclose(model.hand_out_b(b), model.round_b(mean + told @ model.filter_b.T), atol=1e-4)


@pytest.mark.parametrize("mirror_a", ["on", "off"])
def test_a_model_knows_codes_of_as_many_training_images_of_every_class(
    mirror_a: str, config: Config, tmp_path: Path
) -> None:
    config = changed(config, {"model.neighbours_b": 3, "model.mirror_a": mirror_a})
    run = fit(config, runs=tmp_path, progress_bar=False).run
    model, images = load_model(run), open_data(config.data, config.model.side_px, progress_bar=False)
    split = load_split(run / "split.json", images)
    num_classes, pixels = len(np.unique(images.classes[split.train])), images.gather(split.train)
    assert model.codes_b.shape[::2] == (num_classes, config.model.code_b)
    b = read_codes(model, pixels)[1]
    mirrored = read_codes(model, np.ascontiguousarray(pixels[..., ::-1]))[1]
    if mirror_a == "on":
        own, model.codes_b = model.codes_b.chunk(2, dim=1)
        assert float(torch.cdist(own.flatten(0, 1), b).min(dim=1).values.max()) < 1e-4
        b = mirrored
    to_training = torch.cdist(model.codes_b.flatten(0, 1), b)
    assert float(to_training.min(dim=1).values.max()) < 1e-4
    of_class = images.classes[split.train][to_training.argmin(dim=1).numpy()].reshape(num_classes, -1)
    assert (of_class == of_class[:, :1]).all()
    assert len(np.unique(of_class)) == num_classes


def test_where_no_training_image_has_a_label_codes_are_handed_out_as_they_are(config: Config) -> None:
    images = open_data(config.data, config.model.side_px, progress_bar=False)
    unlabelled_images = dataclasses.replace(images, classes=np.full(len(images), UNLABELLED))
    model = CrossModel(dataclasses.replace(config.model, neighbours_b=3, gain_a=1.5)).eval()
    Memory(model, unlabelled_images, np.arange(len(images)), seed=0).remember(model)
    a, b = torch.randn(2, model.config.width_a), torch.randn(2, model.config.code_b)
    assert torch.equal(model.hand_out_a(a), a)
    assert torch.equal(model.hand_out_b(b), b)


def test_a_model_learns_what_of_code_a_says_the_class(config: Config, tmp_path: Path) -> None:
    config = changed(config, {"model.gain_a": 1.5, "model.components_a": 3})
    run = fit(config, runs=tmp_path, progress_bar=False).run
    model, images = load_model(run), open_data(config.data, config.model.side_px, progress_bar=False)
    index = of_each_class(images, load_split(run / "split.json", images).train, config.train.seed)
    a = read_codes(model, images.gather(index.ravel()))[0].unflatten(0, index.shape)
    counted = torch.from_numpy(come_first(index))
    mean, matrix = class_filter(a, gain=1.5, components=3, counted=counted)
    assert torch.allclose(model.mean_a, mean, atol=1e-5)
    assert torch.allclose(model.filter_a, matrix, atol=1e-3)


def test_a_class_with_few_images_has_them_counted_once(config: Config) -> None:
    images = open_data(config.data, config.model.side_px, progress_bar=False)
    few = np.concatenate([np.flatnonzero(images.classes == c)[: c % 3 + 1] for c in range(6)])
    model = CrossModel(dataclasses.replace(config.model, gain_a=1.5)).eval()
    Memory(model, images, few, seed=0).remember(model)
    codes = read_codes(model, images.gather(few))[0]
    means = torch.stack([codes[torch.from_numpy(images.classes[few] == c)].mean(dim=0) for c in range(6)])
    assert torch.allclose(model.mean_a, means.mean(dim=0), atol=1e-5)


def test_a_model_that_was_never_validated_knows_codes_too(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chiasm.training.loop.SECONDS_BETWEEN_CHECKPOINTS", -1)
    monkeypatch.setattr(Loop, "_validate", lambda self, tracker, bar: self.no_such_thing)
    config = changed(config, {"model.neighbours_b": 3, "model.gain_a": 1.5})
    with pytest.raises(AttributeError, match="no_such_thing"):
        fit(config, name="killed", runs=tmp_path, progress_bar=False)
    model = load_model(tmp_path / "killed")
    assert float(model.codes_b.abs().max()) > 0
    assert float(model.mean_a.abs().max()) > 0


def test_a_model_whose_training_is_stopped_knows_the_codes_of_its_last_step(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read when it is validated at last, after its checkpoint was written."""
    config = changed(config, {"model.neighbours_b": 3, "train.steps": 6, "train.validate_every": 2})
    monkeypatch.setattr(Loop, "_agree", lambda self, stop: self.step == 3)
    run = fit(config, runs=tmp_path, progress_bar=False).run
    model, images = load_model(run), open_data(config.data, config.model.side_px, progress_bar=False)
    known = model.codes_b.clone()
    Memory(model, images, load_split(run / "split.json", images).train, config.train.seed).remember(model)
    assert torch.allclose(known, model.codes_b, atol=1e-5)


def test_before_the_first_validation_codes_are_read_anew_ever_more_seldom(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chiasm.training.loop.SECONDS_BETWEEN_CHECKPOINTS", -1)
    read_at, remember = [], Loop._remember

    def remember_noted(self: Loop) -> None:
        read_at.append(self.step)
        remember(self)

    monkeypatch.setattr(Loop, "_remember", remember_noted)
    config = changed(config, {"model.neighbours_b": 3, "train.steps": 12, "train.validate_every": 10})
    fit(config, runs=tmp_path, progress_bar=False)
    assert read_at == [0, 1, 2, 4, 8, 10, 12]


def test_a_compiled_training_that_crosses_late_resumes_bit_exact(tmp_path: Path) -> None:
    script = Path(__file__).with_name("stop_and_resume.py")
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=500)


def test_optimisers_are_restored_after_the_devices_are_set_up(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    setup, load = Fabric.setup, Loop.load
    monkeypatch.setattr(Fabric, "setup", lambda self, *parts: order.append("set up") or setup(self, *parts))
    monkeypatch.setattr(Loop, "load", lambda self: order.append("restore") or load(self))
    half = fit(with_train(config, steps=2), runs=tmp_path, progress_bar=False)
    fit(with_train(config, steps=4), resume=half.run, progress_bar=False)
    assert order == ["set up", "set up", "restore"]


def test_the_adversary_tells_apart_the_classes_of_the_training_part_alone(config: Config, tmp_path: Path) -> None:
    result = fit(config, runs=tmp_path, progress_bar=False)
    images = open_data(config.data, config.model.side_px, progress_bar=False)
    seen = np.unique(images.classes[load_split(result.run / "split.json", images).train])
    tensors = load_state(result.run / "checkpoint").tensors
    last = max((name for name in tensors if name.startswith("objective/adversary.layers")), key=str)
    assert len(tensors[last]) == len(seen) < len(images.class_names)


@pytest.mark.parametrize(("budget", "expected"), [({"max_minutes": 0.02, "steps": None}, True), ({}, False)])
def test_a_timed_run_says_the_steps_that_repeat_it(
    budget: dict, expected: bool, config: Config, tmp_path: Path
) -> None:
    result = fit(with_train(config, **budget), runs=tmp_path, progress_bar=False)
    assert (f"--steps {result.step}" in summary(result)) == expected


def test_a_finished_run_asks_for_a_larger_budget(trained: Path, config: Config) -> None:
    with pytest.raises(ConfigError, match="larger"):
        fit(config, resume=trained, progress_bar=False)


def test_interrupt_leaves_a_checkpoint_that_resumes(config: Config, tmp_path: Path) -> None:
    endless = with_train(config, steps=None, max_minutes=5.0)
    timer = threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    result = fit(endless, runs=tmp_path, progress_bar=False)
    assert result.interrupted
    assert result.step > 0
    steps = result.step + 2
    resumed = fit(with_train(config, steps=steps), resume=result.run, progress_bar=False)
    assert resumed.step == steps


def test_divergence_names_the_step_and_the_term(config: Config, tmp_path: Path) -> None:
    hopeless = with_train(config, lr=1e38, steps=40)
    with pytest.raises(TrainingDivergedError, match=r"step \d+: the term '(contrastive_.|swap|decay_b)' is (nan|inf)"):
        fit(hopeless, runs=tmp_path, progress_bar=False)


def test_crossing_terms_start_late(config: Config, tmp_path: Path) -> None:
    loss = LossConfig(weight_rec=1.0, gamma=0.4, cross_start=0.5)
    config = dataclasses.replace(with_train(config, steps=4, validate_every=1), loss=loss)
    rows = read_metrics(fit(config, runs=tmp_path, progress_bar=False).run / "metrics.csv")
    crossed = [row["step"] for row in rows if "train/cycle_a" in row]
    assert crossed == [3, 4]


def test_at_the_end_encoder_a_alone_learns_and_then_the_generator(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(
        with_train(config, steps=8, validate_every=2, optimizer="muon", weight_decay=0.3),
        loss=dataclasses.replace(config.loss, inversion_start=3 / 8, refinement_start=5 / 8),
        model=dataclasses.replace(config.model, neighbours_b=2, components_b=2),
    )
    seen, train = [], Loop.training_step
    known, hand_out = [], Objective._handed_out_b

    def noted_codes(self: Objective, batch: Batch) -> torch.Tensor:
        known.append(self.model.codes_b.clone())
        return hand_out(self, batch)

    monkeypatch.setattr(Objective, "_handed_out_b", noted_codes)

    def noted(self: Loop, *step: Any) -> Any:
        seen.append({name: value.clone() for name, value in self.objective.model.state_dict().items()})
        return train(self, *step)

    monkeypatch.setattr(Loop, "training_step", noted)
    result = fit(config, runs=tmp_path, progress_bar=False)
    rows = read_metrics(result.run / "metrics.csv")
    logged = {stage: [row["step"] for row in rows if f"train/{stage}" in row] for stage in ("inversion", "refinement")}
    assert logged == {"inversion": [4], "refinement": [6, 8]}
    model = load_model(result.run)
    last, learned = model.state_dict(), {name for name, _ in model.named_parameters()}
    states = {"": (seen[0], seen[3]), "encoder_a.": (seen[3], seen[5]), "generator.": (seen[5], last)}
    for learning, (before, after) in states.items():
        for name in learned:
            assert name.startswith(learning) == (not torch.equal(before[name], after[name])), name
        for name in last.keys() - learned:
            free = name.startswith((learning, "codes_b", "mean_a", "filter_a", "mean_b", "filter_b"))
            assert free or torch.equal(before[name], after[name]), name
    assert len(known) == 5
    for codes in known:  # today's, though the last validation was a step before
        assert torch.allclose(codes, last["codes_b"], atol=1e-6)


def test_images_without_classes_are_refused_with_the_remedy(config: Config, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(24):
        Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    flat = dataclasses.replace(config, data=dataclasses.replace(config.data, source=str(tmp_path)))
    with pytest.raises(ConfigError, match="--preset unlabelled"):
        fit(flat, runs=tmp_path / "runs", progress_bar=False)
    grouped = dataclasses.replace(flat.data, groups=4)
    with pytest.raises(ConfigError, match="^data.groups: "):
        fit(dataclasses.replace(flat, data=grouped, loss=LossConfig.only(weight_rec=1.0)), progress_bar=False)
    data = dataclasses.replace(flat.data, supervision="augmentations", a_ignores=("rotate", "flip"))
    with pytest.raises(ConfigError, match="loss.weight_adversary: "):
        fit(dataclasses.replace(flat, data=data), runs=tmp_path / "runs", progress_bar=False)
    flat = dataclasses.replace(flat, data=data, loss=unlabelled().loss)
    for key in ("model.neighbours_b", "model.gain_a", "model.components_a"):
        with pytest.raises(ConfigError, match=f"{key}: "):
            fit(changed(flat, {key: 2}), runs=tmp_path / "runs", progress_bar=False)
    result = fit(flat, runs=tmp_path / "runs", progress_bar=False)
    assert set(result.metrics) >= {"swap/reconstruction", "val/swap", "moves/a_rotate", "moves/b_flip"}
    assert "flip: code A moves by" in summary(result)


def test_classes_of_the_test_part_alone_are_none(config: Config, tmp_path: Path) -> None:
    for i, name in enumerate(["train/a/0", "train/b/0", "train/c/0", *(f"test/a/{k}" for k in range(4))]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (20 * i, 0, 0)).save(tmp_path / f"{name}.png")
    with pytest.raises(NoClassesError, match="no two images of one class to learn from"):
        fit(changed(config, {"data.source": str(tmp_path)}), runs=tmp_path / "runs", progress_bar=False)


def test_a_single_image_to_validate_with_raises_no_alarm(config: Config, tmp_path: Path) -> None:
    for i in range(8):
        Image.new("RGB", (16, 16), (20 * i, 0, 0)).save(tmp_path / f"{i}.png")
    changes = {"data.source": str(tmp_path), "data.supervision": "augmentations", "data.a_ignores": ("rotate", "flip")}
    result = fit(
        changed(dataclasses.replace(config, loss=unlabelled().loss), changes),
        runs=tmp_path / "runs",
        progress_bar=False,
    )
    assert len(json.loads((result.run / "split.json").read_text())["val"]) == 1
    assert result.metrics["val/loss"] > 0
    assert not [name for name in result.metrics if name.startswith(("shortcut/", "moves/"))]


def test_celeba_in_the_official_layout_trains_end_to_end(tmp_path: Path) -> None:
    """The original protocol, shrunk, on a made tree: official split, identities as classes."""
    rng = np.random.default_rng(0)
    (tmp_path / "img_align_celeba").mkdir()
    names = [f"{i:06d}.jpg" for i in range(1, 25)]
    for name in names:
        pixels = rng.integers(0, 255, (22, 18, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "img_align_celeba" / name)
    parts = "".join(f"{name} {i // 12}\n" for i, name in enumerate(names))
    (tmp_path / "list_eval_partition.txt").write_text(parts)
    (tmp_path / "identity_CelebA.txt").write_text("".join(f"{name} {i // 3}\n" for i, name in enumerate(names)))
    train = {"steps": 2, "epochs": None, "batch_size": 4, "num_val_pairs": 2, "compile": "off"}
    changes = {"data": {"source": str(tmp_path)}, "model": SHRUNK_MODEL["original"], "train": train}
    result = fit(from_preset("original", changes), runs=tmp_path / "runs", progress_bar=False)
    split = json.loads((result.run / "split.json").read_text())
    assert split["train"] == names[:12]
    assert split["val"] == names[12:]
    assert {"val/rec", "val/cycle_a", "val/cycle_b"} <= set(result.metrics)


def test_bf16_on_a_cpu_is_refused(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="train.precision"):
        fit(with_train(config, precision="bf16-mixed"), runs=tmp_path, progress_bar=False)


def test_a_taken_name_is_refused(trained: Path, config: Config) -> None:
    with pytest.raises(RunError, match="--resume"):
        fit(config, name="trained", runs=trained.parent, progress_bar=False)


def test_budget_ends_with_the_first_limit(config: Config) -> None:
    budget = Budget.of(with_train(config, steps=10, epochs=2.0, max_minutes=1.0).train, steps_per_epoch=3.0)
    assert budget.steps == 6
    assert budget.progress(3, 0.0) == 0.5
    assert budget.progress(3, 45.0) == 0.75


def test_cooldown_ends_at_zero_with_the_budget(config: Config) -> None:
    train = with_train(config, cooldown=0.4).train
    assert [step_size(train, 1e-3, progress) for progress in (0.0, 0.5, 0.6)] == [1e-3] * 3
    assert step_size(train, 1e-3, 0.8) == pytest.approx(5e-4)
    assert step_size(train, 1e-3, 1.0) == pytest.approx(0)
    assert step_size(train, 1e-3, 1.1) == 0  # a clock may overrun the budget
    assert step_size(with_train(config, cooldown=0.0).train, 1e-3, 1.0) == 1e-3


def test_matrix_shows_different_classes_and_contents(avatars) -> None:
    rows, columns = choose_matrix(avatars, np.arange(len(avatars)), 5)
    assert len(set(avatars.classes[rows].tolist())) == len(rows) == 5
    assert len({tuple(c) for c in avatars.contents[columns].tolist()}) == len(columns) == 5


@pytest.mark.parametrize("key", ["loss.weight_perceptual", "gan.weight"])
def test_a_missing_extra_is_told_before_anything_is_read_or_written(
    key: str, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    config = changed(config, {key: 1.0, "gan.sees": "features", "data.source": str(tmp_path / "nosuch")})
    with pytest.raises(ConfigError, match=r"chiasm\[perceptual\]"):
        fit(config, name="x", runs=tmp_path, progress_bar=False)
    assert not any(tmp_path.iterdir())


def test_the_section_of_the_data_and_the_folder_of_runs_may_be_given_in_python(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / "photos" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), (20 * i, 0, 0)).save(tmp_path / "photos" / str(i % 2) / f"{i}.png")
    data = {"source": str(tmp_path / "photos"), "fit": "pad"}
    result = chiasm.fit(data, preset="tiny", train={"steps": 1}, runs=str(tmp_path / "runs"), progress_bar=False)
    assert result.run.parent == tmp_path / "runs"
    assert RunFolder.open(result.run)[1].data.fit == "pad"
