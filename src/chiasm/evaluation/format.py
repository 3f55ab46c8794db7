"""Numbers with their intervals as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Row = Sequence[str]
"""One line of a table, cell by cell."""


def number(value: Mapping[str, float] | None, digits: int) -> str:
    """A mean with its interval; empty where there is none."""
    if value is None:
        return ""
    return f"{value['mean']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def percent(value: Mapping[str, float]) -> str:
    """A share with its interval, in percent."""
    return number({key: 100 * value[key] for key in ("mean", "low", "high")}, 1)
