import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import chiasm.sweep.sweep as sweep_module
from chiasm.cli import main
from chiasm.config import Config, ConfigError
from chiasm.evaluation.criterion import score
from chiasm.overrides import changed, lookup
from chiasm.presets import tiny
from chiasm.runs import RunFolder
from chiasm.sweep.manifest import command
from chiasm.sweep.space import MAX_POINT_NAME, Range, Space, point_name
from chiasm.sweep.sweep import sweep
from chiasm.training import fit

SHORT = ["--preset", "tiny", "--steps", "1"]


def tried(folder: Path) -> list[tuple[dict, int, str]]:
    """The trials of a sweep as they noted themselves: point, seed, state."""
    notes = [json.loads(path.read_text()) for path in folder.glob("*/trial.json")]
    return [(note["point"], note["seed"], note["state"]) for note in notes]


def attempts(folder: Path) -> list[str]:
    """The names under which optuna's journal knows trials, one for each attempt."""
    lines = [json.loads(line) for line in (folder / "journal.log").read_text().splitlines()]
    return [line["user_attrs"]["name"] for line in lines if line["op_code"] == 4]


def short(config: Config) -> Config:
    return dataclasses.replace(config, train=dataclasses.replace(config.train, steps=1))


def test_a_grid_covers_every_point_once_and_only_once_when_asked_again(tmp_path: Path, capsys) -> None:
    arguments = [
        "sweep",
        *SHORT,
        "--loss.gamma",
        "0.4",
        "1",
        "--seeds",
        "0",
        "1",
        "--name",
        "s",
        "--runs",
        str(tmp_path),
    ]
    assert main(arguments) == 0
    wanted = [({"loss.gamma": gamma}, seed, "complete") for gamma in (0.4, 1.0) for seed in (0, 1)]
    assert sorted(tried(tmp_path / "s"), key=str) == sorted(wanted, key=str)
    printed = capsys.readouterr().out
    assert printed.count("complete\n") == 4 + 1
    made = (tmp_path / "s" / "gamma-1-seed-1" / "metrics.csv").stat().st_mtime_ns
    assert main(arguments) == 0
    assert (tmp_path / "s" / "gamma-1-seed-1" / "metrics.csv").stat().st_mtime_ns == made
    assert len(attempts(tmp_path / "s")) == 4


def test_each_trial_is_a_run_of_its_own_settings(tmp_path: Path) -> None:
    space = Space.of(short(tiny()), {"model.code_a": [4, 6]})
    result = sweep(space, seeds=[3], preset="tiny", runs=tmp_path)
    assert result.folder == tmp_path / "avatars-code_a"
    for outcome in result.outcomes:
        config = RunFolder.open(result.folder / outcome.name)[1]
        assert config == space.config(outcome.point, 3)
        assert config.train.seed == 3


def test_two_workers_share_a_sweep_and_one_takes_up_what_a_killed_one_leaves(tmp_path: Path) -> None:
    """Three trials; the first worker is killed in the middle of one, two others make all of them."""
    folder = tmp_path / "s"
    words = ["sweep", "--preset", "tiny", "--steps", "60", "--loss.gamma", "0.4", "1", "2", "--name", "s"]
    words = [sys.executable, "-m", "chiasm", *words, "--runs", str(tmp_path)]

    def start() -> subprocess.Popen:
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    doomed = start()
    first = folder / "gamma-0.4-seed-0"
    # A run writes its split when it begins to train.
    deadline = time.monotonic() + 60
    while not (first / "split.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate()
    assert json.loads((first / "trial.json").read_text())["state"] == "running"
    workers = [start(), start()]
    printed = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], printed
    wanted = [({"loss.gamma": gamma}, 0, "complete") for gamma in (0.4, 1.0, 2.0)]
    assert sorted(tried(folder), key=str) == sorted(wanted, key=str)
    assert json.loads((first / "trial.json").read_text())["attempt"] == 2
    assert sorted(attempts(folder)) == sorted(f"gamma-{g}-seed-0" for g in ("0.4", "0.4", "1", "2"))
    assert all("3 complete" in text for text in printed)


def test_a_failed_trial_tells_its_reason_and_the_others_go_on(tmp_path: Path, capsys) -> None:
    space = Space.of(short(tiny()), {"train.lr": [1e38, 1e-3]})
    base = dataclasses.replace(space.base, train=dataclasses.replace(space.base.train, steps=10, validate_every=10))
    result = sweep(Space(base, space.keys), preset="tiny", runs=tmp_path)
    states = {outcome.point["train.lr"]: outcome for outcome in result.outcomes}
    assert states[1e38].state == "failed"
    assert "--train.lr" in states[1e38].reason
    assert states[1e-3].state == "complete"
    assert "failed: step" in capsys.readouterr().out
    assert len(attempts(result.folder)) == 2
    assert sweep(Space(base, space.keys), preset="tiny", runs=tmp_path).outcomes == result.outcomes


