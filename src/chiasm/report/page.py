"""Everything about runs and sweeps on one page, and the figures beside it."""

from __future__ import annotations

import base64
import os
import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from PIL import Image

from chiasm.evaluation.criterion import COPIES, RECONSTRUCTION, SWAP, criterion, score
from chiasm.evaluation.format import number, percent
from chiasm.evaluation.table import table
from chiasm.overrides import flatten, to_dict
from chiasm.report import figures, pairs
from chiasm.report.compare import INTERVAL, Comparison, Setting, compare
from chiasm.report.read import Material, Run, read_material
from chiasm.runs import STRIP_FILE
from chiasm.sweep.space import show

PARTS = {"held_out_samples": "known classes", "held_out_classes": "new classes"}
MAX_STRIPS_SHOWN = 12


def make_report(paths: Sequence[Path], output: Path = Path("report.html")) -> list[Path]:
    """Write one page about runs and sweeps that needs neither network nor scripts.

    What a run lacks (it failed, was stopped, or is not finished) is said on the page.

    Args:
        paths: folders of runs or sweeps.
        output: the page; its figures are written beside it as PNG and PDF.

    Returns:
        The page and the figures.

    Raises:
        RunError: for a folder that is neither, or where no run has begun.
    """
    material = read_material(paths)
    comparison = compare(material.runs)
    output.parent.mkdir(parents=True, exist_ok=True)
    curves = figures.curves(comparison, _stem(output, "curves"))
    scores = figures.scores(comparison, _stem(output, "scores")) if comparison.winner else []
    strips, best = _strips(comparison)
    shown = [(s["label"], s["image"]) for s in strips if s["first"] or s["best"]][:MAX_STRIPS_SHOWN]
    files = [*curves, *scores, *(figures.strips(shown, _stem(output, "strips")) if shown else [])]
    text = _template().render(
        about=_about(material, paths, output),
        comparison=comparison,
        criterion=criterion(comparison.truth),
        interval=INTERVAL,
        settings=_settings(comparison),
        copying=_copying(comparison),
        runs=[_run_row(run, comparison) for run in material.runs],
        curves=_embed(curves[0].read_bytes()),
        scores=_embed(scores[0].read_bytes()) if scores else None,
        strips=[{**s, "image": _embed(figures.png(s["image"]))} for s in strips],
        best=best,
        evaluations=_evaluations(material.runs),
        not_evaluated=[str(run.folder.path) for run in material.runs if run.results is None and run.has_model],
        configuration=_configuration(comparison),
        files=[path.name for path in files],
        empty=material.empty,
    )
    output.write_text(text, encoding="utf-8")
    return [output, *files]


def _template() -> Template:
    """The page, which escapes whatever is put into it and knows every name."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2")


def _stem(output: Path, name: str) -> Path:
    return output.with_name(f"{output.stem}-{name}")


def _embed(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")


def _settings(comparison: Comparison) -> list[dict[str, Any]]:
    """A row of the table of settings each."""
    rows = []
    for setting, colour in zip(comparison.settings, figures.colours(len(comparison.settings)), strict=True):
        errors = [setting.mean(column) for column in ([] if comparison.truth else [SWAP]) + [RECONSTRUCTION]]
        shares = [setting.mean(column) for column in COPIES]
        rows.append(
            {
                "label": setting.label,
                "colour": colour,
                "wins": setting is comparison.winner,
                "complete": len(setting.values),
                "num": len({run.seed for run in setting.runs}),
                "score": str(setting.score or "-"),
                "errors": [str(error or "-") for error in errors],
                "shares": ["-" if share is None else f"{share.mean:.0%}" for share in shares],
                "minutes": f"{sum(run.minutes for run in setting.runs):.2f}",
            }
        )
    return rows


def _copying(comparison: Comparison) -> str:
    """What copying would reach, where the truth is known."""
    if comparison.winner is None or not comparison.truth:
        return ""
    copy_x1, copy_x2 = (comparison.winner.mean(f"swap/{name}") for name in ("copy_x1", "copy_x2"))
    if copy_x1 is None or copy_x2 is None:
        return ""
    return f"On the same images copying x1 would reach a swap L1 of {copy_x1.mean:.4f}, copying x2 {copy_x2.mean:.4f}."


def _run_row(run: Run, comparison: Comparison) -> dict[str, Any]:
    setting = next(s for s in comparison.settings if run in s.runs)
    numbers = [run.metrics.get(SWAP), run.metrics.get(RECONSTRUCTION)]
    if not comparison.truth:
        numbers.append(score(run.metrics, truth=False))
    return {
        "name": run.name,
        "label": setting.label,
        "seed": run.seed,
        "state": run.state,
        "steps": run.steps,
        "minutes": f"{run.minutes:.2f}",
        "numbers": ["-" if value is None else f"{value:.4f}" for value in numbers],
        "missing": "; ".join(run.missing),
    }


def _strips(comparison: Comparison) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The strips of all runs, and what is to be said of the best pair."""
    runs = [run for setting in comparison.settings for run in setting.runs]
    generated, reasons = pairs.generate_strips(runs)
    found = pairs.find_best(generated)
    shown = []
    for setting in comparison.settings:
        for i, run in enumerate(setting.runs):
            path = str(run.folder.path)
            best = found is not None and found[0] == path
            image = _strip_image(run, generated.get(path), found[1] if found and best else None)
            if image is not None:
                label = setting.label if len(setting.runs) == 1 else f"{setting.label}, seed {run.seed}"
                note = "" if path in generated else f"as last generated in training ({reasons[path]})"
                shown.append({"label": label, "image": image, "first": i == 0, "best": best, "note": note})
    if found is None:
        return shown, None
    path, place, truth = found
    strip, run = generated[path], next(run for run in runs if str(run.folder.path) == path)
    measured = f"cycle L1 {strip.cycle[place]:.4f}, " + (
        f"swap L1 {strip.swap[place]:.4f}" if truth else f"{strip.copied[place]:.0%} of its mixes are copies"
    )
    why = pairs.WITH_TRUTH if truth else pairs.WITHOUT_TRUTH
    return shown, {"run": run.name, "place": place + 1, "measured": measured, "why": why}


