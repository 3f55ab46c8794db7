"""Soak: the page under several visitors with good and bad requests, and a long training; memory must stay flat.

    python -m tests.soak                    # four visitors for 10 minutes, then a training of 30 minutes
    python -m tests.soak --minutes 0.3 --training-minutes 0.5

A visitor opens the page, gives photographs, mixes, blends, looks for the nearest training images, and leaves; between,
it does what it should not. Exits with 1 where a good request failed, a bad one was obeyed, or memory grew.
"""

import argparse
import io
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import numpy as np
from PIL import Image

from chiasm.presets import tiny
from chiasm.training import fit
from tests.web.serving import serving

NUM_VISITORS = 4
MIXES_A_VISIT = 5
API = "/gradio_api"
WAIT_S = 60
GROWTH_MIB, GROWTH = 24, 1.05
"""What memory may grow by from the second quarter of a soak to the last, in all and as a factor: pools and caches."""


class Soaked:
    """What visitors have seen, counted, from several threads."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    def count(self, kind: str, wrong: str = "") -> None:
        """One more request of a kind; with what was wrong with it, if anything."""
        with self._lock:
            self.counts[kind] += 1
            self.wrong += [f"{kind}: {wrong}"] if wrong else []


class Visitor:
    """One tab of a browser, as far as the server can tell."""

    def __init__(self, url: str, soaked: Soaked, seed: int) -> None:
        self.url, self.soaked, self.rng = url, soaked, random.Random(seed)

    def visit(self, until: float) -> None:
        """Open the page, use it, leave it."""
        session = {"session_hash": uuid4().hex[:11]}
        with httpx.Client(base_url=self.url, timeout=WAIT_S) as self.client:
            config = self.client.get("/config")
            self.soaked.count(
                "page", "" if self.client.get("/").status_code == config.status_code == 200 else "no page"
            )
            self.events = {event["api_name"]: event["id"] for event in config.json()["dependencies"]}
            with self.client.stream("GET", f"{API}/heartbeat/{session['session_hash']}"):
                self._call(session, "show_4", "trained", None, None, None, None)
                for _ in range(MIXES_A_VISIT):
                    if time.monotonic() < until:
                        self.rng.choice([self._mix, self._mix, self._refused_file, self._trespass, self._garbage])(
                            session
                        )

    def _mix(self, session: dict) -> None:
        for side in ("upload", "upload_1"):
            files = [self._upload(f"{i}.png", png(self.rng)) for i in range(self.rng.randint(2, 5))]
            self._call(session, side, "trained", files, None)
        for event, last in (("mix", self.rng.random() < 0.5), ("blend", self.rng.randint(3, 8)), ("find", None)):
            words = ["trained", None, None] + ([] if last is None else [last])
            said = json.dumps(self._call(session, event, *words))
            self.soaked.count(event, "" if "data:image/png" in said else f"no image in {said[:200]}")

    def _refused_file(self, session: dict) -> None:
        given = self.rng.choice([b"no image", png(self.rng)[:60], b"<script>alert(1)</script>" * 99])
        said = json.dumps(self._call(session, "upload", "trained", [self._upload("bad.png", given)], None))
        self.soaked.count("bad file", "" if "bad.png" in said else f"not refused: {said[:200]}")

    def _trespass(self, session: dict) -> None:
        asked: list[Callable[[], httpx.Response]] = [
            lambda: self.client.get(f"{API}/file=/etc/passwd"),
            lambda: self.client.get(f"{API}/file=%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
            lambda: self.client.get("/", headers={"Host": "elsewhere.example"}),
            lambda: self.client.post(f"{API}/queue/join", headers={"Origin": "http://elsewhere.example"}, json={}),
            self._too_large,
        ]
        status = self.rng.choice(asked)().status_code
        self.soaked.count("trespass", "" if 400 <= status < 500 else f"status {status}")

    def _too_large(self) -> httpx.Response:
        """Over a connection of its own, for the server may hang up before all is sent."""
        try:
            return httpx.post(f"{self.url}{API}/upload", files={"files": ("large.png", bytes(20_100_000))})
        except httpx.TransportError:
            return httpx.Response(413)

    def _garbage(self, session: dict) -> None:
        asked = self.rng.choice(
            [
                {"content": b"{" * 1000, "headers": {"Content-Type": "application/json"}},
                {"json": {"data": [1, 2], "fn_index": 99999} | session},
                {"json": {"data": "x" * 10_000, "fn_index": 1} | session},
                {"json": {}},
            ]
        )
        # Over a connection of its own: after an error inside Gradio (status 500) the server hangs up.
        status = httpx.post(f"{self.url}{API}/queue/join", **asked).status_code
        self.soaked.count("garbage", "" if status != 200 else "taken")

    def _upload(self, name: str, content: bytes) -> dict:
        answer = self.client.post(f"{API}/upload", files={"files": (name, content)})
        self.soaked.count("upload", "" if answer.status_code == 200 else f"status {answer.status_code}")
        return {"path": answer.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def _call(self, session: dict, event: str, *inputs: object) -> object:
        """What an event of the page answers."""
        asked = {"data": inputs, "fn_index": self.events[event], "event_data": None, "trigger_id": None} | session
        joined = self.client.post(f"{API}/queue/join", json=asked)
        if joined.status_code == 200:
            with self.client.stream("GET", f"{API}/queue/data", params=session) as stream:
                for line in stream.iter_lines():
                    said = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                    if said.get("msg") == "process_completed":
                        self.soaked.count("event", "" if said["success"] else f"{event}: {said['output']}")
                        return said["output"]
        self.soaked.count("event", f"{event}: no answer, status {joined.status_code}")
        return None


def png(rng: random.Random) -> bytes:
    """A photograph of noise."""
    size = (rng.randint(40, 400), rng.randint(40, 400), 3)
    written = io.BytesIO()
    Image.fromarray(np.random.default_rng(rng.getrandbits(32)).integers(0, 255, size, np.uint8)).save(written, "png")
    return written.getvalue()


def soak_page(minutes: float) -> tuple[Soaked, list[float]]:
    """Visitors for some minutes; what they saw, and the server's memory in MiB over time."""
    soaked = Soaked()
    with TemporaryDirectory() as name:
        home = Path(name) / "home"
        home.mkdir()
        fit(tiny(), name="trained", runs=Path(name) / "runs", progress_bar=False)
        with serving(Path(name) / "runs", home) as (url, process):
            Visitor(url, soaked, -1).visit(time.monotonic() + WAIT_S)
            until = time.monotonic() + 60 * minutes
            visitors = [threading.Thread(target=_visits, args=(url, soaked, i, until)) for i in range(NUM_VISITORS)]
            for visitor in visitors:
                visitor.start()
            memory = _sampled(process.pid, until, lambda: process.poll() is None)
            for visitor in visitors:
                visitor.join()
    return soaked, memory


