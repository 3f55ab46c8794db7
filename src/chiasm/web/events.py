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
