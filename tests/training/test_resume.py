import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import chiasm
import chiasm.checkpoint
from chiasm.checkpoint import load_model, load_state, saved_steps
from chiasm.cli import main
from chiasm.config import Config, ConfigError
from chiasm.data import ImageSet
from chiasm.overrides import changed
from chiasm.runs import RunError, RunFolder, RunWriteError, read_metrics
from chiasm.training import FitResult, fit, loop
from chiasm.training.loop import Loop


def long(config: Config) -> Config:
    """Six steps; validation comes but once."""
    return changed(config, {"train.steps": 6, "train.validate_every": 4})


def same(first: Path, second: Path) -> bool:
    """Whether two runs have the same weights, and the same numbers but for the minutes."""
    one, two = (load_model(run).state_dict() for run in (first, second))
    rows = [[{**row, "minutes": 0.0} for row in read_metrics(run / "metrics.csv")] for run in (first, second)]
    return all(torch.equal(one[name], two[name]) for name in one) and rows[0] == rows[1]


class Died(BaseException):
    pass


@pytest.fixture
def begun(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of six steps that died in its fourth, with checkpoints of the steps given by `every`."""

    def die(self: Loop, loaded: object, progress: float) -> dict:
        if self.step == 4:
            raise Died
        return step(self, loaded, progress)

    step = Loop.training_step
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "training_step", die)
        patch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0)
        with pytest.raises(Died):
            fit(long(config), name="begun", runs=tmp_path, progress_bar=False)
    return tmp_path / "begun"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    from chiasm.presets import tiny

    return fit(long(tiny()), runs=tmp_path_factory.mktemp("whole"), progress_bar=False)


def test_checkpoints_come_every_minute_whenever_validation_comes(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock by which every step takes 25 seconds."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    saved = []

    def slow_step(self: Loop, loaded: object, progress: float) -> dict:
        clock.now += 25
        return step(self, loaded, progress)

    def note(self: Loop, tracker: object) -> None:
        saved.append((self.step, clock.now))
        save(self, tracker)

    step, save = Loop.training_step, Loop._save
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(Loop, "training_step", slow_step)
    monkeypatch.setattr(Loop, "_save", note)
    config = changed(config, {"train.steps": 8, "train.validate_every": 2})
    result = fit(config, runs=tmp_path, progress_bar=False)
    assert saved == [(3, 75.0), (6, 150.0), (8, 200.0)]
    assert saved[0][1] <= 25 + 60  # a minute after the first step
    assert saved_steps(result.run / "checkpoint") == [6, 8]


def test_saving_changes_no_number(config: Config, whole: FitResult, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    assert same(whole.run, fit(long(config), runs=tmp_path, progress_bar=False).run)


def test_a_run_that_died_goes_on_from_its_newest_checkpoint(config: Config, whole: FitResult, begun: Path) -> None:
    assert saved_steps(begun / "checkpoint") == [3, 4]
    resumed = fit(long(config), resume=begun, progress_bar=False)
    assert not resumed.interrupted
    assert same(whole.run, begun)


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_taken(
    config: Config, whole: FitResult, begun: Path, capsys
) -> None:
    tensors = begun / "checkpoint" / "000000004" / "state.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    fit(long(config), resume=begun, progress_bar=False)
    assert capsys.readouterr().err == "checkpoint of step 4 is damaged; going on from step 3\n"
    assert same(whole.run, begun)


@pytest.mark.parametrize("lost", [["checkpoint"], ["checkpoint", "split.json"]])
def test_without_a_checkpoint_a_run_begins_with_its_own_settings(
    lost: list[str], whole: FitResult, begun: Path, capsys
) -> None:
    for name in lost:
        (begun / name).rename(begun.parent / name)
    assert main(["fit", "--resume", str(begun)]) == 0
    assert f"{begun} has no checkpoint; beginning at step 0 with its own settings" in capsys.readouterr().err
    assert same(whole.run, begun)


def test_a_run_whose_end_was_cut_off_is_ended(config: Config, whole: FitResult, tmp_path: Path, monkeypatch) -> None:
    """The last checkpoint comes last: a run that has it has its figures."""

    def die(*args: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(loop, "curves", die)
        with pytest.raises(Died):
            fit(long(config), name="x", runs=tmp_path, progress_bar=False)
    result = fit(long(config), resume=tmp_path / "x", progress_bar=False)
    assert same(whole.run, result.run)
    assert all(path.exists() for path in result.figures)
    with pytest.raises(ConfigError, match="larger"):
        fit(long(config), resume=tmp_path / "x", progress_bar=False)


def test_overwrite_begins_a_run_again(config: Config, whole: FitResult, begun: Path, capsys) -> None:
    flags = ["--name", "begun", "--runs", str(begun.parent), "--preset", "tiny", "--train.validate_every", "4"]
    assert main(["fit", *flags, "--steps", "6"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["fit", *flags, "--steps", "6", "--overwrite"]) == 0
    assert same(whole.run, begun)
    assert "no checkpoint" not in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--preset", "tiny"], ["--name", "x", "--resume", "RUN"]])
def test_overwrite_needs_a_name_and_no_resume(flags: list[str], begun: Path, capsys) -> None:
    flags = [str(begun) if flag == "RUN" else flag for flag in flags]
    assert main(["fit", *flags, "--overwrite", "--runs", str(begun.parent)]) == 2
    assert "--overwrite: it begins a run of a given --name again" in capsys.readouterr().err


def test_a_run_that_goes_on_takes_no_other_name(begun: Path, capsys) -> None:
    assert main(["fit", "--resume", str(begun), "--name", "other", "--steps", "8"]) == 2
    assert "--name: got 'other' with --resume" in capsys.readouterr().err
    assert saved_steps(begun / "checkpoint")[-1] == 4


@pytest.mark.parametrize("flags", [["--resume"], ["--overwrite", "--preset", "tiny", "--name"]])
def test_a_run_that_another_process_trains_is_left_alone(flags: list[str], begun: Path, capsys) -> None:
    name = str(begun) if flags == ["--resume"] else begun.name
    with RunFolder(begun).lock():
        before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
        assert main(["fit", *flags, name, "--runs", str(begun.parent)]) == 2
        assert capsys.readouterr().err == (
            f"chiasm: {begun} is being trained by another process; wait for it, or stop it.\n"
        )
        assert before == {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}


def test_other_settings_are_kept_by_the_next_resume(begun: Path, tmp_path: Path) -> None:
    assert main(["fit", "--resume", str(begun), "--steps", "8", "--train.lr", "0.002"]) == 0
    assert saved_steps(begun / "checkpoint")[-1] == 8
    config = RunFolder.open(begun)[1]
    assert (config.train.steps, config.train.lr) == (8, 0.002)
    assert "4,train.steps,6,8" in (begun / "changes.csv").read_text()
    (begun / "checkpoint" / "000000008").rename(tmp_path / "lost")
    assert main(["fit", "--resume", str(begun)]) == 0
    assert saved_steps(begun / "checkpoint")[-1] == 8


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.output", "sigmoid"),
        ("model.code_a", 9),
        ("data.fit", "pad"),
        ("data.split_seed", 1),
        ("data.avatars.num_people", 13),
        ("gan.weight", 0.1),
        ("gan.widths", (8,)),
        ("gan.sees", "features"),
        ("loss.weight_adversary", 0.0),
    ],
)
def test_other_images_and_networks_are_refused(key: str, value: object, config: Config, begun: Path) -> None:
    before = (begun / "config.yaml").read_text()
    with pytest.raises(ConfigError, match=f"{key}: .*leave it as it was, or begin a new run with --name"):
        fit(changed(long(config), {key: value}), resume=begun, progress_bar=False)
    assert (begun / "config.yaml").read_text() == before


def test_training_without_kept_pixels_gives_the_same_bits_and_may_switch(
    config: Config, avatars: ImageSet, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    for i, person in enumerate(avatars.classes.tolist()):
        path = photos / str(person) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(avatars.gather(np.array([i]))[0].transpose(1, 2, 0)).save(path)
    runs = [
        fit(
            changed(config, {"data.source": str(photos), "data.cache": cache}),
            runs=tmp_path / cache,
            progress_bar=False,
        )
        for cache in ("disk", "off")
    ]
    assert same(runs[0].run, runs[1].run)
    more = changed(RunFolder.open(runs[1].run)[1], {"data.cache": "disk", "train.steps": 6})
    assert fit(more, resume=runs[1].run, progress_bar=False).step == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_is_saved_and_has_a_status_of_its_own(
    number: int, whole: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def stop(self: Loop, loaded: object, progress: float) -> dict:
        if self.step == 2:
            os.kill(os.getpid(), number)
        return step(self, loaded, progress)

    step = Loop.training_step
    flags = ["--preset", "tiny", "--steps", "6", "--train.validate_every", "4", "--runs", str(tmp_path), "--name", "x"]
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "training_step", stop)
        assert main(["fit", *flags]) == 3
    printed = capsys.readouterr()
    assert "stopping: saving\n" in printed.err
    assert f"stopped early; go on with: chiasm fit --resume {tmp_path / 'x'}" in printed.out
    assert saved_steps(tmp_path / "x" / "checkpoint") == [3]
    assert main(["fit", "--resume", str(tmp_path / "x")]) == 0
    expected, got = (load_model(run).state_dict() for run in (whole.run, tmp_path / "x"))
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_a_full_disk_ends_with_its_name_and_the_older_checkpoint(
    config: Config, whole: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(tensors: dict, path: Path) -> None:
        if "000000003" in str(path):
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save_file(tensors, path)

    with monkeypatch.context() as patch:
        patch.setattr(chiasm.checkpoint, "save_file", write)
        patch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0)
        with pytest.raises(RunWriteError, match=r"x cannot be written .*No space.*step 2 is whole; .*--resume"):
            fit(long(config), name="x", runs=tmp_path, progress_bar=False)
    assert load_state(tmp_path / "x" / "checkpoint").step == 2
    fit(long(config), resume=tmp_path / "x", progress_bar=False)
    assert same(whole.run, tmp_path / "x")


def test_a_file_that_the_system_refuses_is_one_line(begun: Path, whole: FitResult) -> None:
    """A limit on the size of files, which is met by a checkpoint only, stands for a full disk."""
    resource = pytest.importorskip("resource")
    sizes = [path.stat().st_size for path in begun.rglob("*") if path.is_file()]
    limit = (max(sizes) + max(size for size in sizes if size < max(sizes))) // 2
    words = [sys.executable, "-m", "chiasm", "fit", "--resume", str(begun)]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"chiasm: {begun} cannot be written (")
    assert "Traceback" not in done.stderr
    assert "step 4 is whole" in last
    assert main(["fit", "--resume", str(begun)]) == 0
    assert same(whole.run, begun)


def test_a_run_resumed_from_python_goes_on_with_its_own_settings(config: Config, tmp_path: Path) -> None:
    half = fit(changed(config, {"train.steps": 2}), runs=tmp_path, progress_bar=False)
    resumed = chiasm.fit(resume=half.run, train={"steps": 3}, progress_bar=False)
    assert resumed.step == 3
    assert RunFolder.open(half.run)[1].model == config.model
    with pytest.raises(RunError, match="leave it out"):
        chiasm.fit(preset="faces", resume=half.run)
