import csv
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from chiasm.config import Config
from chiasm.overrides import changed
from chiasm.runs import RunError, RunFolder, RunWriteError


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "x")


def test_a_run_is_named_after_its_data_and_the_next_number(tmp_path: Path) -> None:
    (tmp_path / "my-photos-7").mkdir()
    assert RunFolder.named(tmp_path, None, "some/my photos").path == tmp_path / "my-photos-8"
    assert RunFolder.named(tmp_path, "x", "photos").path == tmp_path / "x"


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/a"])
def test_a_run_lies_in_the_folder_of_all_runs(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--name: got"):
        RunFolder.named(tmp_path, name, "photos")


def test_two_never_train_one_run(run: RunFolder, config: Config) -> None:
    with run.lock():
        run.create(config)
        with pytest.raises(RunError, match=r"x is being trained by another process"), run.lock():
            pass
    with run.lock():
        pass


def test_a_lock_goes_with_its_process(run: RunFolder, config: Config) -> None:
    script = (
        "import sys; from pathlib import Path; from chiasm.runs import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).lock(): print('locked', flush=True); sys.stdin.read()"
    )
    run.create(config)
    with subprocess.Popen(
        [sys.executable, "-c", script, run.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(RunError, match="another process"), run.lock():
            pass
        other.kill()
    with run.lock():
        pass


def test_a_lock_under_which_nothing_was_written_leaves_nothing(run: RunFolder) -> None:
    with run.lock():
        assert run.path.is_dir()
    assert not run.path.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with (
        pytest.raises(RunWriteError, match=r"runs/x cannot be written .*--runs"),
        RunFolder(tmp_path / "runs/x").lock(),
    ):
        pass


def test_what_a_killed_run_was_writing_is_removed(run: RunFolder, config: Config) -> None:
    run.create(config)
    left = [
        f"checkpoint/.000000003.{32 * 'a'}/state.json",
        f"model/.config.json.{32 * 'b'}",
        f".metrics.csv.{32 * 'c'}",
    ]
    for name in left:
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).touch()
    with run.lock():
        assert sorted(p.name for p in run.path.rglob("*") if p.is_file()) == ["config.yaml", "run.lock"]


@pytest.mark.parametrize("left", ["config.yaml", "checkpoint/000000003/state.json", "model/config.json"])
def test_a_run_gives_way_only_when_asked_and_takes_nothing_foreign_along(
    left: str, run: RunFolder, config: Config
) -> None:
    foreign = {"notes.txt", "figures/mine.png", "trial.json", "checkpoint/mine/state.json"}
    written = {
        left,
        "split.json",
        "metrics.csv",
        "results.json",
        "figures/strip.png",
        "tensorboard/events.out.tfevents.1",
    }
    for name in foreign | written:
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("old")
    with pytest.raises(RunError, match="x exists; .*--name, .*--resume .*--overwrite"):
        run.create(config)
    assert all((run.path / name).read_text() == "old" for name in foreign | written)
    run.create(config, overwrite=True)
    files = {str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file()}
    assert files == foreign | {"config.yaml"}
    assert RunFolder.open(run.path)[1] == config
    assert not (run.path / "checkpoint" / "000000003").exists()
    assert not (run.path / "tensorboard").exists()


def test_changed_settings_become_the_run_s_own_and_are_noted(run: RunFolder, config: Config) -> None:
    run.create(config)
    run.change_config(3, config, config)
    assert not (run.path / "changes.csv").exists()
    longer = changed(config, {"train.steps": 8})
    run.change_config(4, config, longer)
    last = dataclasses.replace(longer, train=dataclasses.replace(longer.train, steps=None, epochs=1.5))
    run.change_config(8, longer, last)
    assert RunFolder.open(run.path)[1] == last
    with (run.path / "changes.csv").open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [
        ("4", "train.steps", "4", "8"),
        ("8", "train.epochs", "null", "1.5"),
        ("8", "train.steps", "8", "null"),
    ]
