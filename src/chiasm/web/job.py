"""The one thing at a time that takes minutes: `chiasm fit` or `chiasm evaluate` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SAVING_S = 120
TAIL_BYTES = 4000
STOPPED = 3
"""The exit status of a training that was stopped and saved."""


class Progress(NamedTuple):
    """How far a job is.

    Attributes:
        kind: "train", "evaluate", or "" where there was none.
        run: the name of its run.
        running: whether it goes on.
        share: done, in [0, 1].
        said: the last line that it printed.
        status: its exit status; None while it runs.
    """

    kind: str = ""
    run: str = ""
    running: bool = False
    share: float = 0.0
    said: str = ""
    status: int | None = None


class Job:
    """Runs commands of chiasm one at a time; the page may be closed meanwhile.

    Args:
        folder: for the output and all that a command would write elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "job.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._kind = self._run = ""
        self._asked = False
        self._lock = threading.Lock()

    def start(self, kind: str, run: str, arguments: Sequence[str], cache: Path) -> bool:
        """Start a command, unless one is running.

        Args:
            kind: "train" or "evaluate".
            run: the name of the run that it works on.
            arguments: of chiasm.
            cache: of decoded images.

        Returns:
            Whether it was started.
        """
        with self._lock:
            if self.progress().running:
                return False
            self._folder.mkdir(parents=True, exist_ok=True)
            kept = {"CHIASM_CACHE": cache, "TORCHINDUCTOR_CACHE_DIR": self._folder / "cache" / "compiled"}
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "chiasm", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {key: str(path) for key, path in kept.items()},
                    # Ctrl-C in the terminal is for the page, which then asks politely once.
                    start_new_session=True,
                )
            self._kind, self._run, self._asked = kind, run, False
            return True

    def progress(self) -> Progress:
        """How far the current or the last job is."""
        if self._process is None:
            return Progress()
        status = self._process.poll()
        lines = [line.strip() for line in re.split(r"[\r\n]+", self._tail()) if line.strip()]
        told = [line for line in lines if line.startswith("chiasm: ")]
        said = (told or lines or [""])[-1]
        percent = re.match(r"(?:training|[\w ]+: \w+):\s+(\d+)%", said)
        said = re.sub(r"\|.*?\|", ",", said)  # the bar that is drawn in letters
        share = 1.0 if status == 0 else int(percent[1]) / 100 if percent else 0.0
        return Progress(self._kind, self._run, status is None, share, said, status)

    @property
    def stopping(self) -> bool:
        """Whether the job was asked to stop and has not ended yet."""
        return self._asked and self.progress().running

    def stop(self) -> None:
        """Ask the job to save and to end, once: to be asked twice means to a training not to save."""
        if self._process is not None and self.progress().running and not self._asked:
            self._asked = True
            self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Stop the job and wait until it has saved."""
        self.stop()
        if self._process is not None:
            try:
                self._process.wait(SAVING_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _tail(self) -> str:
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            return log.read().decode(errors="replace")
