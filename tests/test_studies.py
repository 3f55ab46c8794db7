"""Studies say what they compare, make every run once by one recipe, and pair runs of the same seed."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy import stats

import studies.job
import studies.run
import studies.table
from benchmarks.baselines import METHODS
from chiasm.presets import tiny
from chiasm.runs import RunFolder
from studies.run import METRICS, Job, find_recipe, find_studies, list_jobs, load_study, read_measured, run_queue
from studies.table import TITLES, Row, gather, report

FOLDER = Path(studies.run.__file__).parent
NAMES = find_studies(FOLDER)
RECIPE = {"commit": "abc1234", "torch": "2.0", "machine": "a machine"}


@cache
def jobs_of(name: str) -> list[Job]:
    return list_jobs(load_study(FOLDER / name))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The folder of a study of two settings and a baseline, 4 steps at 16 px."""
    base = {"preset": "tiny", "seeds": [0, 1], "budget": {"steps": 4}, "shared": {}, "objectives": {}}
    own = {"keys": {"loss.decay_b": [0.0, 1e-3]}, "baselines": {"lord": 2}, "reference": "decay_b = 0"}
    shown = {"arms": {"default": {}}, "settings": {}, "measures": ["swap", "dark"], "figure": ["swap"]}
    (tmp_path / "small").mkdir()
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({**base, **shown}))
    (tmp_path / "small" / "study.yaml").write_text(yaml.safe_dump(own))
    return tmp_path / "small"


def write_measured(folder: Path, recipe: dict[str, str], values: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "measured.json").write_text(json.dumps({"recipe": recipe, "values": values}))


@pytest.mark.parametrize("name", NAMES)
def test_every_study_can_be_made_and_names_its_reference(name: str) -> None:
    study = load_study(FOLDER / name)
    jobs = jobs_of(name)
    for arm in study["arms"]:
        assert study["reference"] in studies.run.settings_of(study, arm)
    assert set(study["figure"]) <= set(study["measures"]) <= set(TITLES)
    for job in jobs:
        train = job.config.train
        assert ((train.steps is None), (train.max_minutes is None)) == (job.budget == "minutes", job.budget == "steps")
    assert len({job.name for job in jobs}) == len(jobs)


@pytest.mark.parametrize("name", ["ablation", "ablation-faces"])
def test_ablations_compare_all_methods_over_five_seeds_in_equal_steps_and_minutes(name: str) -> None:
    study = load_study(FOLDER / name)
    assert set(study["baselines"]) == set(METHODS)
    assert (len(study["seeds"]), set(study["budget"])) == (5, {"steps", "minutes"})
    assert all("leakage" in job.metrics for job in jobs_of(name))


@pytest.mark.parametrize("name", ["N1", "Q4"])
def test_crossing_itself_is_judged_by_an_arm_without(name: str) -> None:
    crosses = {job.setting: job.config.loss.crosses for job in jobs_of(name)}
    assert [setting for setting, does in crosses.items() if not does] == ["without crossing"]