def test_a_trial_that_kills_every_worker_is_given_up(tmp_path: Path, monkeypatch) -> None:
    space = Space.of(short(tiny()), {"loss.gamma": [0.4, 1.0]})

    class Killed(BaseException):
        pass

    def die(config: Config, *args: object, **kwargs: object) -> None:
        if config.loss.gamma == 0.4:
            raise Killed
        return train(config, *args, **kwargs)

    train = sweep_module._train
    monkeypatch.setattr(sweep_module, "_train", die)
    monkeypatch.setattr(sweep_module.TrialQueue, "put_back", lambda queue, claim: claim.lock.release())
    for _ in range(3):
        with pytest.raises(Killed):
            sweep(space, preset="tiny", runs=tmp_path)
    outcomes = sweep(space, preset="tiny", runs=tmp_path).outcomes
    assert [(o.state, o.reason) for o in outcomes] == [("failed", "its worker died 3 times"), ("complete", "")]


def test_a_stopped_trial_waits_for_the_next_worker(tmp_path: Path, monkeypatch) -> None:
    space = Space.of(short(tiny()), {"loss.gamma": [0.4, 1.0]})
    train = sweep_module._train
    monkeypatch.setattr(sweep_module, "_train", lambda *args: dataclasses.replace(train(*args), interrupted=True))
    result = sweep(space, preset="tiny", runs=tmp_path)
    assert result.interrupted
    assert [o.state for o in result.outcomes] == ["waiting", "waiting"]
    monkeypatch.setattr(sweep_module, "_train", train)
    assert {o.state for o in sweep(space, preset="tiny", runs=tmp_path).outcomes} == {"complete"}


def test_what_is_left_of_a_trial_is_gone_on_with_where_its_images_decided_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(short(tiny()), {"model.mirror_a": "auto"})
    run = fit(config, name="x", runs=tmp_path, progress_bar=False).run
    before = RunFolder.open(run)[1]
    assert before != config
    called = []
    monkeypatch.setattr(sweep_module, "fit", lambda config, **options: called.append((config, options.get("resume"))))
    sweep_module._train(config, tmp_path, "x", False)
    sweep_module._train(changed(config, {"loss.gamma": 2.0}), tmp_path, "x", False)
    assert called == [(before, run), (changed(config, {"loss.gamma": 2.0}), None)]


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_points_are_sampled_from_ranges_and_repeated_for_every_seed(method, tmp_path: Path) -> None:
    keys = {"train.lr": Range(1e-4, 1e-2, log=True), "model.code_a": Range(4, 9), "loss.noise_b": [0.0, 1.0]}
    space = Space.of(short(tiny()), keys)
    result = sweep(space, preset="tiny", method=method, num_points=2, seeds=[0, 1], runs=tmp_path, name="s")
    assert [o.seed for o in result.outcomes] == [0, 1, 0, 1]
    assert result.outcomes[0].point == result.outcomes[1].point != result.outcomes[2].point
    for outcome in result.outcomes:
        assert 1e-4 <= outcome.point["train.lr"] <= 1e-2
        assert outcome.point["model.code_a"] in range(4, 10)
        assert outcome.state == "complete"


def test_a_grid_grows_by_values_and_seeds_and_refuses_anything_else(tmp_path: Path) -> None:
    def run(base: Config, values: list[float], seeds: list[int]) -> None:
        sweep(Space.of(base, {"loss.gamma": values}), preset="tiny", seeds=seeds, runs=tmp_path, name="s")

    base = short(tiny())
    run(base, [1.0], [0, 1])
    run(base, [0.4], [0])
    about = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert about["keys"] == {"loss.gamma": [0.4, 1.0]}
    assert about["seeds"] == [0, 1]
    assert len(attempts(tmp_path / "s")) == 3
    with pytest.raises(ConfigError, match="--train.lr: .*another --name"):
        run(dataclasses.replace(base, train=dataclasses.replace(base.train, lr=0.5)), [0.4], [0])
    with pytest.raises(ConfigError, match="--resume"):
        sweep(Space.of(base, {"loss.gamma": [1.0, 2.0]}), runs=tmp_path, name="s", resume=False)


