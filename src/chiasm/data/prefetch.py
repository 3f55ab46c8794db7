"""Reading ahead: what the next steps need is made ready in a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")


def prefetch(load: Callable[[int], T], start: int, stop: int, ahead: int = 3) -> Generator[T, None, None]:
    """What `load` returns for consecutive steps, computed in a background thread while the caller works.

    Args:
        load: of a step.
        start: first step.
        stop: the step after the last.
        ahead: how many results wait at most.

    Yields:
        The results in order. Closing the iterator early ends the thread; an exception of the thread is raised here.
    """
    ready: queue.Queue[T | Exception] = queue.Queue(ahead)
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(load, range(start, stop), ready, stopped), daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            item = ready.get()
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def _fill(load: Callable[[int], T], steps: range, ready: queue.Queue[T | Exception], stopped: threading.Event) -> None:
    for step in steps:
        try:
            item: T | Exception = load(step)
        # Whatever goes wrong here must reach the caller, who waits for an item.
        except Exception as error:
            item = error
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.05)
                break
            except queue.Full:
                continue
        if stopped.is_set() or isinstance(item, Exception):
            return