def test_the_readme_counts_the_runs() -> None:
    names = {job.name for name in NAMES for job in jobs_of(name)}
    counted = re.search(r"All is (\d+) runs", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert counted is not None
    assert int(counted[1]) == len(names)


def test_every_seed_goes_through_all_settings_before_the_next_and_arms_take_turns() -> None:
    jobs = jobs_of("N1")
    assert [job.seed for job in jobs] == sorted(job.seed for job in jobs)
    assert [job.arm for job in jobs[:6]] == ["naive", "classes"] * 3


def test_a_multiple_of_the_budget_is_the_baseline_s_alone(study: Path) -> None:
    steps = {job.setting: job.config.train.steps for job in list_jobs(load_study(study))}
    assert steps == {"decay_b = 0": 4, "decay_b = 0.001": 4, "lord, 2 x the budget": 8}


@pytest.mark.parametrize(("commit", "left"), [("abc1234", 4), ("abc1234+", 6)])
def test_the_queue_makes_what_no_run_of_the_same_recipe_has(
    commit: str, left: int, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, recipe, started = list_jobs(load_study(study)), {**RECIPE, "commit": commit}, []

    def finish(module: str, told: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        started.append(Path(told["folder"]).name)
        write_measured(Path(told["folder"]), told["recipe"], {"swap": 1.0})
        return subprocess.CompletedProcess([], 0, "", "")

    monkeypatch.setattr(studies.run, "call", finish)
    monkeypatch.setattr(studies.run, "find_recipe", lambda workers: recipe)
    for job in jobs[:2]:
        write_measured(tmp_path / job.name, recipe, {"swap": 1.0})
    for job in jobs[2:4]:
        write_measured(tmp_path / job.name, {**recipe, "commit": "0000000"}, {"swap": 0.0})
    assert run_queue(jobs + jobs, tmp_path, recipe, workers=2)
    assert sorted(started) == sorted(job.name for job in jobs[len(jobs) - left :])
    assert all(read_measured(tmp_path / job.name, recipe) == {"swap": 1.0} for job in jobs)


def test_the_queue_stops_when_the_code_changes(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies.run, "find_recipe", lambda workers: {**RECIPE, "commit": "0000000"})
    with pytest.raises(SystemExit, match="the code has changed"):
        run_queue(list_jobs(load_study(study)), tmp_path, RECIPE, workers=2)


def test_a_recipe_is_the_last_commit_of_the_code_and_knows_what_is_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        return subprocess.run(["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True).stdout.strip()

    def commit(file: str) -> str:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(file)
        git("add", "-A")
        git("commit", "-m", file)
        return git("log", "-1", "--format=%h")

    monkeypatch.setattr(studies.run, "ROOT", tmp_path)
    git("init")
    code = commit("src/code.py")
    commit("docs.txt")
    commit("studies/table.md")
    (tmp_path / "studies" / "table.md").write_text("a new table")
    assert find_recipe(2)["commit"] == code
    (tmp_path / "src" / "new.py").touch()
    assert find_recipe(2)["commit"] == f"{code}+"
    assert commit("studies/base.yaml") == find_recipe(2)["commit"] != code


def test_differences_are_paired_by_seed() -> None:
    own = Row("arm", "own", {0: {"swap": 1.5}, 1: {"swap": 2.7}, 2: {"swap": 3.4}, 3: {"swap": 9.0}})
    reference = Row("arm", "reference", {2: {"swap": 3.0}, 0: {"swap": 1.0}, 1: {"swap": 2.0}, 4: {"swap": 0.0}})
    apart = own.difference(reference, "swap")
    assert apart is not None
    expected = stats.ttest_rel([1.5, 2.7, 3.4], [1.0, 2.0, 3.0]).confidence_interval(0.95)
    assert (apart.n, apart.low, apart.high) == (3, pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_table_names_its_recipe_and_what_is_missing(study: Path, tmp_path: Path) -> None:
    loaded = load_study(study)
    for job in list_jobs(loaded):
        if (job.setting, job.seed) != ("decay_b = 0.001", 1):
            swap = 0.5 + (0.25 if job.setting == "decay_b = 0.001" else 0.0)
            write_measured(tmp_path / job.name, RECIPE, {"swap": swap, "steps": 4})
    rows, missing = gather(loaded, tmp_path, RECIPE)
    text = report("small", loaded, rows, missing, RECIPE)
    assert "Commit abc1234, `python studies/run.py small`; torch 2.0; a machine." in text
    assert "Not measured, since the run failed: default, decay_b = 0.001, seed 1, budget in steps." in text
    assert "| default | decay_b = 0 | 0.500 ± 0.000 | – | 4 |" in text
    assert "| default | decay_b = 0.001 | +0.250 | – |" in text
    assert "| default | lord, 2 x the budget | +0.000 ± 0.000 | – |" in text


def test_no_table_is_written_over_by_nothing(study: Path, tmp_path: Path) -> None:
    (study / "table.md").write_text("an earlier one")
    with pytest.raises(SystemExit, match="no run was finished"):
        studies.table.main({"study": str(study), "runs": str(tmp_path), "recipe": RECIPE})
    assert (study / "table.md").read_text() == "an earlier one"


@pytest.mark.parametrize("method", [None, "lord"])
def test_a_job_trains_with_its_own_losses(method: str | None, tmp_path: Path) -> None:
    config = tiny()
    result = studies.job.train(tmp_path / "run", config, method)
    assert (result.run, result.step, result.interrupted) == (tmp_path / "run", 4, False)
    written = RunFolder.open(result.run)[1]
    assert (written == config) == (method is None)
    assert (written.model, written.train, written.data) == (config.model, config.train, config.data)


def test_a_measured_run_has_all_that_tables_show(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies.job, "NUM_MIXES", 40)
    run = shutil.copytree(trained, tmp_path / "run")  # what is measured is noted in the run
    values = studies.job.measure(run, tiny(), METRICS)
    assert {"swap", "swap_best", "reconstruction", "class", "expression", "tilt", "copies", "dark"} <= set(values)
    for key in ("pixels", "pixels_real"):
        assert sum(values[key]) == pytest.approx(1, abs=1e-5)
        below = sum(values[key][: studies.job.NUM_BINS // 2])
        assert key == "pixels_real" or 100 * below == pytest.approx(values["dark"], abs=0.1)


def test_one_command_makes_a_study_and_its_table(study: Path, tmp_path: Path) -> None:
    command = [sys.executable, studies.run.__file__, "small", "--studies", str(study.parent)]
    one = {"seeds": [0], "keys": {}, "baselines": {}, "settings": {"default": {"only": {}}}, "reference": "only"}
    (study / "study.yaml").write_text(yaml.safe_dump(one))
    ended = subprocess.run([*command, "--runs", str(tmp_path / "runs")], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 runs to make, of 1" in ended.stdout
    assert find_recipe(2)["commit"] in (study / "table.md").read_text()
    assert (study / "figure.png").is_file()
    assert (study / "pixels.png").is_file()


def test_a_job_s_name_tells_all_apart_that_changes_its_numbers() -> None:
    about: dict[str, Any] = {"arm": "a", "setting": "s", "budget": "steps", "seed": 0}
    job = Job(**about, method=None, config=tiny(), metrics=METRICS)
    assert job.name == Job(**{**about, "arm": "b"}, method=None, config=tiny(), metrics=METRICS).name
    assert job.name != Job(**about, method="lord", config=tiny(), metrics=METRICS).name
    assert job.name != Job(**about, method=None, config=tiny(), metrics=METRICS[:1]).name