def test_the_noted_command_reads_back_as_the_same_sweep(tmp_path: Path) -> None:
    given = {"loss.gamma": ["0.4", "1e-3"], "model.encoder_widths": ["[8,8]", "[4,4]"], "train.steps": ["1"]}
    space = Space.parse(tiny(), given | {"loss.gamma_a": ["null", "0.5"]})
    about = {"name": "s", "preset": "tiny", "method": "grid", "keys": space.describe(), "seeds": [0, 1]}
    about |= {"runs": "runs", "storage": None, "config": dataclasses.asdict(space.base)}
    words = command(about).split()
    read = {"train.steps": ["1"]}
    for word in words[4 : words.index("--seeds")]:
        if word.startswith("--"):
            read[word.removeprefix("--")] = values = []
        else:
            values.append(word.strip("'"))
    assert Space.parse(tiny(), read) == space


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--loss.gama", "1", "2"], ["loss.gama", "no such key", "gamma"]),
        (["--los.gamma", "1", "2"], ["los", "no such key", "loss"]),
        (["--loss.gamma.x", "1", "2"], ["loss.gamma.x", "no such key"]),
        (["--loss.gamma", "1", "fast"], ["loss.gamma", "'fast'", "float"]),
        (["--loss.gamma", "1", "-1"], ["loss.gamma", ">= 0"]),
        (["--loss.gamma", "1", "1.0"], ["loss.gamma", "twice"]),
        (["--loss.gamma", "0.1..2"], ["loss.gamma", "--method random"]),
        (["--loss.gamma", "0..2:log", "--method", "tpe"], ["loss.gamma", "above 0"]),
        (["--loss.gamma", "2..1", "--method", "tpe"], ["loss.gamma", "smaller end first"]),
        (["--loss.gamma", "1..2", "3"], ["loss.gamma", "one range"]),
        (["--train.seed", "0", "1"], ["train.seed", "--seeds"]),
        (["--loss.gamma", "1"], ["sweep", "nothing to vary"]),
        (["--loss.gamma", "1", "2", "--train.devices", "2"], ["train.devices", "one device"]),
        (["--steps", "4", "--train.max_minutes", "1", "2"], ["--train.max_minutes", "--max-minutes"]),
        (["--seeds", "0", "0"], ["--seeds", "different"]),
        (["--trials", "0"], ["--trials", "positive"]),
        (["nosuch-folder", "--loss.gamma", "1", "2"], ["nosuch-folder", "does not exist"]),
        (["--preset", "nosuch"], ["nosuch", "compact"]),
        (["--loss.gamma", "1", "2", "--storage", "nosuch://x"], ["--storage", "nosuch://x"]),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key_and_the_remedy(arguments, words, tmp_path: Path, capsys) -> None:
    assert main(["sweep", "--preset", "tiny", *arguments, "--runs", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert all(word in message for word in words)


def test_a_budget_takes_the_place_of_the_preset_s(tmp_path: Path) -> None:
    flags = ["--preset", "tiny", "--max-minutes", "0.001", "--loss.gamma", "1", "2", "--runs", str(tmp_path)]
    assert tiny().train.steps is not None
    assert main(["sweep", *flags, "--name", "s"]) == 0
    trained = [RunFolder.open(path.parent)[1].train for path in (tmp_path / "s").glob("*/config.yaml")]
    assert [(train.steps, train.epochs, train.max_minutes) for train in trained] == [(None, None, 0.001)] * 2


def test_values_take_the_types_of_their_keys() -> None:
    space = Space.parse(tiny(), {"loss.gamma": ["0..2"], "model.code_a": ["4..9"], "train.lr": ["1e-4..1e-2:log"]})
    assert space.keys["loss.gamma"] == Range(0.0, 2.0)
    assert isinstance(space.keys["loss.gamma"].low, float)
    assert isinstance(space.keys["model.code_a"].high, int)
    assert space.keys["train.lr"] == Range(1e-4, 1e-2, log=True)
    words = {
        "loss.gamma": ["2"],
        "train.compile": ["off"],
        "data.avatars.mirror": ["false"],
        "train.betas": ["[0,0.5]"],
    }
    set_ = Space.parse(tiny(), words).base
    assert [lookup(set_, key) for key in words] == [2.0, "off", False, [0.0, 0.5]]


def test_without_truth_a_copy_is_worse_than_an_honest_blur() -> None:
    copy = {"swap/reconstruction": 0.05, "shortcut/copy_x1": 0.9, "shortcut/copy_x2": 0.0}
    honest = {"swap/reconstruction": 0.2, "shortcut/copy_x1": 0.05, "shortcut/copy_x2": 0.0}
    assert score(honest, truth=False) < score(copy, truth=False)
    assert score({**copy, "swap/swap": 0.4}, truth=True) == 0.4
    assert score({}, truth=True) is None
    assert score({}, truth=False) is None


def test_a_source_is_named_by_the_end_of_its_path() -> None:
    names = [
        point_name({"data.source": source}) for source in ("/somewhere/else/a/photos", "/home/b/photos", "avatars")
    ]
    assert names == ["source-a_photos", "source-b_photos", "source-avatars"]


def test_long_names_of_points_are_cut_and_stay_different() -> None:
    names = [point_name({f"loss.weight_number_{i}": i for i in range(n)}) for n in (10, 11)]
    assert [len(name) for name in names] == [MAX_POINT_NAME] * 2
    assert names[0] != names[1]
