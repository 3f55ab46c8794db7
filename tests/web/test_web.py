"""The page's parts without a browser: what is refused, what is said, how a job ends."""

import base64
import io
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from chiasm.checkpoint import load_model, save_model
from chiasm.cli import main
from chiasm.evaluation import evaluate_run
from chiasm.evaluation.metrics.shortcuts import alarms
from chiasm.mixing import Mixer
from chiasm.web.folder import ServedFolder
from chiasm.web.job import STOPPED, Job
from chiasm.web.mix import MixTab, Side
from chiasm.web.pictures import NUM_NEAREST, examples, nearest, trained_images
from chiasm.web.showing import message, table
from chiasm.web.train import HERE, RENDERED, UPLOADED, TrainTab
from chiasm.web.trust import TrustTab
from chiasm.web.uploads import MAX_GROUP, MAX_PIXELS, keep_group, read_pictures, refuse, safe_name
from chiasm.web.words import alarms_of_training, plain_alarms, rows_of_evaluation, rows_of_training
from tests.web.serving import serving

SOUND = {"diversity": 1.0, "copy_x1": 0.0, "copy_x2": 0.0, "hidden_noise": 0.0, "hidden_8bit": 0.0}


def bomb(path: Path, width: int, height: int) -> Path:
    """A PNG of a few bytes whose header promises a great many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    image = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + image)
    return path


@pytest.mark.parametrize(("width", "height"), [(9000, 9000), (100_000, 100_000), (MAX_PIXELS + 1, 1)])
def test_a_bomb_is_refused_by_its_header(width: int, height: int, tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.png", width, height)
    started = time.perf_counter()
    assert "64 megapixels" in refuse(path)
    assert time.perf_counter() - started < 1


def test_what_is_no_image_or_too_large_is_refused_by_name(tmp_path: Path, photos: list[Path]) -> None:
    (tmp_path / "page.png").write_text("<script>alert(1)</script>")
    (tmp_path / "figure.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    )  # would start Ghostscript
    (tmp_path / "large.jpg").write_bytes(bytes(21_000_000))
    paths = [*photos, *(tmp_path / name for name in ("page.png", "figure.jpg", "large.jpg"))]
    pictures, refused = read_pictures([str(path) for path in paths], 16, "crop", 8)
    assert [picture.name for picture in pictures] == ["anna.jpg", "ben.png"]
    assert [line.partition(":")[0] for line in refused] == ["page.png", "figure.jpg", "large.jpg"]
    assert "limit is 20 MB" in refused[2]
    assert len(read_pictures([str(photos[0])] * 9, 16, "crop", 8)[0]) == 8


def test_a_group_stays_inside_its_collection(tmp_path: Path, photos: list[Path]) -> None:
    collection = tmp_path / "uploads" / safe_name("../../etc")
    num, refused = keep_group(collection, "/../../root", [*map(str, photos), str(photos[0])])
    assert (num, refused) == (3, [])
    kept = sorted(path.relative_to(tmp_path / "uploads").as_posix() for path in tmp_path.glob("uploads/**/*.*"))
    assert kept == ["etc/root/anna-2.jpg", "etc/root/anna.jpg", "etc/root/ben.png"]
    assert safe_name("..") == safe_name("") == "unnamed"


def test_a_group_has_a_limit(tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.web.uploads.MAX_GROUP", 3)
    assert MAX_GROUP > 3
    assert keep_group(tmp_path / "c", "g", [str(photos[0])] * 2)[0] == 2
    num, refused = keep_group(tmp_path / "c", "g", [str(photos[0])] * 2)
    assert num == 1
    assert "holds 3" in refused[0]


def test_an_upload_that_was_kept_as_a_group_is_nowhere_else(tmp_path: Path, photos: list[Path]) -> None:
    served = ServedFolder.of(tmp_path / "new")
    served.temporary.mkdir(parents=True)
    uploads = [shutil.copy(path, served.temporary) for path in photos]
    tab = TrainTab(served, Job(served.own), local=True)
    assert "3 images are now in the group anna" in tab.add("mine", "anna", [*uploads, str(photos[0])])[0]
    assert list(served.temporary.iterdir()) == []
    assert photos[0].is_file()
    assert "not here any more" in read_pictures(uploads, 16, "crop", 8)[1][0]
    tab.delete("mine")
    assert [path for path in served.own.rglob("*") if path.is_file()] == []


def test_a_photograph_of_a_telephone_names_the_extra_that_reads_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("chiasm.web.uploads.FORMATS", {"JPEG": ".jpg"})
    (tmp_path / "a.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    assert "chiasm[heif]" in refuse(tmp_path / "a.HEIC")
    without = (
        "import sys; sys.modules['pillow_heif'] = None; from chiasm.web import uploads as u; print(u.FORMATS, u.LIMITS)"
    )
    said = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=True).stdout
    assert "WEBP" in said
    assert "HEI" not in said


def test_served_is_a_run_a_folder_of_runs_or_a_new_folder(runs: Path, tmp_path: Path) -> None:
    assert ServedFolder.of(runs).models == ["trained"]
    by_run = ServedFolder.of(runs / "trained")
    assert (by_run.root, by_run.chosen) == (runs, "trained")
    assert ServedFolder.of(tmp_path / "new").models == []


@pytest.mark.parametrize(("path", "words"), [("photos", "holds no runs"), ("file.png", "no folder")])
def test_what_is_not_served(path: str, words: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("photos/a.png", "file.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    assert main(["serve", str(tmp_path / path)]) == 2
    assert words in capsys.readouterr().err


def test_a_port_in_use_and_a_missing_extra_are_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(tmp_path), "--port", str(port)]) == 2
    assert f"--port {port}" in capsys.readouterr().err
    (tmp_path / "web").mkdir()
    before = dict(os.environ)
    with FileLock(tmp_path / "web" / "serve.lock"):
        assert main(["serve", str(tmp_path), "--port", "0"]) == 2
    assert f"{tmp_path} is served by another process" in capsys.readouterr().err
    assert dict(os.environ) == before  # or the process would stay away from the network
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["serve", str(tmp_path)]) == 2
    assert "pip install 'chiasm[web]'" in capsys.readouterr().err


def test_examples_are_held_out_and_the_nearest_training_image_of_one_is_itself(runs: Path) -> None:
    served = ServedFolder.of(runs)
    folder, config = served.open("trained")
    trained = trained_images(served, folder, config)
    assert {p.name for p in examples(folder, config)}.isdisjoint(p.name for p in trained.pictures)
    rows = nearest(trained.b[:3], trained.b)
    assert rows.shape == (3, NUM_NEAREST)
    distances = ((trained.b[:3, None] - trained.b[rows]) ** 2).sum(axis=2)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert (distances[:, 0] == 0).all()


def test_uploads_are_cut_once_whatever_the_model_s_fit(runs: Path, photos: list[Path]) -> None:
    model = load_model(runs / "trained")
    model.fit = "close"
    save_model(model, runs / "trained" / "model")
    tab = MixTab(ServedFolder.of(runs))
    side, _ = tab.upload("trained", [str(path) for path in photos], Side())
    shown = tab.mix("trained", side, side, False)
    download = base64.b64decode(shown.rpartition("image/png;base64,")[2].partition('"')[0])
    with Image.open(io.BytesIO(download)) as image:
        np.testing.assert_array_equal(image.convert("RGB"), Mixer.load(runs / "trained").sheet(photos, photos))


@pytest.mark.parametrize("content", ["{", "[1]", '{"test": {"swap_accuracy": {"class": {"mix": 1}}}}'])
def test_results_that_cannot_be_used_are_told(content: str, runs: Path) -> None:
    (runs / "trained" / "results.json").write_text(content, encoding="utf-8")
    assert "measure it again" in TrustTab(ServedFolder.of(runs), Job(runs / "web")).show("trained")


def test_alarms_of_the_training_stand_where_the_evaluation_has_not_looked_for_any(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate_run(runs / "trained", num=12, metrics=["swap"], progress_bar=False)
    monkeypatch.setattr("chiasm.web.trust.alarms_of_training", lambda row: [f"An alarm of {len(row) > 0}."])
    assert "An alarm of True." in TrustTab(ServedFolder.of(runs), Job(runs / "web")).show("trained")
    evaluate_run(runs / "trained", num=12, metrics=["shortcuts"], progress_bar=False)
    assert "An alarm of True." not in TrustTab(ServedFolder.of(runs), Job(runs / "web")).show("trained")


def test_a_model_of_rendered_people_says_what_it_makes_of_photographs(runs: Path, photos: list[Path]) -> None:
    tab = MixTab(ServedFolder.of(runs))
    assert "train one on photographs" in tab.upload("trained", [str(photos[0])], Side())[1]
    assert tab.upload("trained", [], Side())[1] == ""


def test_one_image_on_each_side_is_nothing_to_blend(runs: Path, photos: list[Path]) -> None:
    tab = MixTab(ServedFolder.of(runs))
    one, two = (tab.upload("trained", list(map(str, photos[:num])), Side())[0] for num in (1, 2))
    assert "Give two images" in tab.blend("trained", one, one, 3)
    assert "from anna.jpg to ben.png" in tab.blend("trained", two, one, 3)


def test_words_for_good_and_bad_numbers() -> None:
    good = {"swap/swap": 0.05, "swap/copy_x1": 0.4, "swap/copy_x2": 0.5, "swap/reconstruction": 0.05}
    verdicts = [row[1].partition(":")[0] for row in rows_of_training(good)]
    assert verdicts == ["good", "good"]
    bad = {"swap/swap": 0.4, "swap/copy_x1": 0.4, "swap/copy_x2": 0.5, "swap/reconstruction": 0.5}
    assert [row[1].partition(":")[0] for row in rows_of_training(bad)] == ["bad", "bad"]
    copies = {f"copy_x{i}{true}": {"mean": share} for i in (1, 2) for true, share in (("", 0.08), ("_true", 0.08))}
    assert next(rows_of_evaluation({"shortcuts": copies}))[1:] == ("good", "16%", "16% would be right")


@pytest.mark.parametrize("broken", [{"diversity": 0.0}, {"copy_x1": 1.0}, {"copy_x2": 1.0}, {"hidden_8bit": 1.0}])
def test_every_alarm_has_words_without_settings(broken: dict[str, float]) -> None:
    values = SOUND | broken
    assert alarms(SOUND) == []
    told = plain_alarms(alarms(values))
    assert len(told) == 1
    assert "--" not in told[0]
    assert len(told[0]) > 40
    assert alarms_of_training({f"shortcut/{key}": value for key, value in values.items()}) == told


def test_nothing_that_a_user_named_becomes_markup() -> None:
    name = '"><img src=x onerror=alert(1)>'
    for html in (message([name]), table(["head"], [[name]], name)):
        assert "<img" not in html


def test_a_training_is_stopped_saved_and_gone_on_with(tmp_path: Path) -> None:
    job = Job(tmp_path / "runs" / "web")
    words = ["fit", "--preset", "tiny", "--max-minutes", "5", "--name", "x", "--runs", str(tmp_path / "runs")]
    assert job.start("train", "x", words, tmp_path / "cache")
    assert not job.start("train", "y", words, tmp_path / "cache")
    wait_for(lambda: "training:" in job.progress().said)
    job.stop()
    job.stop()  # a second signal would kill it
    job.end()
    assert job.progress().status == STOPPED
    assert any((tmp_path / "runs" / "x" / "checkpoint").glob("*/"))
    assert job.start("train", "nosuch", ["fit", "--resume", str(tmp_path / "nosuch")], tmp_path / "cache")
    wait_for(lambda: not job.progress().running)
    assert job.progress().said.startswith("chiasm: ")


def test_the_page_s_timer_never_rests_and_waits_for_no_answer(runs: Path, home: Path) -> None:
    with serving(runs, home) as (url, _):
        page = httpx.get(url + "/config").json()
    ticks = [event for event in page["dependencies"] if any(kind == "tick" for _, kind in event["targets"])]
    assert {event["trigger_mode"] for event in ticks} == {"multiple"}
    assert [part["props"]["active"] for part in page["components"] if part["type"] == "timer"] == [True]


def test_watching_sends_what_is_new_alone(runs: Path) -> None:
    tab = TrainTab(ServedFolder.of(runs), Job(runs / "web"), local=True)
    seen, model, *_ = tab.watch(None, None, None)
    assert model.value == "trained"
    assert tab.watch(seen, None, None) == gr.skip()


@pytest.mark.parametrize(
    ("local", "chosen", "words"),
    [
        (False, (HERE, "c", "/", "tiny", 1), "at least two groups"),  # no folder of the server for others
        (True, (HERE, "c", "no/such", "tiny", 1), "no/such is no folder"),
        (True, (UPLOADED, "../..", "", "tiny", 1), "at least two groups"),
        (True, (RENDERED, "c", "", "tiny", 0), "Minutes"),
        (True, (RENDERED, "c", "", "nosuch", 1), "nosuch"),
    ],
)
def test_a_training_that_cannot_begin_says_why(local: bool, chosen: tuple, words: str, runs: Path) -> None:
    served = ServedFolder.of(runs)
    job = Job(served.own)
    assert words in TrainTab(served, job, local).start(*chosen)
    assert not job.progress().kind


TRAIN_UNTIL_THE_PAGE_ENDS = """
import sys, time
from pathlib import Path
from starlette.testclient import TestClient
from chiasm.mixing import Mixer
from chiasm.web.folder import ServedFolder
from chiasm.web.job import Job
from chiasm.web.server import make_app
served = ServedFolder.of(Path(sys.argv[1]))
job = Job(served.own)
words = ["fit", "--preset", "tiny", "--max-minutes", "5", "--name", "x", "--runs", str(served.root)]
with TestClient(make_app(served, job, local=True, host="127.0.0.1"), "http://localhost") as client:
    assert client.get("/").status_code == 200
    assert job.start("train", "x", words, served.cache)
    while "training:" not in job.progress().said:
        assert job.progress().running
        time.sleep(0.1)
