"""How the tabs declare what follows what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

Connect = Callable[[gr.Blocks], None]
"""Declares what a tab does when the page is loaded."""

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""For what is quick: no veil over the outputs meanwhile. Nothing of the page is an API."""
SLOW: dict[str, Any] = {"api_visibility": "private"}
EVERY_S = 2
WATCHING: dict[str, Any] = {**QUIET, "trigger_mode": "multiple"}
"""For the page's timer, which never rests, and for the buttons of what it watches. Gradio's client (6.31) closes its
stream when an answer has come, and leaves behind what was asked in that moment; the next event brings it, unless it
waits for it."""
