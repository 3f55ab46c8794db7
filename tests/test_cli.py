import contextlib
import io
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chiasm.cli
from chiasm.cli import COMMANDS, main
from chiasm.cli._parser import join_lists
from chiasm.cli.fit import COMMON, SETTINGS
from chiasm.presets import PRESETS

TINY = ["--preset", "tiny", "--steps", "2"]


def size_px(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_fit_prints_the_swap_error_beside_copying_and_the_figures(tmp_path: Path, capsys) -> None:
    assert main(["fit", *TINY, "--runs", str(tmp_path), "--name", "x"]) == 0
    printed = capsys.readouterr().out
    for word in ("swap", "copying x1", "copying x2", str(tmp_path / "x" / "figures" / "swap_matrix.png")):
        assert word in printed


def test_fit_goes_on_with_a_run(tmp_path: Path, capsys) -> None:
    assert main(["fit", *TINY, "--runs", str(tmp_path), "--name", "x"]) == 0
    assert main(["fit", "--resume", str(tmp_path / "x"), "--steps", "3"]) == 0
    assert "3 steps" in capsys.readouterr().out


def test_budget_on_the_command_line_replaces_the_preset_s(tmp_path: Path) -> None:
    main(["fit", *TINY, "--runs", str(tmp_path), "--name", "x", "--max-minutes", "0.01"])
    text = (tmp_path / "x" / "config.yaml").read_text()
    assert "max_minutes: 0.01" in text
    assert "steps: 2" in text


def test_budgets_in_two_spellings_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--max-minutes", "5", "--train.steps=3"]) == 2
    assert "--train.steps: --max-minutes replaces every other budget; give --steps" in capsys.readouterr().err


def test_a_config_file_of_a_run_makes_the_same_run(tmp_path: Path) -> None:
    main(["fit", *TINY, "--runs", str(tmp_path), "--name", "x", "--loss.noise_b", "0.5"])
    config = tmp_path / "x" / "config.yaml"
    assert main(["fit", "--config", str(config), "--runs", str(tmp_path), "--name", "y"]) == 0
    assert (tmp_path / "y" / "config.yaml").read_text() == config.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "--preset", "nosuch"], ["preset", "compact"]),
        (["fit", "nosuch-folder"], ["nosuch-folder", "does not exist"]),
        (["fit", "--train.batch_size", "7"], ["train.batch_size", "even"]),
        (["fit", "--model.side_px", "60"], ["model.side_px", "64"]),
        (["info", "nosuch"], ["nosuch", "no model"]),
        (["mix", "nosuch", "a.png"], ["two images"]),
        (["fit", "--resume", "nosuch"], ["nosuch", "no run"]),
    ],
)
def test_a_user_s_mistake_is_one_line_without_a_traceback(arguments: list[str], words: list[str], capsys) -> None:
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert all(word in message for word in words)


@pytest.mark.parametrize("arguments", [["fit", "--train.lrr", "1"], ["fit", "--train.lr", "fast"]])
def test_unknown_keys_and_wrong_types_are_named(arguments: list[str], capsys) -> None:
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert arguments[1].removeprefix("--") in message


@pytest.mark.parametrize(
    ("command", "flag", "meant"),
    [("fit", "--max-minute", "--max-minutes"), ("fit", "--train.noise_b", "--loss.noise_b"), ("mix", "--pres", None)],
)
def test_a_flag_that_does_not_exist_is_told_with_the_one_that_was_meant(command, flag, meant, capsys) -> None:
    assert main([command, flag, "5"]) == 2
    told = capsys.readouterr().err
    assert flag in told
    assert (f"; did you mean {meant}?" in told) if meant else ("did you mean" not in told)


def test_a_training_that_diverges_is_a_mistake_too(tmp_path: Path, capsys) -> None:
    assert main(["fit", *TINY, "--steps", "30", "--train.lr", "1e38", "--runs", str(tmp_path)]) == 2
    assert "chiasm: step" in capsys.readouterr().err