def _visits(url: str, soaked: Soaked, seed: int, until: float) -> None:
    number = 0
    while time.monotonic() < until:
        number += 1
        try:
            Visitor(url, soaked, 1000 * seed + number).visit(until)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            soaked.count("visit", f"{type(error).__name__}: {error}")


def soak_training(minutes: float, preset: str = "compact") -> list[float]:
    """The memory in MiB of a training over time, from its first steps on."""
    with TemporaryDirectory() as name:
        given = ["--preset", preset, "--runs", name, "--name", "run", "--max-minutes", str(minutes)]
        process = subprocess.Popen(
            [sys.executable, "-m", "chiasm", "fit", *given], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not (Path(name) / "run" / "metrics.csv").exists():
            time.sleep(0.5)
        memory = _sampled(process.pid, time.monotonic() + 60 * minutes + WAIT_S, lambda: process.poll() is None)
        if process.wait():
            raise SystemExit(f"the training has ended with status {process.returncode}")
    return memory


def _sampled(pid: int, until: float, alive: Callable[[], bool]) -> list[float]:
    memory = []
    while time.monotonic() < until and alive():
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            break
        memory.append(pages * 4096 / 2**20)
        time.sleep(1)
    return memory


def grown(memory: list[float]) -> str:
    """The memory of the second quarter and of the last, and whether that is flat."""
    quarter = max(1, len(memory) // 4)
    early, late = (float(np.median(part)) for part in (memory[quarter : 2 * quarter] or memory, memory[-quarter:]))
    flat = late <= max(early + GROWTH_MIB, early * GROWTH)
    return f"{early:,.0f} MiB in the second quarter, {late:,.0f} in the last, at most {max(memory):,.0f}: " + (
        "flat" if flat else "GROWN"
    )


def main() -> int:
    """Both soaks; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the page; 0 for none")
    parser.add_argument("--training-minutes", type=float, default=30.0, help="of the training; 0 for none")
    options = parser.parse_args()
    failed = False
    if options.minutes:
        soaked, memory = soak_page(options.minutes)
        print(f"page, {NUM_VISITORS} visitors, {options.minutes:g} minutes: {dict(sorted(soaked.counts.items()))}")
        print(f"wrong: {len(soaked.wrong)}", *soaked.wrong[:10], sep="\n  ")
        told = grown(memory)
        print(f"memory: {told}", flush=True)
        failed |= bool(soaked.wrong) or "GROWN" in told
    if options.training_minutes:
        told = grown(soak_training(options.training_minutes))
        print(f"training, {options.training_minutes:g} minutes: {told}")
        failed |= "GROWN" in told
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
