"""The notebook runs from top to bottom in an empty folder."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "mixing.ipynb"


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells)  # none that nobody can repeat
    known: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), known)
    assert known["result"].step == 40
    assert known["photos"].shape == (4, 16, 16, 3)
    assert known["grid"].size == (80, 80)
    assert known["grid"].getextrema() != ((0, 0),) * 3
    assert 0 < known["swap"]["swap"]["l1"]["mean"] < 2
