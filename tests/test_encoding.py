import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm import inference
from chiasm.checkpoint import save_model
from chiasm.cli import main
from chiasm.data import cache, save_image
from chiasm.data.written import WRITTEN
from chiasm.encoding import EncodingError, encode, encode_source
from chiasm.mixing import Mixer
from chiasm.networks import CrossModel

pq = pytest.importorskip("pyarrow.parquet")

NUM = 21
BROKEN = 13


@pytest.fixture
def saved(model: CrossModel, tmp_path: Path) -> Path:
    save_model(model, tmp_path / "anna" / "model")
    return tmp_path / "anna"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs of two classes, and one outside of both whose name is no text."""
    folder = tmp_path / "photos"
    for i in range(NUM):
        path = folder / ("b" if i % 2 else "c") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 255, (20, 17, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts of several batches, decoded in threads."""
    monkeypatch.setattr(encode, "PART", 8)
    monkeypatch.setattr(inference, "BATCH", 4)
    monkeypatch.setattr(cache, "FEW", 0)
    monkeypatch.setattr("chiasm.data.sources.folder.Folder.chunk_size", 3)


def in_order(photos: Path) -> list[str]:
    return sorted((f"{p.parent.name}/{p.name}" for p in photos.glob("*/*.png")), key=lambda n: (n[0], int(n[2:-4])))


