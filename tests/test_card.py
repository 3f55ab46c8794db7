import re
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from chiasm.card import public_source, write_card
from chiasm.cli import main
from chiasm.presets import tiny
from chiasm.runs import RunFolder
from chiasm.training import fit


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "mine"))


def card_of(run: Path) -> str:
    return (run / "model" / "README.md").read_text(encoding="utf-8")


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_training_leaves_a_card_with_all_that_a_stranger_asks(tmp_path: Path) -> None:
    trained = fit(tiny(), runs=tmp_path, progress_bar=False).run  # other tests may have evaluated the shared one
    card = card_of(trained)
    assert front_matter(card)["library_name"] == "chiasm"
    assert front_matter(card)["license"] == "unknown"
    headings = ["Data", "Training", "Evaluation", "Limits", "Licence of the data and the weights"]
    assert re.findall(r"^## (.+)$", card, re.MULTILINE) == headings
    assert "| source | avatars |" in card
    assert "4 steps in" in card
    assert "| swap | " in card
    assert "- Alarm: copy-through" in card  # after four steps nothing else can be true
    assert "Not evaluated since" in card
    assert "\n\n\n" not in card
    for name in re.findall(r"!\[.*?\]\((.+?)\)", card):
        with Image.open(trained / "model" / name) as figure:
            assert figure.width > 16
    settings = yaml.safe_load(re.findall(r"```yaml\n(.+?)```", card, re.DOTALL)[0])
    assert settings == yaml.safe_load((trained / "config.yaml").read_text())


def test_the_counts_are_those_of_the_split(trained: Path) -> None:
    counts = re.findall(r"\| images \| (.+?) \|", card_of(trained))[0]
    assert sum(map(int, re.findall(r"\d+", counts))) == 96


def test_evaluating_puts_its_table_into_the_card_and_keeps_what_the_user_wrote(run: Path, capsys) -> None:
    card = run / "model" / "README.md"
    text = card_of(run).replace("license: unknown", "license: cc0-1.0").partition("## Licence")[0]
    card.write_text(text + "## Licence of the data and the weights\n\nMine; all people agreed.\n", encoding="utf-8")
    assert main(["evaluate", str(run), "--num", "8", "--metrics", "swap", "shortcuts"]) == 0
    printed = capsys.readouterr().out.partition("\n\nresults:")[0]
    assert f"```text\n{printed}\n```" in card_of(run)
    assert "Not evaluated" not in card_of(run)
    assert front_matter(card_of(run))["license"] == "cc0-1.0"
    assert card_of(run).endswith("## Licence of the data and the weights\n\nMine; all people agreed.\n")
    alarms = re.findall(r"^- Alarm: (.+)$", card_of(run), re.MULTILINE)
    assert alarms
    assert len(alarms) == len(set(alarms))


def test_results_written_elsewhere_leave_the_card_alone(run: Path, tmp_path: Path) -> None:
    before = card_of(run)
    words = ["--num", "8", "--metrics", "swap", "-o", str(tmp_path / "other.json")]
    assert main(["evaluate", str(run), *words]) == 0
    assert card_of(run) == before


def test_a_run_that_is_begun_again_has_a_card_of_its_own(run: Path) -> None:
    (run / "model" / "README.md").write_text("license: mine\n", encoding="utf-8")
    words = ["--name", run.name, "--runs", str(run.parent), "--overwrite"]
    assert main(["fit", "--preset", "tiny", "--steps", "2", *words]) == 0
    assert front_matter(card_of(run))["license"] == "unknown"
    assert "2 steps in" in card_of(run)


@pytest.mark.parametrize(
    ("source", "shown"),
    [("/home/anna/photos", "photos"), ("hf:/data/faces", "faces"), ("hf:user/faces", "hf:user/faces")],
)
def test_no_folder_of_the_owner_s_machine_is_shown(source: str, shown: str, run: Path) -> None:
    assert public_source(source) == shown
    folder, config = RunFolder.open(run)
    text = (run / "config.yaml").read_text().replace("source: avatars", f"source: {source}")
    text = text.replace("pairs: null", "pairs: /home/anna/pairs.csv").replace("on: class", "on: pairs")
    (run / "config.yaml").write_text(text)
    folder, config = RunFolder.open(run)
    write_card(folder, config, alarms=[])
    assert f"| source | {shown} |" in card_of(run)
    assert "pairs: pairs.csv" in card_of(run)
    assert "/home" not in card_of(run)
    assert "/data" not in card_of(run)


def test_a_card_that_is_no_text_is_written_again(run: Path) -> None:
    (run / "model" / "README.md").write_bytes(b"\x80\x04\x95 no text")
    write_card(*RunFolder.open(run), alarms=[])
    assert front_matter(card_of(run))["license"] == "unknown"