def test_an_error_of_anybody_else_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(options: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("chiasm.cli.info.run", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(["info", str(tmp_path)])


def test_every_file_is_a_command_and_tells_what_it_is_for(capsys) -> None:
    folder = Path(chiasm.cli.__file__).parent
    assert {path.stem for path in folder.glob("*.py") if path.stem[0] != "_"} == set(COMMANDS)
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    assert "exit status: 0 done" in printed
    for name in COMMANDS:
        assert f"    {name:<20}{import_module(f'chiasm.cli.{name}').HELP}\n" in printed


def printed_by(*arguments: str) -> str:
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stdout(io.StringIO()) as printed:
        main(list(arguments))
    assert ended.value.code == 0
    return printed.getvalue()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_short_and_in_plain_words(command: str) -> None:
    printed = printed_by(command, "--help")
    assert len(printed.splitlines()) <= 74
    for never in ("<class", "null", "Path to a configuration", "type:", "[options] "):
        assert never not in printed, never


def test_help_of_fit_shows_what_people_use_and_help_all_every_setting() -> None:
    short, whole = printed_by("fit", "--help"), printed_by("fit", "--help-all")
    for usual in ("--preset", "--max-minutes", "--resume", "--help-all", *(f"--{key} " for key in COMMON)):
        assert usual in short, usual
    for key in SETTINGS:
        assert f"  --{key} " in whole, key
        assert (f"  --{key} " in short) == (key in COMMON), key
    assert "<class" not in whole
    assert "null" not in whole


def test_help_shows_the_defaults_of_the_chosen_preset() -> None:
    for preset in ("tiny", "photo"):
        assert f"(default: {PRESETS[preset]().model.code_b})" in printed_by("fit", "--preset", preset, "--help")


def test_version_and_no_command_at_all() -> None:
    assert printed_by("--version") == f"chiasm {version('chiasm')}\n"
    assert printed_by() == printed_by("--help")
    done = subprocess.run([sys.executable, "-m", "chiasm", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == printed_by("--version")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "--steps", "three"], "--steps: got 'three'; give a whole number."),
        (["fit", "--max-minutes", "long"], "--max-minutes: got 'long'; give a number."),
        (["fit", "--data.avatars.mirror", "maybe"], "--data.avatars.mirror: got 'maybe'; give true or false."),
        (["fit", "--gan.kind", "x"], "--gan.kind: got 'x'; give one of 'hinge', 'lsgan'."),
        (["fit", "--gan.widths", "x"], "--gan.widths: got 'x'; give a whole number."),
        (["sweep", "--seeds", "0", "x"], "--seeds: got 'x'; give a whole number."),
    ],
)
def test_a_value_of_a_wrong_type_is_told_in_plain_words(arguments: list[str], message: str, capsys) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"chiasm: {message}\n"


def test_mix_writes_one_image_or_a_whole_matrix(trained: Path, tmp_path: Path, capsys) -> None:
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((20, 30, 3), 90 * i, dtype=np.uint8)).save(path)
    assert main(["mix", str(trained), *paths, "-o", str(tmp_path / "one.png")]) == 0
    assert size_px(tmp_path / "one.png") == (16, 16)
    assert main(["mix", str(trained), "--a", *paths, "--b", paths[1], "-o", str(tmp_path / "all.png")]) == 0
    assert size_px(tmp_path / "all.png") == (2 * 18 - 2, 3 * 18 - 2)
    assert main(["mix", str(trained), paths[0], str(tmp_path / "nosuch.png")]) == 2
    assert capsys.readouterr().err == f"chiasm: {tmp_path / 'nosuch.png'}: the file does not exist.\n"


def test_info_tells_the_codes_and_sizes(trained: Path, capsys) -> None:
    assert main(["info", str(trained)]) == 0
    printed = capsys.readouterr().out
    assert "code A     8 numbers" in printed
    assert "encoder_a" in printed


def test_data_describes_a_folder(tmp_path: Path, capsys) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray(np.full((9, 9, 3), 40 * i, dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "dog" / "broken.png").write_bytes(b"no image")
    sheet = tmp_path / "sheet.png"
    assert main(["data", str(tmp_path), "-o", str(sheet)]) == 0
    printed = capsys.readouterr().out
    assert "broken.png" in printed
    assert sheet.exists()


def test_data_shows_what_the_codes_may_be_told_to_ignore(tmp_path: Path, capsys) -> None:
    sheet = tmp_path / "sheet.png"
    flags = ["--side-px", "16", "--augmentations", "-o", str(sheet)]
    rng = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    assert main(["data", str(tmp_path), *flags]) == 0
    assert "as they are, rotate, flip, shift, zoom, colour, light, blur" in capsys.readouterr().out
    assert size_px(sheet) == (5 * 18 - 2, 8 * 18 - 2)


def test_a_folder_without_classes_trains_without_labels_and_says_so(tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    for i in range(24):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    small = "--model.side_px 16 --model.encoder_widths 8 8 --model.generator_widths 8 8 8 --train.num_val_pairs 2"
    flags = ["--runs", str(tmp_path / "runs"), "--steps", "2", "--train.batch_size", "4", *small.split()]
    assert main(["fit", str(tmp_path), *flags]) == 0
    told = capsys.readouterr()
    assert "--preset unlabelled" in told.err
    assert "rotate: code A moves by" in told.out
    assert main(["fit", str(tmp_path), "--preset", "compact", *flags]) == 2
    assert "no two images of one class" in capsys.readouterr().err


def test_words_after_a_flag_that_takes_a_list_are_one_list() -> None:
    words = [
        "fit",
        "--data.a_ignores",
        "rotate",
        "flip",
        "--seed",
        "3",
        "--data.b_ignores",
        "[blur]",
        "--model.dense_widths",
        "8",
    ]
    joined = join_lists(words, ("--data.a_ignores", "--data.b_ignores", "--model.dense_widths"))
    expected = ["fit", "--data.a_ignores", "[rotate, flip]", "--seed", "3", "--data.b_ignores", "[blur]"]
    assert joined == [*expected, "--model.dense_widths", "[8]"]
    assert join_lists(["fit", "--data.a_ignores"], ("--data.a_ignores",)) == ["fit", "--data.a_ignores", "[]"]


def test_help_and_import_load_nothing_heavy() -> None:
    script = (
        "import sys\nimport chiasm\nfrom chiasm.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'PIL', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
