import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.checkpoint import load_model
from chiasm.cli import main
from chiasm.config import Config
from chiasm.data import ImageSet, load_split
from chiasm.plots import ORIGINAL_COLOURS
from chiasm.presets import from_preset, tiny
from chiasm.report import make_report
from chiasm.report.compare import Estimate, compare
from chiasm.report.figures import colours, strip_image
from chiasm.report.pairs import Strip, find_best, generate_strip
from chiasm.report.read import Run, read_material
from chiasm.runs import RunFolder
from chiasm.sweep.space import Space
from chiasm.sweep.sweep import sweep
from tests.training.test_fit import SHRUNK_ORIGINAL

GAMMAS = (0.01, 0.4, 1.0, 1.5, 2.0)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two good settings over two seeds, and one that diverges."""
    base = dataclasses.replace(tiny(), train=dataclasses.replace(tiny().train, steps=2, validate_every=1))
    runs = tmp_path_factory.mktemp("runs")
    return sweep(Space.of(base, {"train.lr": [1e-3, 1e-2, 1e38]}), preset="tiny", seeds=[0, 1], runs=runs).folder


def run_of(gamma: float, seed: int, swap: float | None, state: str = "complete", **metrics: float) -> Run:
    config = from_preset("tiny", {"loss": {"gamma": gamma}, "train": {"seed": seed}})
    rows = [{"step": 1.0, "swap/reconstruction": 0.1, **metrics} | ({} if swap is None else {"swap/swap": swap})]
    return Run(RunFolder(Path(f"{gamma}-{seed}")), config, rows, {"state": state}, None)


def strip_of(cycle: float, swap: float, copied: float) -> Strip:
    images = np.zeros((4, 3, 16, 16), dtype=np.uint8)
    pair = [np.array([1.0, value]) for value in (cycle, swap, copied)]
    return Strip(images, images, images, *pair)


def test_the_page_holds_every_run_the_winner_and_nothing_from_the_network(swept: Path, tmp_path: Path) -> None:
    page, *files = make_report([swept], tmp_path / "page.html")
    text = page.read_text()
    for trial in swept.glob("*/trial.json"):
        assert trial.parent.name in text
    assert "Best: lr = 0.01" in text or "Best: lr = 0.001" in text
    assert "failed: step" in text
    assert "chiasm sweep --preset tiny" in text
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)|@import|url\(|https?://|<script", text)
    assert text.count("data:image/png;base64,") >= 2 + 4
    assert {file.suffix for file in files} == {".png", ".pdf"}
    for file in files:
        assert file.stat().st_size > 1000
    assert all(word in text for word in ("torch 2", "cores", "seeds", "train.lr"))


@pytest.mark.usefixtures("quick_fits")
def test_a_run_of_its_own_has_a_page_with_its_evaluation(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "one"
    shutil.copytree(trained, run)
    assert "chiasm evaluate" in make_report([run], tmp_path / "page.html")[0].read_text()
    assert main(["evaluate", str(run), "--num", "20"]) == 0
    text = make_report([run], tmp_path / "page.html")[0].read_text()
    assert "chiasm evaluate" not in text
    swap = json.loads((run / "results.json").read_text())["held_out_samples"]["swap"]["swap"]["l1"]
    assert f"{swap['mean']:.4f} [{swap['low']:.4f}, {swap['high']:.4f}]" in text
    assert "chiasm fit --config" in text


def test_what_a_run_is_missing_is_said(trained: Path, tmp_path: Path, config: Config) -> None:
    for name in ("whole", "no-model", "broken-model", "begun"):
        shutil.copytree(trained, tmp_path / name)
    shutil.rmtree(tmp_path / "no-model" / "model")
    (tmp_path / "broken-model" / "model" / "model.safetensors").write_bytes(b"no weights")
    for path in ("metrics.csv", "split.json"):
        (tmp_path / "begun" / path).unlink()
    for path in ("model", "figures"):
        shutil.rmtree(tmp_path / "begun" / path)
    text = make_report(sorted(p for p in tmp_path.iterdir() if p.is_dir()), tmp_path / "page.html")[0].read_text()
    assert "no model was saved" in text
    assert "as last generated in training" in text
    assert "no validation was noted" in text


def test_settings_of_another_side_than_the_model_s_make_a_page(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("side_px: 16", "side_px: 32"))
    assert (run / "config.yaml").read_text() != text
    assert "data:image/png" in make_report([run], tmp_path / "page.html")[0].read_text()


def test_one_run_that_has_only_begun_makes_a_page(tmp_path: Path, config: Config) -> None:
    run = RunFolder(tmp_path / "begun")
    run.create(config)
    text = make_report([run.path], tmp_path / "page.html")[0].read_text()
    assert "No winner yet" in text


def test_folders_that_are_no_runs_are_refused_in_one_line(tmp_path: Path, capsys) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "neither a run nor a sweep" in capsys.readouterr().err
    (tmp_path / "sweep.json").write_text("{}")
    assert main(["report", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "no run has begun" in message
    assert message.count("\n") == 1


def test_a_run_that_was_stopped_is_not_complete(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    assert [r.state for r in read_material([run]).runs] == ["complete"]
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub(r"\n  steps: \d+", "\n  steps: 100", text))
    [stopped] = read_material([run]).runs
    assert stopped.config.train.steps == 100
    assert stopped.state == "unfinished"
    assert compare([stopped]).winner is None


def test_runs_of_one_seed_count_once() -> None:
    runs = [run_of(0.4, 0, 0.1), run_of(0.4, 0, 0.3), run_of(0.4, 1, 0.4), run_of(0.4, 1, 0.9, "failed")]
    [setting] = compare(runs).settings
    assert setting.values == pytest.approx([0.2, 0.4])
    assert setting.mean("swap/swap") == setting.score


def test_the_true_mix_keeps_what_belongs_to_code_a(trained: Path, avatars: ImageSet) -> None:
    images = dataclasses.replace(avatars, a_contents=("expression",))
    model, split = load_model(trained), load_split(trained / "split.json", avatars)
    swaps = [generate_strip(model, of, split).swap for of in (images, images.by_codes, avatars)]
    np.testing.assert_array_equal(swaps[0], swaps[1])
    assert not np.array_equal(swaps[0], swaps[2], equal_nan=True)


def test_settings_ascend_and_the_lowest_mean_over_seeds_wins() -> None:
    swaps = {1.5: (0.30, 0.34), 0.4: (0.20, 0.22), 10.0: (0.1, None)}
    runs = [
        run_of(gamma, seed, swap, "complete" if swap else "failed")
        for gamma, pair in swaps.items()
        for seed, swap in enumerate(pair)
    ]
    runs += [run_of(0.01, 0, 0.01, "running")]
    result = compare(runs)
    assert result.keys == ["loss.gamma"]
    assert [setting.point["loss.gamma"] for setting in result.settings] == [0.01, 0.4, 1.5, 10.0]
    assert result.truth
    assert result.winner.point == {"loss.gamma": 10.0}
    assert "single seed" in result.verdict
    assert result.best_run.config.loss.gamma == 10.0
    clear = compare([run_of(g, s, g + 1e-4 * s) for g in (0.4, 1.0) for s in range(3)])
    assert "do not overlap" in clear.verdict
    unclear = compare([run_of(g, s, 0.1 * g + s) for g in (0.4, 1.0) for s in range(3)])
    assert "not settled" in unclear.verdict


def test_settings_that_differ_in_much_are_called_by_their_runs() -> None:
    few = compare([run_of(0.4, 0, 0.3), run_of(1.0, 0, 0.2)])
    assert [setting.label for setting in few.settings] == ["gamma = 0.4", "gamma = 1"]
    other = [run_of(2.0, seed, 0.1) for seed in (0, 1)]
    changes = {"model": {"code_a": 9, "code_b": 5}, "loss": {"noise_b": 0.5}, "train": {"lr": 1e-4}}
    other = [
        dataclasses.replace(run, config=from_preset("tiny", changes | {"train": changes["train"] | {"seed": run.seed}}))
        for run in other
    ]
    many = compare([run_of(0.4, 0, 0.3), *other])
    assert {setting.label for setting in many.settings} == {"0.4-0", "2.0-0 and 1 more"}


def test_a_winner_that_copies_is_told_so() -> None:
    result = compare([run_of(0.4, 0, 0.3, **{"swap/copy_x1": 0.2, "swap/copy_x2": 0.5, "shortcut/copy_x1": 0.9})])
    assert "no better than copying x1, which reaches 0.2000" in result.verdict
    assert "90% of its mixes are copies of x1" in result.verdict
    assert "x2" not in result.verdict


def test_without_truth_copies_lose() -> None:
    honest = run_of(0.4, 0, None, **{"shortcut/copy_x1": 0.0})
    copying = run_of(1.0, 0, None, **{"swap/reconstruction": 0.01, "shortcut/copy_x1": 1.0})
    result = compare([honest, copying, run_of(2.0, 0, None, **{"swap/reconstruction": 0.2})])
    assert not result.truth
    assert result.winner.runs == [honest]


def test_interval_over_seeds_is_student_s() -> None:
    estimate = Estimate.of([1.0, 2.0, 3.0])
    # t of 2 degrees of freedom at 97.5 % is 4.303; the standard error is 1 / sqrt(3).
    assert estimate.low == pytest.approx(2 - 4.303 / 3**0.5, abs=1e-3)
    assert Estimate.of([1.0]).low is None
    assert Estimate.of([]) is None


def test_the_best_pair_is_of_the_smallest_sum() -> None:
    a, b = strip_of(0.2, 0.3, 0.0), strip_of(0.1, 0.5, 0.0)
    assert find_best({"a": a, "b": b}) == ("a", 1, True)
    unknown = dataclasses.replace(b, swap=np.array([np.nan, np.nan]))
    assert find_best({"a": a, "b": unknown}) == ("b", 1, False)
    copied = dataclasses.replace(unknown, copied=np.array([1.0, 1.0]))
    assert find_best({"a": a, "b": copied}) == ("a", 1, False)
    assert find_best({}) is None


def test_the_frame_is_red_and_around_its_own_pair_only() -> None:
    sheet = np.asarray(strip_image(strip_of(0, 0, 0), 1)).astype(int)
    red = np.argwhere((sheet == (255, 0, 0)).all(axis=-1))
    assert len(red)
    assert red[:, 1].min() > sheet.shape[1] / 2 - 8
    assert not (np.asarray(strip_image(strip_of(0, 0, 0), None)) == (255, 0, 0)).all(axis=-1).any()


def test_colours_are_the_original_s_and_more_where_it_has_none() -> None:
    assert len(set(colours(5))) == len(ORIGINAL_COLOURS) == 5
    assert colours(3) == colours(5)[:3]
    assert len(set(colours(11))) == 11


def test_the_original_sweep_over_its_gammas_on_celeba_s_layout(tmp_path: Path) -> None:
    """The original study on a made tree, its networks shrunk: one command, one page."""
    rng = np.random.default_rng(0)
    data = tmp_path / "celeba"
    (data / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06d}.jpg" for i in range(1, 25)]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (22, 18, 3), dtype=np.uint8)).save(data / "img_align_celeba" / name)
    (data / "list_eval_partition.txt").write_text("".join(f"{name} {i // 12}\n" for i, name in enumerate(names)))
    (data / "identity_CelebA.txt").write_text("".join(f"{name} {i // 3}\n" for i, name in enumerate(names)))
    shrunk = [f"--model.{key}={json.dumps(value).replace(' ', '')}" for key, value in SHRUNK_ORIGINAL.items()]
    few = ["--train.steps", "2", "--train.batch_size", "4", "--train.num_val_pairs", "2", "--train.compile", "off"]
    gammas = ["--loss.gamma", *map(str, GAMMAS)]
    runs = ["--runs", str(tmp_path / "runs"), "--name", "gamma"]
    assert main(["sweep", str(data), "--preset", "original", *gammas, *shrunk, *few, *runs]) == 0
    assert main(["report", str(tmp_path / "runs" / "gamma"), "-o", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    for gamma, colour in zip(GAMMAS, colours(5), strict=True):
        assert re.search(rf"background:{colour}\"></span>gamma = {gamma:g}<", text)
    assert "label-free criterion" in text
    assert "Framed in red" in text
    material = read_material([tmp_path / "runs" / "gamma"])
    assert {run.config.loss.gamma for run in material.runs} == set(GAMMAS)
    assert {run.config.train.epochs for run in material.runs} == {20.0}
