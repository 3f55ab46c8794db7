"""Ctrl-C as a polite request: the step at hand is finished and everything is saved."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tqdm import tqdm

# Windows has no SIGHUP, which a closed terminal sends.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class StopRequest:
    """Whether somebody asked the training to stop."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request, and say so; a second one acts as usual.

    A signal that is ignored stays so, as SIGHUP under nohup. Outside the main thread, where Python delivers no
    signals, the request is never made.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        request.requested = True
        restore()
        # The terminal may be gone, or in the middle of another line.
        with suppress(OSError, RuntimeError):
            tqdm.write("stopping: saving", file=sys.stderr)

    for number in before:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()
