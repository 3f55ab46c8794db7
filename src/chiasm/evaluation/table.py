"""Results as a table to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chiasm.evaluation.context import CLASSES, SAMPLES
from chiasm.evaluation.evaluate import NOT_MEASURED

Row = Sequence[str]

METHODS = {
    "swap": "swap (the mixes)",
    "reconstruction": "reconstruction",
    "copy_x1": "copy x1",
    "copy_x2": "copy x2",
    "mean": "mean image",
    "retrieval": "retrieval",
}
DIGITS = {"l1": 4, "psnr": 1, "ssim": 3}
INPUTS = {"a": "code A", "b": "code B", "b_used": "code B + noise", "pixels": "pixels"}
SHOWN = {"mix": "mixes", "ceiling": "real images", "copy_x1": "copy x1", "copy_x2": "copy x2"}
SHORTCUTS = {
    "copy_x1": "mixes that copy x1",
    "copy_x2": "mixes that copy x2",
    "use_a": "use of code A",
    "use_b": "use of code B",
    "use_a_mean": "use of code A, against the mean",
    "use_b_mean": "use of code B, against the mean",
    "diversity": "diversity of the generated images",
    "cycle": "L1 after crossing twice",
    "hidden_noise": "rise with noise on the mixes",
    "hidden_8bit": "rise with 8-bit mixes",
    "hidden_jpeg": "rise with JPEG mixes",
}


def table(results: Mapping[str, Any]) -> str:
    """All results as text: a block for each metric of each part, then what was not measured and why.

    Args:
        results: what evaluate returned, or a results.json.
    """
    about = results["about"]
    blocks = [
        f"part {about['part']}, seed {about['seed']}, noise on code B {about['noise_b']:g}, "
        f"{about['num_images'].get('train', 0)} training images; {about['seconds']:.0f} s\n"
        f"[low, high]: {about['interval']}"
    ]
    for part in (SAMPLES, CLASSES):
        if part in results:
            num = about["num_images"][part]
            blocks.append(f"== {part.replace('_', '-', 1).replace('_', ' ')}: {num} images ==")
            blocks += [block for metric, show in SHOW.items() if (block := _block(results[part], metric, show))]
    reasons = [f"  {path}: {reason}" for path, reason in results[NOT_MEASURED].items()]
    if reasons:
        blocks.append("\n".join(["not measured", *reasons]))
    return "\n\n".join(blocks)


def _block(results: Mapping[str, Any], metric: str, show: Any) -> str:
    lines = list(show(results[metric])) if results.get(metric) else []
    alarms = [f"  ! {sentence}" for sentence in results.get(metric, {}).get("alarms", [])]
    return "\n".join([*align(lines), *alarms])


def _swap(values: Mapping[str, Any]) -> Iterator[Row]:
    yield "swap error", "L1", "PSNR dB", "SSIM", "swap / this"
    for key, name in METHODS.items():
        if key in values:
            cells = [
                number(values[key].get(measure), digits) for measure, digits in (("l1", 4), ("psnr", 1), ("ssim", 3))
            ]
            yield name, *cells, number(values.get("ratio", {}).get(key), 2)


def _leakage(values: Mapping[str, Any]) -> Iterator[Row]:
    yield "leakage", "read from", "linear %", "MLP %", "chance %", "majority %"
    for factor, probes in values.items():
        for i, (key, name) in enumerate((k, n) for k, n in INPUTS.items() if k in probes):
            kinds = [percent(probes[key][kind]) for kind in ("linear", "mlp")]
            bounds = [f"{100 * probes[k]:.1f}" for k in ("chance", "majority")] if i == 0 else ["", ""]
            yield factor if i == 0 else "", name, *kinds, *bounds


def _swap_accuracy(values: Mapping[str, Any]) -> Iterator[Row]:
    yield "swap accuracy %", *SHOWN.values()
    for factor, rates in values.items():
        yield f"{factor} of {'x1' if factor == 'class' else 'x2'}", *(percent(rates[key]) for key in SHOWN)


def _shortcuts(values: Mapping[str, Any]) -> Iterator[Row]:
    yield "shortcuts", "", "expected"
    sound = {"copy": "0 %", "use_": "well above 0 %", "dive": "towards 100 %", "hidd": "small"}
    for key, name in SHORTCUTS.items():
        if key in values:
            shown = number(values[key], 4) if key == "cycle" else percent(values[key]) + " %"
            true = values.get(f"{key}_true")
            yield name, shown, f"{100 * true['mean']:.1f} % (of true mixes)" if true else sound.get(key[:4], "")


def _realism(values: Mapping[str, Any]) -> Iterator[Row]:
    yield "realism", "KID", "std"
    for name, kid in values["kid"].items():
        yield {"real": "training images (floor)"}.get(name, name), f"{kid['mean']:.4f}", f"{kid['std']:.4f}"
    for name, detail in values.get("detail", {}).items():
        yield f"high-frequency power of {name}, % of real images'", percent(detail)
    for metric in ("fid", "lpips"):
        if metric in values:
            mixes = values[metric]["mixes"]
            yield f"{metric.upper()} of mixes", number(mixes, 3) if isinstance(mixes, dict) else f"{mixes:.2f}"


SHOW = {
    "swap": _swap,
    "leakage": _leakage,
    "swap_accuracy": _swap_accuracy,
    "shortcuts": _shortcuts,
    "realism": _realism,
}


def number(value: Mapping[str, float] | None, digits: int) -> str:
    """A mean with its interval; empty where there is none."""
    if value is None:
        return ""
    return f"{value['mean']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def percent(value: Mapping[str, float]) -> str:
    """A share with its interval, in percent."""
    return number({key: 100 * value[key] for key in ("mean", "low", "high")}, 1)


def align(rows: Sequence[Row]) -> list[str]:
    """Rows with their columns one below the other, the first row a heading."""
    widths = [max(len(row[c]) for row in rows if c < len(row)) for c in range(max(map(len, rows), default=0))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return [*lines[:1], *("-" * len(line) for line in lines[:1]), *lines[1:]]
