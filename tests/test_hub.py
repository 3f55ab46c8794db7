"""push, pull and Mixer.load against a fake endpoint on loopback that keeps repositories in memory."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import huggingface_hub.constants
import numpy as np
import pytest
import torch

from chiasm.checkpoint import CheckpointError, load_model, save_model
from chiasm.cli import main
from chiasm.hub import is_repo
from chiasm.mixing import Mixer

TOKEN = "hf_of_a_test"
COMMIT = "c" * 40
AT_ONCE = "import time; time.sleep = lambda seconds: None; from chiasm.cli import main; raise SystemExit(main())"
"""The command, which does not wait between its tries to reach the Hub."""
FILES = {"config.json", "model.safetensors", "README.md", "swap_matrix.png"}


class Hub(ThreadingHTTPServer):
    """Repositories by name, each with its files; what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:  # noqa: N802
        self.server.asked.append(self.path)
        if "/tree/" in self.path:
            repo, _, rest = self.path.removeprefix("/api/models/").partition("?")[0].partition("/tree/")
            return self.tree(repo, rest.partition("/")[2])
        repo, _, rest = self.path.lstrip("/").partition("/resolve/")
        if repo not in self.server.repos:
            return self.answer(404, X_Error_Code="RepoNotFound")
        file = self.server.repos[repo].get(unquote(rest.partition("/")[2]))
        if file is None:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        return self.answer(200, file, X_Repo_Commit=COMMIT, ETag=f'"{hashlib.sha1(file).hexdigest()}"')

    do_HEAD = do_GET  # noqa: N815

    def tree(self, repo: str, folder: str) -> None:
        start = f"{folder}/" if folder else ""
        files = {path: file for path, file in self.server.repos[repo].items() if path.startswith(start)}
        if folder and not files:
            return self.answer(404, X_Error_Code="EntryNotFound")
        oid = "0" * 40
        entries = [{"type": "file", "path": path, "size": len(file), "oid": oid} for path, file in files.items()]
        return self.answer(200, json.dumps(entries).encode(), Content_Type="application/json")

    def do_POST(self) -> None:  # noqa: N802
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, b'{"error": "Invalid credentials in Authorization header"}')
        if self.path == "/api/repos/create":
            wanted = json.loads(body)
            repo = f"{wanted['organization']}/{wanted['name']}" if "organization" in wanted else wanted["name"]
            self.server.repos.setdefault(repo, {})
            private = wanted.get("visibility") == "private" or wanted.get("private", False)
            self.server.private.setdefault(repo, private)
            return self.json({"url": f"{self.server.url}/{repo}", "id": repo})
        if self.path == "/api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        repo = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            how = {"uploadMode": "regular", "shouldIgnore": False}
            return self.json({"files": [{"path": path, **how} for path in paths]})
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                self.server.repos[repo][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            if entry["key"] == "deletedFile":
                del self.server.repos[repo][entry["value"]["path"]]
        return self.json({"commitUrl": f"{self.server.url}/{repo}/commit/{COMMIT}", "commitOid": COMMIT})

    def json(self, values: dict) -> None:
        self.answer(200, json.dumps(values).encode(), Content_Type="application/json")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The fake Hub, which huggingface_hub takes for the real one, with somebody logged in and an empty cache."""
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.chdir(tmp_path)
        yield server
        server.shutdown()


@pytest.fixture
def shared(hub: Hub, trained: Path) -> Hub:
    """The fake Hub with the tiny model as anna/tiny."""
    hub.repos["anna/tiny"] = {name: (trained / "model" / name).read_bytes() for name in FILES}
    return hub


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.splitlines()[-1].startswith("chiasm: ")
    return message.splitlines()[-1]


def test_a_run_is_pushed_and_pulled_whole(hub: Hub, trained: Path, capsys) -> None:
    (trained / "model" / "notes.txt").write_text("mine")
    assert main(["push", str(trained), "anna/tiny"]) == 0
    assert capsys.readouterr().out == f"{hub.url}/anna/tiny\n"
    (trained / "model" / "notes.txt").unlink()
    assert set(hub.repos["anna/tiny"]) == FILES
    assert hub.private == {"anna/tiny": True}
    assert main(["pull", "anna/tiny", "-o", "deep/folder"]) == 0
    assert {path.name for path in Path("deep/folder").iterdir()} == FILES
    for name in FILES:
        assert (Path("deep/folder") / name).read_bytes() == (trained / "model" / name).read_bytes()
        assert not (Path("deep/folder") / name).is_symlink()
    assert main(["info", "deep/folder"]) == 0


def test_people_travel_with_their_model(hub: Hub, trained: Path, tmp_path: Path, monkeypatch) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    mixer = Mixer.load(run, "cpu")
    for name in ("anna", "zoë [2]"):
        mixer.adapt(image, name, folder=run)
    (run / "model" / "people" / "notes.txt").write_text("mine")
    assert main(["push", str(run), "anna/tiny"]) == 0
    people = {"people/anna.safetensors", "people/zoë [2].safetensors"}
    assert set(hub.repos["anna/tiny"]) == {*FILES, *people}
    hub.repos["anna/tiny"] |= dict.fromkeys(["people/x.pkl", "people/sub/x.safetensors", "people/.x.safetensors"], b"x")
    hub.repos["anna/tiny"]["people/large.safetensors"] = bytes(10_000_001)
    assert main(["pull", "anna/tiny", "-o", "pulled"]) == 0
    there = {path.relative_to("pulled").as_posix() for path in Path("pulled").rglob("*") if path.is_file()}
    assert there == {*FILES, *people}
    wanted = np.asarray(mixer.mix("@zoë [2]", image))
    assert np.array_equal(np.asarray(Mixer.load("pulled", "cpu").mix("@zoë [2]", image)), wanted)
    assert np.array_equal(np.asarray(Mixer.load("anna/tiny", "cpu").mix("@anna", image)), wanted)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert Mixer.load("anna/tiny", "cpu").people == ["anna", "zoë [2]"]


def test_people_who_are_pushed_are_named_and_those_who_have_gone_are_removed(
    hub: Hub, trained: Path, tmp_path: Path, capsys
) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    mixer = Mixer.load(run, "cpu")
    for name in ("anna", "ben"):
        mixer.adapt(np.zeros((16, 16, 3), dtype=np.uint8), name, folder=run)
    assert main(["push", str(run), "anna/tiny"]) == 0
    assert "with @anna, @ben" in capsys.readouterr().out
    hub.repos["anna/tiny"]["notes.txt"] = b"mine"
    (run / "model" / "people" / "anna.safetensors").unlink()
    assert main(["push", str(run), "anna/tiny"]) == 0
    assert set(hub.repos["anna/tiny"]) == {*FILES, "people/ben.safetensors", "notes.txt"}
    model = load_model(run)
    with torch.no_grad():
        model.generator.rgb.bias += 1
    save_model(model, run / "model")
    capsys.readouterr()
    assert main(["push", str(run), "anna/tiny"]) == 0
    assert "@ben" not in capsys.readouterr().out
    assert set(hub.repos["anna/tiny"]) == {*FILES, "notes.txt"}


def test_a_new_repository_is_public_where_that_was_said(hub: Hub, trained: Path) -> None:
    assert main(["push", str(trained / "model"), "anna/tiny", "--public"]) == 0
    assert hub.private == {"anna/tiny": False}


def test_a_name_on_the_hub_loads_like_a_folder(shared: Hub, trained: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    here, there = Mixer.load(trained, "cpu"), Mixer.load("anna/tiny", "cpu")
    assert np.array_equal(here.encode(image).a, there.encode(image).a)
    shared.asked.clear()
    Mixer.load("anna/tiny", "cpu")
    assert len([path for path in shared.asked if "model.safetensors" in path]) <= 1  # asked for, not sent again


def test_only_the_files_of_a_model_are_asked_for(shared: Hub) -> None:
    shared.repos["anna/tiny"] |= {"pytorch_model.bin": b"\x80", "code.py": b"", "model.pkl": b"\x80"}
    assert main(["pull", "anna/tiny"]) == 0
    assert {path.name for path in Path("tiny").iterdir()} == FILES
    assert {path.partition("?")[0].rpartition("/")[2] for path in shared.asked} == {*FILES, "people"}


def test_a_model_without_card_or_figure_is_pulled_without(shared: Hub) -> None:
    del shared.repos["anna/tiny"]["README.md"], shared.repos["anna/tiny"]["swap_matrix.png"]
    assert main(["pull", "anna/tiny"]) == 0
    assert {path.name for path in Path("tiny").iterdir()} == {"config.json", "model.safetensors"}


@pytest.mark.parametrize("config", [b'{"architectures": ["Bert"]}', b"[]", b"\x80\x04."])
def test_another_library_s_model_is_refused_before_its_weights_are_read(shared: Hub, config: bytes, capsys) -> None:
    shared.repos["anna/tiny"]["config.json"] = config
    assert "anna/tiny: its config.json is of no model" in refused(["pull", "anna/tiny"], capsys)
    with pytest.raises(ValueError, match="of no model"):
        Mixer.load("anna/tiny")
    assert not Path("tiny").exists()
    assert not [path for path in shared.asked if "safetensors" in path]


def test_another_library_s_repository_is_not_overwritten(shared: Hub, trained: Path, capsys) -> None:
    shared.repos["anna/tiny"] = {"config.json": b'{"architectures": ["Bert"]}'}
    assert "of no model" in refused(["push", str(trained), "anna/tiny"], capsys)
    assert set(shared.repos["anna/tiny"]) == {"config.json"}


def test_damaged_weights_are_told(shared: Hub, capsys) -> None:
    shared.repos["anna/tiny"]["model.safetensors"] = b"\x80\x04no weights"
    assert main(["pull", "anna/tiny"]) == 0
    assert "model.safetensors cannot be read" in refused(["info", "tiny"], capsys)
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        Mixer.load("anna/tiny")


def test_what_cannot_be_pulled_is_told_in_one_line(shared: Hub, capsys) -> None:
    assert "neither a folder here nor a model on the Hub" in refused(["pull", "anna/nosuch"], capsys)
    assert "user/model" in refused(["pull", "an na/x"], capsys)
    shared.repos["anna/empty"] = {}
    assert "anna/empty holds no model" in refused(["pull", "anna/empty"], capsys)
    Path("full").mkdir()
    Path("full/file").touch()
    assert "full exists" in refused(["pull", "anna/tiny", "-o", "full"], capsys)


def test_what_cannot_be_pushed_is_told_in_one_line(
    hub: Hub, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert "no model" in refused(["push", "nosuch", "anna/tiny"], capsys)
    bare = shutil.copytree(trained / "model", tmp_path / "bare")
    (bare / "README.md").unlink()
    assert "has no model card" in refused(["push", str(bare), "anna/tiny"], capsys)
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    assert "not allowed (HTTP 401)" in refused(["push", str(trained), "anna/tiny"], capsys)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "hf auth login" in refused(["push", str(trained), "anna/tiny"], capsys)
    assert hub.repos == {}


def test_without_the_extra_its_name_is_told(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("chiasm.hub.importlib.util.find_spec", lambda name: None)
    assert "pip install 'chiasm[hub]'" in refused(["push", str(trained), "anna/tiny"], capsys)
    assert "pip install 'chiasm[hub]'" in refused(["pull", "anna/tiny"], capsys)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("anna/tiny", True), ("anna", False), ("a/b/c", False), ("./anna", False), ("../x", False), ("/anna/x", False),
     ("~/x", False), ("runs/nosuch", False), ("anna/", False), ("https://x/y", False)],
)  # fmt: skip
def test_only_user_model_that_is_nothing_here_is_looked_for_on_the_hub(
    name: str, wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert is_repo(name) == wanted


def test_the_environment_says_where_the_hub_is_and_whether_to_ask_it(shared: Hub, tmp_path: Path) -> None:
    environment = os.environ | {"HF_ENDPOINT": shared.url, "HF_HOME": str(tmp_path / "home")}

    def pull(folder: str, **more: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", AT_ONCE, "pull", "anna/tiny", "-o", folder]
        return subprocess.run(words, env=environment | more, capture_output=True, text=True, check=False)

    offline = pull("one", HF_HUB_OFFLINE="1")
    assert offline.returncode == 2
    assert offline.stderr.splitlines()[-1].startswith("chiasm: anna/tiny: no folder here, and the Hub cannot be reach")
    assert shared.asked == []
    assert pull("two").returncode == 0
    asked = len(shared.asked)
    assert asked > 0
    assert pull("three", HF_HUB_OFFLINE="1").returncode == 0  # from the cache
    assert len(shared.asked) == asked
    unreachable = pull("four", HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "other"))
    assert unreachable.returncode == 2
    assert "the Hub cannot be reached" in unreachable.stderr.splitlines()[-1]
