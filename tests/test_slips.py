"""Everyday slips and bad input: each is refused in one line with exit status 2, or does what was meant."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.cli import main
from chiasm.overrides import to_dict

SECONDS = 60


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """What hangs, as on a pipe that nobody writes to, fails."""

    def give_up(*_: object) -> None:
        raise AssertionError(f"hangs: nothing after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def write_images(folder: Path, names: list[str], seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / name)


def make_photos(folder: Path) -> Path:
    """12 images of 3 people."""
    write_images(folder, [f"{person}/{i}.png" for person in ("ann", "ben", "cem") for i in range(4)])
    return folder


YAML = {
    "null": "model: null\n",
    "list": "train: [1, 2]\n",
    "top": "- 1\n",
    "alias": "model: &m {side_px: 16}\nloss: *m\n",
    "bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "deep": "a: " + "[" * 3000 + "\n",
    "broken": "train: {steps: [\n",
    "nan": "preset: tiny\nloss: {gamma: .nan}\n",
    "unknown": "preset: nosuch\n",
    "python": "train: !!python/object/apply:os.getcwd []\n",
    "typo": "train: {stepps: 3}\n",
}


@pytest.fixture(scope="session")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image beyond Pillow's limit, which fills a few kilobytes."""
    path = tmp_path_factory.mktemp("huge") / "huge.png"
    Image.new("1", (20_000, 20_000)).save(path)
    return path