def _strip_image(run: Run, strip: pairs.Strip | None, framed: int | None) -> Image.Image | None:
    """The strip generated with the saved model; otherwise the run's own figure, where it has one."""
    if strip is not None:
        return figures.strip_image(strip, framed)
    path = run.folder.figures / STRIP_FILE
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return image.convert("RGB")


def _evaluations(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What chiasm evaluate measured of each run: a row for each part, and the whole as text."""
    found = []
    for run in runs:
        if run.results is not None:
            rows = [_evaluation_row(name, run.results[part]) for part, name in PARTS.items() if part in run.results]
            found.append({"name": run.name, "rows": rows, "text": _text(run.results)})
    return found


def _evaluation_row(part: str, results: dict[str, Any]) -> list[str]:
    swap, shortcuts = results.get("swap", {}), results.get("shortcuts", {})
    accuracy = results.get("swap_accuracy", {}).get("class", {})
    cells = [number(swap.get(name, {}).get("l1"), 4) for name in ("swap", "reconstruction", "copy_x1", "copy_x2")]
    shares = [accuracy.get("mix"), shortcuts.get("copy_x1"), shortcuts.get("copy_x2")]
    return [part, *(cell or "-" for cell in cells), *("-" if s is None else percent(s) for s in shares)]


def _text(results: dict[str, Any]) -> str:
    try:
        return table(results)
    except (KeyError, TypeError) as error:
        return f"results.json is of another version of chiasm ({error} is missing); run chiasm evaluate again"


def _configuration(comparison: Comparison) -> dict[str, Any]:
    """The keys that differ, with the values that occur; and the whole of the best."""
    best = comparison.best_run or comparison.settings[0].runs[0]

    def values(setting: Setting) -> dict[str, Any]:
        return flatten(to_dict(setting.runs[0].config))

    found = {key: list(dict.fromkeys(show(values(s)[key]) for s in comparison.settings)) for key in comparison.keys}
    return {
        "keys": {key: ", ".join(shown) for key, shown in found.items()},
        "name": best.name,
        "is_best": comparison.best_run is not None,
        "text": yaml.safe_dump(to_dict(best.config), sort_keys=False),
    }


def _about(material: Material, paths: Sequence[Path], output: Path) -> dict[str, Any]:
    """How all this was made."""
    page = shlex.join(["chiasm", "report", *map(str, paths), "-o", str(output)])
    versions = {
        _told(run.trial.get("versions") or (run.results or {}).get("about", {}).get("versions"))
        for run in material.runs
    }
    hardware = {_told(run.trial.get("hardware")) for run in material.runs}
    here = f"chiasm {version('chiasm')}, torch {version('torch')}, python {platform.python_version()}"
    return {
        "title": ", ".join(path.resolve().name for path in paths),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commands": [*material.commands, page],
        "versions": sorted(versions - {""}) or ["the runs have not noted them"],
        "hardware": sorted(hardware - {""}) or ["the runs have not noted it"],
        "page_made_with": f"{here}; {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "minutes": f"{sum(run.minutes for run in material.runs):.1f}",
        "seeds": ", ".join(map(str, sorted({run.seed for run in material.runs}))),
        "data": ", ".join(sorted({Path(run.config.data.source).name for run in material.runs})),
    }


def _told(values: dict[str, Any] | None) -> str:
    """A dictionary in one line."""

    def text(value: Any) -> str:
        return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)

    return ", ".join(f"{key} {text(value)}" for key, value in (values or {}).items())