def failures(output: Path) -> list[list[str]]:
    with output.with_suffix(".failed.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.usefixtures("small")
def test_the_rows_are_the_images_in_order_with_the_codes_of_the_mixer(saved: Path, photos: Path) -> None:
    output = photos.parent / "codes.parquet"
    encoded = encode_source(saved, str(photos), output, progress_bar=False)
    table, names = pq.read_table(output), in_order(photos)
    wanted = Mixer.load(saved).encode([photos / name for name in names])
    assert encoded == (NUM, 0, output.with_suffix(".failed.csv"))
    assert table["name"].to_pylist() == names
    assert table["class"].to_pylist() == [name[0] for name in names]
    assert np.array_equal(np.array(table["a"].to_pylist(), np.float32), wanted.a)
    assert np.array_equal(np.array(table["b"].to_pylist(), np.float32), wanted.b)
    assert [str(table.schema.field(name).type) for name in "ab"] == [
        f"fixed_size_list<element: float>[{width}]" for width in (5, 7)
    ]
    about = json.loads(table.schema.metadata[b"chiasm"])
    assert {"model": "anna", "code_a": 5, "code_b": 7, "side_px": 16, "fit": "crop"}.items() <= about.items()
    assert failures(output) == [["name", "reason"]]
    assert {path.name for path in photos.parent.iterdir()} == {"anna", "photos", "codes.parquet", "codes.failed.csv"}


@pytest.mark.usefixtures("small")
def test_code_b_is_rounded_as_it_is_handed_out(model: CrossModel, photos: Path) -> None:
    model.noise_b = 0.5
    save_model(model, photos.parent / "m")
    encode_source(photos.parent / "m", str(photos), photos.parent / "c.parquet", progress_bar=False)
    b = np.array(pq.read_table(photos.parent / "c.parquet")["b"].to_pylist())
    assert np.array_equal(b, np.round(b))


@pytest.mark.usefixtures("small")
def test_a_broken_image_is_in_the_side_table_and_nowhere_else(saved: Path, photos: Path, capsys) -> None:
    names = in_order(photos)
    (photos / names[BROKEN]).write_bytes(b"broken")
    save_image(Image.new("RGB", (9, 9)), photos / "mixed.png")
    assert main(["encode", str(saved), str(photos), "-o", str(photos.parent / "out" / "c.parquet")]) == 0
    output = photos.parent / "out" / "c.parquet"
    table = pq.read_table(output)
    kept = names[:BROKEN] + names[BROKEN + 1 :]
    assert table["name"].to_pylist() == kept
    wanted = Mixer.load(saved).encode([photos / name for name in kept])
    assert np.allclose(np.array(table["a"].to_pylist()), wanted.a, atol=1e-5)
    assert failures(output)[1] == ["mixed.png", WRITTEN]
    assert failures(output)[2:] == [[names[BROKEN], "not an image in a format that Pillow knows"]]
    assert "20 images" in (printed := capsys.readouterr().out)
    assert "c.failed.csv" in printed


@pytest.mark.usefixtures("small")
def test_images_without_a_class_and_names_that_are_no_text(saved: Path, photos: Path) -> None:
    Image.new("RGB", (9, 9)).save(photos / "alone.png")
    try:
        Image.new("RGB", (9, 9)).save(photos / "\udcff.png")
    except OSError:
        pytest.skip("this system has no such names")
    encode_source(saved, str(photos), photos.parent / "c.parquet", progress_bar=False)
    table = pq.read_table(photos.parent / "c.parquet")
    classes = dict(zip(table["name"].to_pylist(), table["class"].to_pylist(), strict=True))
    assert classes["alone.png"] is None
    assert classes["\\udcff.png"] is None
    assert len(classes) == NUM + 2


@pytest.mark.skipif(sys.platform == "win32", reason="no fork here")
def test_killed_anywhere_it_goes_on_to_the_same_bytes() -> None:
    script = Path(__file__).with_name("encode_kills.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 20
    assert "all the same bytes" in done.stdout


def stop_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets so many batches be encoded, then stops; returns the numbers of images of all batches."""
    encode, seen = inference.encode, []

    def counted(networks: CrossModel, images: np.ndarray) -> object:
        if len(seen) == batches:
            raise KeyboardInterrupt
        seen.append(len(images))
        return encode(networks, images)

    monkeypatch.setattr(inference, "encode", counted)
    return seen


def test_workers_of_a_cluster_are_told_whole_paths(saved: Path, photos: Path, monkeypatch) -> None:
    def told(model: str, source: str, *_: object) -> None:
        raise EncodingError(f"{model} {source}")

    monkeypatch.setattr(encode, "encode_on_ray", told)
    monkeypatch.chdir(saved.parent)
    with pytest.raises(EncodingError, match=re.escape(f"{saved} {photos}")):
        encode_source(saved.name, os.path.relpath(photos), saved.parent / "codes.parquet", on="ray", progress_bar=False)


@pytest.mark.usefixtures("small")
def test_what_was_written_is_not_encoded_again(saved: Path, photos: Path, monkeypatch) -> None:
    command = ["encode", str(saved), str(photos), "-o", str(photos.parent / "c.parquet")]
    with monkeypatch.context() as patch:
        stop_after(5, patch)
        assert main(command) == 130
    assert not (photos.parent / "c.parquet").exists()
    with monkeypatch.context() as patch:
        seen = stop_after(-1, patch)
        assert main(command) == 0
    assert sum(seen) == NUM - 16
    table, names = pq.read_table(photos.parent / "c.parquet"), in_order(photos)
    assert table["name"].to_pylist() == names
    wanted = Mixer.load(saved).encode([photos / name for name in names])
    assert np.array_equal(np.array(table["a"].to_pylist(), np.float32), wanted.a)


@pytest.mark.usefixtures("small")
def test_a_damaged_part_is_made_anew_or_refused(saved: Path, photos: Path, monkeypatch) -> None:
    output = photos.parent / "c.parquet"
    parts = output.with_name("c.parquet.parts")
    for damage, words in ((slice(0, 50), None), (slice(0, 0), None), ("flip", "000000.parquet is damaged; remove it")):
        with monkeypatch.context() as patch:
            stop_after(5, patch)
            assert main(["encode", str(saved), str(photos), "-o", str(output)]) == 130
        content = bytearray((parts / "000000.parquet").read_bytes())
        if damage == "flip":
            content[len(content) // 4] ^= 255
        (parts / "000000.parquet").write_bytes(content if damage == "flip" else content[damage])
        if words:
            with pytest.raises(EncodingError, match=words):
                encode_source(saved, str(photos), output, progress_bar=False)
            (parts / "000000.parquet").unlink()
        assert encode_source(saved, str(photos), output, progress_bar=False).num == NUM
        output.unlink()


def told(command: list[str | Path], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a refusal."""
    capsys.readouterr()
    assert main([str(word) for word in command]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("chiasm: ")
    return message


@pytest.mark.usefixtures("small")
def test_parts_of_another_model_or_other_images_are_refused(saved: Path, photos: Path, monkeypatch, capsys) -> None:
    output = photos.parent / "c.parquet"
    command = ["encode", saved, photos, "-o", output]
    with monkeypatch.context() as patch:
        stop_after(5, patch)
        assert main([str(word) for word in command]) == 130
    other = Mixer.load(saved).model
    next(other.encoder_b.parameters()).data.add_(1)
    save_model(other, photos.parent / "other" / "anna" / "model")
    other_command = ["encode", photos.parent / "other" / "anna", photos, "-o", output]
    assert "holds codes of another model; give another -o, or begin again: --overwrite" in told(other_command, capsys)
    Image.new("RGB", (9, 9)).save(photos / "new.png")
    assert "holds codes of other images" in told(command, capsys)
    for path in photos.glob("*/*.png"):
        if path.stem != "3":
            path.unlink()
    assert main([*map(str, other_command), "--overwrite"]) == 0
    table = pq.read_table(output)
    wanted = Mixer.load(photos.parent / "other" / "anna").encode([photos / "b" / "3.png", photos / "new.png"])
    assert np.allclose(np.array(table["b"].to_pylist()), wanted.b, atol=1e-5)
    assert not output.with_name("c.parquet.parts").exists()


def test_an_earlier_file_stays_unless_it_is_given_up(saved: Path, photos: Path, capsys) -> None:
    output = photos.parent / "c.parquet"
    output.write_bytes(b"mine")
    command = ["encode", saved, photos, "-o", output]
    assert "c.parquet exists; give another -o, or write it again: --overwrite" in told(command, capsys)
    output.with_name("c.parquet.parts").mkdir()
    assert "c.parquet exists" in told(command, capsys)
    assert output.read_bytes() == b"mine"
    assert main([*map(str, command), "--overwrite"]) == 0
    assert pq.read_metadata(output).num_rows == NUM


def test_two_processes_do_not_write_one_file(saved: Path, photos: Path, capsys) -> None:
    output = photos.parent / "c.parquet"
    output.with_name("c.parquet.parts").mkdir()
    with encode._locked(output.with_name("c.parquet.parts"), output):
        assert "being written by another process" in told(["encode", saved, photos, "-o", output], capsys)


def test_what_cannot_be_is_refused(saved: Path, photos: Path, monkeypatch, capsys) -> None:
    output = photos.parent / "c.parquet"
    assert "does not exist" in told(["encode", saved, photos / "nosuch", "-o", output], capsys)
    assert "holds no model" in told(["encode", photos, photos, "-o", output], capsys)
    assert "ends in .parquet" in told(["encode", saved, photos, "-o", "codes.csv"], capsys)
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        assert "pip install 'chiasm[scale]'" in told(["encode", saved, photos, "-o", output], capsys)
    for path in photos.glob("*/*.png"):
        path.write_bytes(b"")
    assert "no image can be used; " in told(["encode", saved, photos, "-o", output], capsys)
    assert len(failures(output)) == NUM + 1
    assert not output.exists()
    assert not output.with_name("c.parquet.parts").exists()