@pytest.fixture
def desk(tmp_path: Path, huge: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in that holds what slips are made of."""
    monkeypatch.chdir(tmp_path)
    make_photos(tmp_path / "photos")
    write_images(tmp_path, ["a.png", "b.png"])
    (tmp_path / "no_image.png").write_text("text")
    (tmp_path / "file").write_text("text")
    (tmp_path / "huge.png").symlink_to(huge)
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe", "pipe.png", "pipe.yaml"):
        os.mkfifo(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("socket")
    (tmp_path / "tabled").mkdir()
    write_images(tmp_path / "tabled", ["1.png", "2.png"])
    (tmp_path / "tabled" / "metadata.csv").mkdir()
    (tmp_path / "piped").mkdir()
    os.mkfifo(tmp_path / "piped" / "metadata.csv")
    write_images(tmp_path / "piped", ["1.png", "2.png"])
    for name, text in YAML.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with exit status 2 and one line that holds all words, those parted by ' | '."""
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("chiasm: ")
    assert message.count("\n") == 1, message
    assert len(message) < 1000
    for word in words.split(" | "):
        assert word in message


# One slip a line: the command, MODEL being a trained run; and the words that the line must hold.
COMMANDS = [
    ("fit --pres faces", "--pres"),
    ("fit --res runs/x", "--res"),
    ("fit --step 5", "--step"),
    ("fit --conf p.yaml", "--conf"),
    ("fit --train.ste 5", "--train.ste"),
    ("sweep --pres tiny --seeds 0 1", "--pres"),
    ("evaluate MODEL --nu 5", "--nu"),
    ("mix MODEL a.png b.png --out x.png", "--out"),
    ("data photos --side 8", "--side"),
    ("report runs --outp x.html", "--outp"),
    ("nosuch", "nosuch"),
    ("fit --preset", "--preset"),
    ("fit --preset tiny --resume MODEL", "--preset | --resume"),
    ("fit --config nosuch.yaml", "nosuch.yaml | does not exist"),
    ("fit --config photos", "photos | not a file"),
    ("fit --config pipe.yaml", "pipe.yaml | not a file"),
    ("fit --config /dev/zero", "/dev/zero | not a file"),
    ("fit --config a.png", "a.png | not YAML"),
    ("fit --config null.yaml", "model | give settings"),
    ("fit --config list.yaml", "train | give settings"),
    ("fit --config top.yaml", "top.yaml | holds no settings"),
    ("fit --config alias.yaml", "alias.yaml | line 2 | alias"),
    ("fit --config bomb.yaml", "bomb.yaml | alias"),
    ("fit --config deep.yaml", "deep.yaml | deep"),
    ("fit --config broken.yaml", "broken.yaml"),
    ("fit --config nan.yaml", "loss.gamma | not finite"),
    ("fit --config unknown.yaml", "preset | nosuch | compact"),
    ("fit --config python.yaml", "python.yaml"),
    ("fit --config typo.yaml", "train.stepps"),
    ("fit --model pipe.yaml", "--model | a section"),
    ("fit --data.avatars={}", "--data.avatars | a section"),
    ("fit file", "file | give a folder"),
    ("fit pipe", "pipe | give a folder"),
    ("data pipe", "pipe | give a folder"),
    ("data socket", "socket | give a folder"),
    ("data /dev/zero", "/dev/zero | give a folder"),
    ("data nosuch", "nosuch | does not exist"),
    ("data tabled", "metadata.csv | not a file"),
    ("data piped", "metadata.csv | not a file"),
    ("data photos --side-px 20000", "20000 | 4096"),
    ("data photos --side-px 0", "0 | 4096"),
    ("data photos -o folder.png", "folder.png | is no file"),
    ("data photos -o pipe.png", "pipe.png | is no file"),
    ("data photos -o sheet.xyz", "sheet.xyz | .png"),
    ("data photos -o file/sheet.png", "file"),
    ("data photos --side-px eight", "side_px | eight"),
    ("mix MODEL", "no image"),
    ("mix MODEL a.png", "one image alone, a.png"),
    ("mix MODEL --a a.png", "--a or --b alone"),
    ("mix MODEL a.png b.png --a a.png", "--a"),
    ("mix MODEL a.png b.png --a a.png --b b.png", "--a"),
    ("mix MODEL a.png nosuch.png", "nosuch.png | does not exist"),
    ("mix MODEL a.png no_image.png", "no_image.png | not an image"),
    ("mix MODEL a.png huge.png", "huge.png | too large"),
    ("mix MODEL a.png photos", "photos | not a file"),
    ("mix MODEL a.png pipe", "pipe | not a file"),
    ("mix MODEL pipe.png b.png", "pipe.png | not a file"),
    ("mix MODEL /dev/zero b.png", "/dev/zero | not a file"),
    ("mix MODEL a.png b.png -o folder.png", "folder.png | is no file"),
    ("mix MODEL a.png b.png -o mix", "'mix' | .png"),
    ("mix MODEL a.png b.png -o mix.tga", "mix.tga | .png"),
    ("mix MODEL a.png b.png -o file/mix.png", "file"),
    ("mix photos a.png b.png", "photos | no model"),
    ("evaluate MODEL -o photos", "photos | is no file"),
    ("evaluate MODEL -o results.csv", "results.csv | .json"),
    ("evaluate MODEL -o /dev/null", "/dev/null | is no file"),
    ("evaluate MODEL pipe", "pipe | give a folder"),
    ("evaluate MODEL --num 0", "num"),
    ("evaluate MODEL --num 1000000000000", "num | 1000000"),
    ("evaluate MODEL --seed -1", "seed | -1"),
    ("report runs -o report.pdf", "report.pdf | .html"),
    ("report MODEL -o photos", "photos | is no file"),
    ("report nosuch", "nosuch"),
    ("fit photos --runs file", "--runs | file"),
    ("sweep photos --runs file --seeds 0 1", "--runs | file"),
    ("fit photos --name ..", "--name | '..'"),
    ("fit photos --name .", "--name | '.'"),
    ("fit photos --name ../x", "--name | ../x"),
    ("fit photos --name x/y", "--name | x/y"),
    ("fit photos --name x\\y", "--name"),
    ("fit photos --name /tmp/x", "--name | /tmp/x"),
    ("fit photos --name=", "--name | ''"),
    ("fit photos --name .hidden", "--name | .hidden"),
    ("fit photos --name CON", "--name | CON"),
    ("fit photos --name " + 101 * "x", "--name | 101 characters"),
    ("sweep photos --preset tiny --seeds 0 1 --name ..", "--name | '..'"),
    ("sweep photos --preset tiny --seeds 0 -1", "train.seed | -1"),
    ("sweep photos --preset nosuch --seeds 0 1", "preset | nosuch"),
    ("sweep --preset tiny --data.source photos photos/", "data.source | twice"),
    ("sweep --preset tiny --data.source photos ./photos", "data.source | twice"),
    ("sweep --preset tiny --loss.gamma 1 nan", "loss.gamma | not finite"),
    ("info file", "file | no model"),
    ("info pipe", "pipe | no model"),
]


@pytest.mark.parametrize(("command", "words"), COMMANDS, ids=[command[:60] for command, _ in COMMANDS])
def test_a_slip_is_one_line(command: str, words: str, desk: Path, trained: Path, capsys) -> None:
    arguments = [str(trained) if word == "MODEL" else word for word in command.split(" ")]
    refused(arguments, words, capsys)


# One setting a line: key, value, words of the refusal.
SETTINGS = [
    ("train.seed", "-1", "0 to 9223372036854775807"),
    ("train.seed", str(2**63), "0 to 9223372036854775807"),
    ("train.seed", "9" * 4000, "train.seed"),
    ("data.split_seed", "-1", "data.split_seed"),
    ("train.epochs", "1e308", "1000000"),
    ("train.epochs", ".inf", "not finite"),
    ("train.epochs", ".nan", "not finite"),
    ("train.max_minutes", ".inf", "not finite"),
    ("train.max_minutes", "0", "positive"),
    ("train.steps", "1000000000000000", "1000000000000"),
    ("train.lr", ".inf", "not finite"),
    ("train.lr", ".nan", "not finite"),
    ("train.lr", "-.inf", "not finite"),
    ("train.betas", "[0.5,.nan]", "not finite"),
    ("train.batch_size", "1000000000", "65536"),
    ("train.batch_size", "-2", "65536"),
    ("train.num_val_pairs", "100000000", "65536"),
    ("train.slice_size", "-1", "65536"),
    ("train.devices", "0", "1024"),
    ("train.devices", "100000", "1024"),
    ("train.devices", "1000", "give at most"),
    ("train.accelerator", "gpuu", "gpuu"),
    ("model.side_px", "1000000000", "4096"),
    ("model.side_px", "0", "4096"),
    ("model.code_a", "1000000000000", "65536"),
    ("model.code_b", "0", "65536"),
    ("model.encoder_widths", "[100000]", "16384"),
    ("model.generator_widths", str([8] * 13), "12"),
    ("model.dense_widths", "[0]", "16384"),
    ("model.rgb_kernel", "1001", "63"),
    ("model.rgb_kernel", "31", "odd number, at most the side"),
    ("data.avatars.num_people", "1000000000", "100000"),
    ("data.avatars.tilts_deg", "[1000]", "-90 to 90"),
    ("data.held_out", ".nan", "not finite"),
    ("data.held_out", "0", "fraction"),
    ("data.source", "", "data.source"),
    ("loss.gamma", ".nan", "not finite"),
    ("loss.weight_swap", ".inf", "not finite"),
    ("loss.noise_b", "-1", ">= 0"),
    ("loss.shift_b", "0.6", "0.5"),
    ("gan.weight", ".nan", "not finite"),
    ("gan.ramp", "2", "0 to 1"),
    ("gan.widths", "[1000000]", "4096"),
]


@pytest.mark.parametrize(("key", "value", "words"), SETTINGS)
def test_a_setting_out_of_its_limits_is_named(key: str, value: str, words: str, desk: Path, capsys) -> None:
    refused(["fit", "photos", "--preset", "tiny", f"--{key}={value}"], f"{key} | {words}", capsys)


def test_networks_that_fill_the_memory_are_refused(desk: Path, capsys) -> None:
    sizes = ["--model.code_a", "65536", "--model.encoder_widths", "[16384,16384]"]
    refused(["fit", "photos", "--preset", "tiny", *sizes], "weights | GB | narrower", capsys)


def test_a_discriminator_with_more_halvings_than_the_side_is_refused(desk: Path, capsys) -> None:
    gan = ["--gan.weight", "1", "--gan.widths", "[4,4,4,4,4]"]
    refused(["fit", "photos", "--preset", "tiny", *gan], "gan.widths | 5 halvings | 16 px", capsys)


def test_an_accelerator_that_is_not_here_is_refused(desk: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    refused(["fit", "photos", "--preset", "tiny", "--train.accelerator", "cuda"], "train.accelerator | cuda", capsys)


# A model's config.json as somebody else may have written it: its one entry, and words of the refusal.
HOSTILE = [
    ('"side_px": 1000000000', "model.side_px | 1 to 4096"),
    ('"side_px": -16', "model.side_px | 1 to 4096"),
    ('"code_a": 1000000000000', "model.code_a | 1 to 65536"),
    ('"rgb_kernel": 1000001', "model.rgb_kernel | 1 to 63"),
    (f'"encoder_widths": {[8] * 5000}', "model.encoder_widths | at most 12"),
    ('"dense_widths": [16384, 16384, 16384, 16384, 16384, 16384]', "weights | GB | narrower"),
    (f'"code_b": {"9" * 4000}', "model.code_b | 1 to 65536"),
    (f'"code_b": {"9" * 9000}', "cannot be read | digits"),
    ('"side_px": Infinity', "side_px | give int"),
    ('"code_a": NaN', "code_a | give int"),
    ('"code_a": null', "code_a | give int"),
    ('"code_a": "' + "x" * 100_000 + '"', "code_a | give int"),
    ('"code_a": ' + "[" * 900 + "]" * 900, "code_a | give int"),
    ('"code_a": ' + "[" * 100_000 + "]" * 100_000, "cannot be read | recursion"),
    ('"encoder_a": {"a": 1}', "encoder_a | 'spatial'"),
    ('"fit": {"crop": 1}', "fit | 'crop'"),
    ('"code_c": 1', "code_c | no such key"),
    ("", "model.safetensors"),
]


@pytest.mark.parametrize(("entry", "words"), HOSTILE, ids=[entry[:40] for entry, _ in HOSTILE])
def test_info_refuses_a_hostile_model(entry: str, words: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "config.json").write_text("{" + entry + "}")
    refused(["info", str(tmp_path)], f"{tmp_path} | {words}", capsys)


@pytest.mark.parametrize(
    ("command", "number", "words"),
    [
        (["fit", "photos", "--preset", "tiny"], errno.ENOSPC, "No space left"),
        (["fit", "photos", "--preset", "tiny"], errno.EROFS, "Read-only"),
        (["mix", "MODEL", "a.png", "b.png"], errno.ENOSPC, "No space left | free some space"),
        (["mix", "MODEL", "a.png", "b.png"], errno.EROFS, "Read-only | another folder"),
        (["evaluate", "MODEL", "--num", "4", "--metrics", "swap", "-o", "r.json"], errno.ENOSPC, "No space left"),
        (["data", "photos", "--side-px", "8"], errno.ENOSPC, "No space left"),
        (["sweep", "photos", "--preset", "tiny", "--seeds", "0", "1"], errno.ENOSPC, "No space left"),
    ],
)
def test_a_file_that_cannot_be_written(
    command: list[str], number: int, words: str, desk: Path, trained: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("chiasm.files.os.fsync", full)
    assert main([str(trained) if word == "MODEL" else word for word in command]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("chiasm: ")
    assert all(word in message for word in words.split(" | "))


def test_a_folder_without_permission_is_named(desk: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("chiasm.data.files.os.scandir", closed)
    refused(["data", "photos"], "photos: Permission denied | permissions", capsys)


def test_an_image_without_permission_is_named(
    desk: Path, trained: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("chiasm.data.decode.Image.open", closed)
    refused(["mix", str(trained), "a.png", "b.png"], "a.png | may not be read", capsys)


def test_an_error_of_the_file_system_that_names_no_file_is_a_mistake_of_this_program(monkeypatch) -> None:
    def broken(_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("chiasm.cli.info.run", broken)
    with pytest.raises(OSError, match="Bad file descriptor"):
        main(["info", "x"])


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
        assert "trained_on" not in self.evaluated(run, "others")

    def test_nothing_new_is_refused(self, run: Path, capsys) -> None:
        for i, name in enumerate(json.loads((run / "split.json").read_text())["train"]):
            Path("copies").mkdir(exist_ok=True)
            (Path("copies") / f"{i}.png").write_bytes(Path("photos", name).read_bytes())
        capsys.readouterr()
        assert main(["evaluate", str(run), "copies"]) == 2
        assert "trained on all of these" in capsys.readouterr().err.splitlines()[-1]
