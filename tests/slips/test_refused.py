"""Everyday slips and bad input: each is refused in one line with exit status 2."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from chiasm.cli import main
from tests.slips.slip import refused

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
    ("data photos --side-px eight", "--side-px | eight"),
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
    ("fit photos --name /a/x", "--name | /a/x"),
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


def test_a_discriminator_of_swaps_that_are_not_drawn_or_of_too_few_pixels_is_refused(desk: Path, capsys) -> None:
    fit = ["fit", "photos", "--preset", "tiny", "--gan.weight", "1"]
    direct = ["--loss.weight_swap", "0", "--loss.weight_direct", "1"]
    refused([*fit, "--gan.judges", "swaps", *direct], "gan.judges | loss.weight_swap | mixes", capsys)
    refused([*fit, "--gan.sees", "features", "--model.side_px", "4"], "gan.sees | 4 px | pixels", capsys)


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
    (f'"code_b": {"9" * 9000}', "config.json is no JSON that can be used | digits"),
    ('"side_px": Infinity', "side_px | give int"),
    ('"code_a": NaN', "code_a | give int"),
    ('"code_a": null', "code_a | give int"),
    ('"code_a": "' + "x" * 100_000 + '"', "code_a | give int"),
    ('"code_a": ' + "[" * 900 + "]" * 900, "code_a | give int"),
    ('"code_a": ' + "[" * 100_000 + "]" * 100_000, "config.json is no JSON that can be used | recursion"),
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
    def closed(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("chiasm.data.decode.Image.open", closed)
    refused(["mix", str(trained), "a.png", "b.png"], "a.png | may not be read", capsys)


def test_an_error_of_the_file_system_that_names_no_file_is_a_mistake_of_this_program(monkeypatch) -> None:
    def broken(_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("chiasm.cli.info.run", broken)
    with pytest.raises(OSError, match="Bad file descriptor"):
        main(["info", "x"])
