"""What was silently wrong does what was meant, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from chiasm.cli import main
from chiasm.overrides import to_dict
from tests.slips.slip import refused, write_images


@pytest.mark.parametrize("output", ["mix.png", "new/deep/mix.png", "mix.jpg", "MIX.JPEG"])
def test_the_folder_of_an_output_is_made(output: str, desk: Path, trained: Path) -> None:
    assert main(["mix", str(trained), "a.png", "b.png", "-o", output]) == 0
    with Image.open(output) as image:
        assert image.size == (16, 16)


def config_of(run: str) -> dict:
    from chiasm.runs import RunFolder

    return to_dict(RunFolder.open(Path("runs") / run)[1])


def test_a_preset_in_a_file_is_obeyed_below_the_file_and_the_flags(desk: Path) -> None:
    Path("p.yaml").write_text("preset: tiny\nloss.gamma: 0.25\ntrain:\n  steps: 2\n  lr: 0.002\n")
    assert main(["fit", "photos", "--train.lr", "0.003", "--config", "p.yaml", "--name", "x"]) == 0
    config = config_of("x")
    assert config["model"]["side_px"] == 16
    assert config["loss"]["gamma"] == 0.25
    assert config["train"]["steps"] == 2
    assert config["train"]["lr"] == 0.003


def test_a_source_holds_from_every_folder(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["fit", "photos/", "--preset", "tiny", "--steps", "2", "--name", "x"]) == 0
    assert config_of("x")["data"]["source"] == str(desk / "photos")
    monkeypatch.chdir(desk / "photos")
    assert main(["fit", "--resume", "../runs/x", "--steps", "3"]) == 0


def test_what_chiasm_wrote_is_not_read_as_data(desk: Path, trained: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(desk / "photos")
    before = described(capsys)
    assert main(["fit", ".", "--preset", "tiny", "--steps", "2", "--name", "x"]) == 0
    assert main(["mix", str(trained), "ann/0.png", "ben/0.png"]) == 0
    assert main(["mix", str(trained), "ann/0.png", "ben/0.png", "-o", "ann/mix.jpg"]) == 0
    assert main(["report", "runs/x", "-o", "pages/report.html"]) == 0
    after = described(capsys)
    num = len([*Path().glob("pages/**/*.png"), *Path().glob("*.png"), *Path().glob("ann/mix.jpg")])
    assert num > 4
    added = {f"left out: {num} images that chiasm wrote"} | {line for line in after if line.startswith("ignored: ")}
    assert set(after) == set(before) | added
    assert "1 folder of a run or sweep" in " ".join(added)


def described(capsys) -> list[str]:
    """What `chiasm data .` says; the contact sheet lies there from the second time on."""
    capsys.readouterr()
    assert main(["data", ".", "--side-px", "16"]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_folder_of_own_images_alone_is_refused(desk: Path, trained: Path, capsys) -> None:
    assert main(["mix", str(trained), "a.png", "b.png", "-o", "own/1.png"]) == 0
    refused(["data", "own"], "own | written by chiasm", capsys)


def test_a_run_as_data_is_refused(desk: Path, trained: Path, capsys) -> None:
    refused(["data", str(trained)], "no image | run or sweep", capsys)


def test_every_ignored_file_is_counted(desk: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.data.files.HAS_HEIF", False)
    for name in ("1.heic", "2.HEIC", "notes.txt", "README", "3.heif"):
        Path("photos", name).touch()
    said = "ignored: 1 file without an ending, 2 .heic files (pip install 'chiasm[heif]' reads them), 1 .heif file"
    assert main(["data", "photos", "--side-px", "16"]) == 0
    assert said in capsys.readouterr().out
    Path("photos", "more.txt").touch()  # the cache knows nothing of it
    assert main(["fit", "photos", "--preset", "tiny", "--steps", "2"]) == 0
    printed = capsys.readouterr().err
    assert said in printed
    assert "2 .txt files" in printed


def test_heic_files_are_read_where_pillow_heif_is(desk: Path, capsys) -> None:
    heif = pytest.importorskip("pillow_heif")
    with Image.open("a.png") as image:
        heif.from_pillow(image).save("photos/ann/5.heic")
    assert main(["data", "photos", "--side-px", "16"]) == 0
    assert "13 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    "header", ["file_name,Class", "FILE_NAME,CLASS", "File, class ", "Filename,cLaSS", "file name,Class"]
)
def test_the_columns_of_the_class_and_the_file_have_any_spelling(header: str, desk: Path, capsys) -> None:
    names = [f"{i}.png" for i in range(4)]
    write_images(Path("flat"), names)
    rows = [f"{name},{'dog' if i < 2 else 'cat'}" for i, name in enumerate(names)]
    Path("flat", "metadata.csv").write_text("\n".join([header, *rows]))
    assert main(["data", "flat", "--side-px", "8"]) == 0
    printed = capsys.readouterr().out
    assert "classes: 2" in printed
    assert "content" not in printed


@pytest.mark.parametrize("header", ["file_name,class,Class", "file,File_Name,class"])
def test_a_column_twice_in_different_spellings_is_refused(header: str, desk: Path, capsys) -> None:
    write_images(Path("flat"), ["1.png", "2.png"])
    Path("flat", "metadata.csv").write_text(f"{header}\n1.png,x,y\n")
    refused(["data", "flat"], "metadata.csv | a name of its own", capsys)


class TestGrownFolder:
    """chiasm evaluate RUN DATA never calls held out what the run was trained on."""

    @pytest.fixture
    def run(self, desk: Path) -> Path:
        write_images(desk / "photos", [f"{p}/{i}.png" for p in ("ann", "ben", "cem") for i in range(4, 8)], seed=3)
        assert main(["fit", "photos", "--preset", "tiny", "--steps", "2", "--name", "x"]) == 0
        return desk / "runs" / "x"

    def evaluated(self, run: Path, source: str) -> dict:
        assert main(["evaluate", str(run), source, "--metrics", "shortcuts", "--num", "8", "-o", "r.json"]) == 0
        return json.loads(Path("r.json").read_text())["about"]

    def num_trained(self, run: Path) -> int:
        return len(json.loads((run / "split.json").read_text())["train"])

    def test_by_name_and_by_content_in_the_grown_folder(self, run: Path, capsys) -> None:
        write_images(Path("photos"), ["ann/new1.png", "ben/new2.png"], seed=5)
        trained = json.loads((run / "split.json").read_text())["train"][0]
        Path("photos", "cem", "copy.png").write_bytes(Path("photos", trained).read_bytes())
        about = self.evaluated(run, "photos")
        assert about["trained_on"] == self.num_trained(run) + 1
        assert about["num_images"]["held_out_samples"] == 24 + 3 - about["trained_on"]
        assert f"left out: {about['trained_on']} images" in capsys.readouterr().out

    def test_by_content_in_another_folder(self, run: Path) -> None:
        for i, path in enumerate(sorted(Path("photos").rglob("*.png"))):
            Path("copies").mkdir(exist_ok=True)
            (Path("copies") / f"{i}.png").write_bytes(path.read_bytes())
        write_images(Path("copies"), ["new1.png", "new2.png"], seed=5)
        assert self.evaluated(run, "copies")["trained_on"] == self.num_trained(run)

    def test_by_name_where_the_run_s_own_images_have_gone(self, run: Path) -> None:
        Path("photos").rename("moved")
        assert self.evaluated(run, "moved")["trained_on"] == self.num_trained(run)

    def test_other_images_of_the_same_names_are_new(self, run: Path) -> None:
        names = [str(path.relative_to("photos")) for path in Path("photos").rglob("*.png")]
        write_images(Path("others"), sorted(names), seed=9)
        assert self.evaluated(run, "others")["trained_on"] == 0

    def test_nothing_new_is_refused(self, run: Path, capsys) -> None:
        for i, name in enumerate(json.loads((run / "split.json").read_text())["train"]):
            Path("copies").mkdir(exist_ok=True)
            (Path("copies") / f"{i}.png").write_bytes(Path("photos", name).read_bytes())
        capsys.readouterr()
        assert main(["evaluate", str(run), "copies"]) == 2
        assert "trained on all of these" in capsys.readouterr().err.splitlines()[-1]
