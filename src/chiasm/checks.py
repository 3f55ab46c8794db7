"""What a setting must satisfy, and the error that says which one does not."""

from __future__ import annotations

import dataclasses
import math
import os
import reprlib
from dataclasses import field
from typing import Any

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 300
_short.maxlist = _short.maxtuple = 20


class ConfigError(ValueError):
    """A configuration that cannot work; the message names the key and the remedy."""


def require(condition: bool, key: str, got: object, wanted: str) -> None:
    """Refuse a value, by its key and the remedy, unless a condition holds.

    Raises:
        ConfigError: if it does not.
    """
    if not condition:
        raise ConfigError(f"{key}: got {_short.repr(got)}; {wanted}.")


def number(default: Any, low: int | float, high: int | float = math.inf) -> Any:
    """A field whose number, or each of whose numbers, lies from low to high."""
    return field(default=default, metadata={"range": (low, high)})


def check_numbers(section: str, config: Any) -> None:
    """Refuse numbers that are not finite or out of their field's range, before anything is computed from them."""
    for f in dataclasses.fields(config):
        value, (low, high) = getattr(config, f.name), f.metadata.get("range", (-math.inf, math.inf))
        wanted = f"give numbers >= {low}" if high == math.inf else f"give numbers from {low} to {high}"
        wanted = wanted if isinstance(value, tuple) else wanted.replace("numbers", "a number")
        for single in value if isinstance(value, tuple) else (value,):
            if isinstance(single, (int, float)):
                finite = isinstance(single, int) or math.isfinite(single)
                require(finite, f"{section}.{f.name}", value, "it is not finite; give a finite number")
                require(low <= single <= high, f"{section}.{f.name}", value, wanted)


def absolute_source(source: str) -> str:
    """A source in the one spelling that holds from every folder: "photos/" and "./photos" are the same setting."""
    prefix = next((word for word in ("hf:", "fonts:", "shards:") if source.startswith(word)), "")
    path = source.removeprefix(prefix)
    if source == "avatars" or (prefix == "hf:" and not path.startswith((".", "/", "~"))):
        return source
    return prefix + os.path.abspath(os.path.expanduser(path))