print(job.progress().status)
"""


def test_the_page_s_end_stops_and_saves_its_training(runs: Path) -> None:
    # In a process of its own: gradio leaves event loops open, which pytest takes for errors.
    script = [sys.executable, "-c", TRAIN_UNTIL_THE_PAGE_ENDS, str(runs)]
    done = subprocess.run(script, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["saving", str(STOPPED)]
    assert any((runs / "x" / "checkpoint").glob("*/"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_page_and_nothing_is_left(number: int, runs: Path, home: Path) -> None:
    with serving(runs, home) as (address, process):
        assert httpx.get(address).status_code == 200
        process.send_signal(number)
        process.wait(30)
    assert not any(home.iterdir())
    assert not (runs / "web" / "temporary").exists()


def test_other_sites_and_other_names_are_refused(runs: Path, home: Path) -> None:
    with serving(runs, home) as (address, _):
        assert httpx.get(address, headers={"Host": "evil.example"}).status_code == 403
        assert httpx.post(f"{address}/gradio_api/upload", headers={"Origin": "http://evil.example"}).status_code == 403
        page = httpx.get(address)
        assert page.status_code == 200
        assert "default-src 'self'" in page.headers["content-security-policy"]
        large = {"files": ("large.jpg", bytes(21_000_000))}
        assert httpx.post(f"{address}/gradio_api/upload", files=large).status_code in (400, 413)
        for path in (runs / "trained" / "config.yaml", "/etc/passwd"):
            assert httpx.get(f"{address}/gradio_api/file={path}").status_code == 403


def wait_for(condition, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)
