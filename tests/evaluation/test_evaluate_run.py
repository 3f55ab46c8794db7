import json
from pathlib import Path

import pytest

from chiasm.cli import main
from chiasm.config import ConfigError
from chiasm.evaluation import evaluate_run


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
