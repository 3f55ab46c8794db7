import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.cli import main
from chiasm.config import ConfigError
from chiasm.data import ImageSet
from chiasm.evaluation import evaluate_run
from chiasm.evaluation.metrics import METRICS


def test_a_run_is_measured_on_its_own_images_and_split(trained: Path, tmp_path: Path) -> None:
    results, path = evaluate_run(trained, num=12, metrics=["shortcuts", "swap"], progress_bar=False)
    assert path == trained / "results.json"
    assert json.loads(path.read_text()) == results
    path.unlink()
    assert list(results["held_out_samples"]) == ["swap", "shortcuts"]
    assert results["about"]["data"]["source"] == "avatars"
    assert results["about"]["noise_b"] == 1.0
    assert results["about"]["num_images"]["held_out_samples"] == len(
        json.loads((trained / "split.json").read_text())["test"]
    )
    again, path = evaluate_run(
        trained / "model", num=12, metrics=["swap"], output=tmp_path / "r.json", progress_bar=False
    )
    assert path == tmp_path / "r.json"
    assert again["held_out_samples"]["swap"] == results["held_out_samples"]["swap"]


@pytest.mark.parametrize(("options", "words"), [({"num": 0}, "num: got 0"), ({"metrics": ["beauty"]}, "got beauty")])
def test_settings_are_refused_before_anything_is_read(options: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        evaluate_run(tmp_path / "nosuch", **options)


@pytest.mark.usefixtures("quick_fits")
def test_the_command_measures_a_run(trained: Path, tmp_path: Path, capsys) -> None:
    arguments = ["--num", "12", "--part", "val", "--metrics", "swap", "leakage", "-o", str(tmp_path / "r.json")]
    assert main(["evaluate", str(trained), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "swap error" in printed
    assert "shortcuts" not in printed
    assert json.loads((tmp_path / "r.json").read_text())["about"]["part"] == "val"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nosuch"], ["nosuch", "no model"]), (["nosuch", "--num", "0"], ["num: got 0", "positive"])],
)
def test_mistakes_are_explained(arguments: list[str], words: list[str], capsys) -> None:
    assert main(["evaluate", *arguments]) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words)


def test_a_model_without_a_run_needs_images(trained: Path, tmp_path: Path, capsys) -> None:
    lonely = tmp_path / "lonely"
    (trained / "model").rename(lonely)
    try:
        assert main(["evaluate", str(lonely)]) == 2
        assert "give DATA" in capsys.readouterr().err
    finally:
        lonely.rename(trained / "model")


def measured(run: Path, name: str, **options: object) -> dict:
    evaluate_run(run, num=12, metrics=[name], progress_bar=False, **options)
    return json.loads((run / "results.json").read_text())


def test_results_of_other_metrics_stay_and_those_measured_otherwise_get_a_number(trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    swap = measured(run, "swap")
    both = measured(run, "shortcuts")
    assert list(both["held_out_samples"]) == ["swap", "shortcuts"]
    assert both["held_out_samples"]["swap"] == swap["held_out_samples"]["swap"]
    assert "swap error" in (run / "model" / "README.md").read_text()
    again = measured(run, "swap")
    assert again["held_out_samples"] == both["held_out_samples"]
    assert not list(run.glob("results-*"))
    otherwise = measured(run, "swap", part="val")
    assert list(otherwise["held_out_samples"]) == ["swap"]
    assert otherwise["about"]["earlier"] == "results-1.json"
    assert json.loads((run / "results-1.json").read_text()) == again
    (run / "results.json").write_text("[1]")
    assert "shortcuts" in measured(run, "shortcuts", part="val")["held_out_samples"]
    assert (run / "results-2.json").read_text() == "[1]"


def test_reasons_go_with_their_metric(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setitem(METRICS, "swap", METRICS["swap"]._replace(measure=lambda mixed: "no"))
        assert "held_out_samples.swap" in measured(run, "swap")["not measured"]
    results = measured(run, "swap")
    assert "held_out_samples.swap" not in results["not measured"]
    with monkeypatch.context() as patch:
        patch.setitem(METRICS, "swap", METRICS["swap"]._replace(measure=lambda mixed: "no"))
        again = measured(run, "swap")
    assert again["held_out_samples"] == results["held_out_samples"]
    assert "held_out_samples.swap" not in again["not measured"]


def test_numbers_of_other_images_are_not_the_card_s(trained: Path, avatars: ImageSet, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    card = (run / "model" / "README.md").read_text()
    for i, place in enumerate(np.random.default_rng(0).permutation(len(avatars))[:40]):
        folder = tmp_path / "photos" / str(avatars.classes[place])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(avatars.images[place].transpose(1, 2, 0)).save(folder / f"{i}.png")
    measured(run, "shortcuts", source=str(tmp_path / "photos"))
    assert (run / "model" / "README.md").read_text() == card


@pytest.mark.usefixtures("quick_fits")
def test_of_a_model_without_a_run_it_is_not_known_what_it_was_trained_on(trained: Path, tmp_path: Path, capsys) -> None:
    lonely = shutil.copytree(trained / "model", tmp_path / "lonely")
    assert main(["evaluate", str(lonely), "avatars", "--num", "12", "--metrics", "shortcuts"]) == 0
    assert "lonely lies in no run: what it was trained on is not known" in capsys.readouterr().out
    assert json.loads((lonely / "results.json").read_text())["about"]["trained_on"] == "unknown"


@pytest.mark.usefixtures("quick_fits")
def test_images_that_are_all_new_to_a_run_say_so(trained: Path, tmp_path: Path, capsys) -> None:
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 255, (40, 16, 16, 3), dtype=np.uint8)):
        folder = tmp_path / "photos" / str(i % 10)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    arguments = ["--num", "12", "--metrics", "shortcuts", "-o", str(tmp_path / "r.json")]
    assert main(["evaluate", str(trained), str(tmp_path / "photos"), *arguments]) == 0
    about = json.loads((tmp_path / "r.json").read_text())["about"]
    assert about["trained_on"] == 0
    assert f"none of these images; {about['num_images']['train']} of them taught" in capsys.readouterr().out
