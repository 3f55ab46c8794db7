"""chiasm encode --on ray: two machines of a cluster, as processes here, one of which is killed."""

import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.checkpoint import save_model
from chiasm.cli import main
from chiasm.encoding import EncodingError, encode, encode_source, on_ray
from chiasm.networks import CrossModel

ray = pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")  # which Ray brings
pytest.importorskip("pyarrow")

# Ray warns of its own settings.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
]
NUM, PART = 120, 10


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So large that a part takes about half a second; two are broken."""
    folder = tmp_path_factory.mktemp("photographs")
    large = Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 900, 3), dtype=np.uint8))
    for i in range(NUM):
        large.putpixel((450, 450), (i, 0, 0))
        large.save(folder / f"{i}.png", compress_level=0)
    for i in (3, 77):
        (folder / f"{i}.png").write_bytes(b"broken")
    return folder


@pytest.fixture
def made(model: CrossModel, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model m/ and photographs p/."""
    monkeypatch.setattr(encode, "PART", PART)
    save_model(model, tmp_path / "m")
    shutil.copytree(photographs, tmp_path / "p", copy_function=os.link)
    return tmp_path


@pytest.fixture(scope="module")
def cluster():
    """Two machines of one core each; the last test kills one."""
    from ray.cluster_utils import Cluster

    store = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(initialize_head=True, head_node_args={**store, "include_dashboard": False})
        made.second = made.add_node(**store)
        ray.init(address=made.address, log_to_driver=False, logging_level="error")
        yield made
        ray.shutdown()
        made.shutdown()


def test_a_cluster_that_does_not_answer_is_named(made: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert main(["encode", str(made / "m"), str(made / "p"), "-o", str(made / "c.parquet"), "--on", "ray"]) == 2
    assert "correct RAY_ADDRESS" in capsys.readouterr().err.splitlines()[-1]


def test_without_ray_the_extra_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(EncodingError, match=r"pip install 'chiasm\[cluster\]'"):
        next(on_ray.encode_on_ray("m", "p", None, [0], print))  # type: ignore[arg-type]  # nothing is looked at


def test_other_images_on_a_machine_are_refused(made: Path, cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(model: str, source: str, part: int):
        work = open_work(model, source, part)
        (made / "p" / "more.png").write_bytes(b"")
        return work

    open_work = encode.open_work
    monkeypatch.setattr(encode, "open_work", another)
    with pytest.raises(EncodingError, match="the model or the images are others on a machine"):
        encode_source(made / "m", str(made / "p"), made / "c.parquet", on="ray", progress_bar=False)


def encoders(machine) -> list[str]:
    """The processes of a machine that encode."""
    raylet = psutil.Process(machine.all_processes["raylet"][0].process.pid)
    names = []
    for child in raylet.children():
        with suppress(psutil.Error):  # it has ended meanwhile
            names.append(" ".join(child.cmdline()))
    return [name for name in names if "MapWorker" in name]


def test_a_machine_killed_midway_loses_nothing_and_doubles_nothing(made: Path, cluster) -> None:
    here = encode_source(made / "m", str(made / "p"), made / "here.parquet", progress_bar=False)
    written = []

    def kill() -> None:
        folder = made / "there.parquet.parts"
        while not (encoders(cluster.second) and len(list(folder.glob("0*.parquet"))) >= 3):
            time.sleep(0.02)
        cluster.remove_node(cluster.second, allow_graceful=False)
        written.append(len(list(folder.glob("0*.parquet"))))

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    there = encode_source(made / "m", str(made / "p"), made / "there.parquet", on="ray", progress_bar=False)
    killer.join(60)
    assert 3 <= written[0] < NUM // PART
    assert there[:2] == here[:2] == (NUM - 2, 2)
    for name in ("parquet", "failed.csv"):
        assert (made / f"there.{name}").read_bytes() == (made / f"here.{name}").read_bytes()
    assert not (made / "there.parquet.parts").exists()
