"""A browser for the tests, and how they use the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync")
TIMEOUT_MS = 60_000
READY = "Ready: drop or choose images."


@contextmanager
def opened(*, refused: str | None = None, **context: object) -> Iterator:
    """A new page in chromium; errors fail the test, those of what is to be refused aside."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[f"--{flag}" for flag in FLAGS], timeout=TIMEOUT_MS
        )
        page = browser.new_context(**context).new_page()
        page.set_default_timeout(TIMEOUT_MS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        yield page
        browser.close()
    assert [error for error in errors if refused is None or refused not in error] == []


def wait_for(page, text: str) -> None:
    """Waits until the page says this."""
    from playwright.sync_api import expect

    expect(page.locator("#status")).to_have_text(text, timeout=TIMEOUT_MS)


def give(page, a: Sequence[Path], b: Sequence[Path]) -> None:
    """Chooses files for A and for B and waits for their mixes."""
    wait_for(page, READY)
    page.set_input_files("#files-a", a)
    page.set_input_files("#files-b", b)
    wait_for(page, f"{len(a) * len(b)} mixed.")


def pixels(canvas) -> np.ndarray:
    """What a canvas shows, [height, width, 3]."""
    url = canvas.evaluate("canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"), int)
