"""Which settings a sweep tries: any keys of the configuration, over lists or ranges."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.config import Config, ConfigError
from chiasm.overrides import changed, lookup, parse_yaml

Point = dict[str, Any]
"""For each swept key its value, in plain JSON types."""

MAX_POINT_NAME = 80
"""Characters, so that the trial's folder, with its number and seed, has a name of at most 100."""

SEED_KEY = "train.seed"
WORDS = {"true": True, "false": False, "null": None}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:log)?")


@dataclass(frozen=True)
class Range:
    """All numbers from low to high, evenly sampled or evenly in their logarithm."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Space:
    """Settings to try.

    Attributes:
        base: every other setting.
        keys: for each swept key, such as "loss.gamma", its values or its range.
    """

    base: Config
    keys: Mapping[str, list[Any] | Range]

    @classmethod
    def parse(cls, base: Config, given: Mapping[str, Sequence[str]]) -> Space:
        """Read values as they stand on the command line; a key with a single value is set, not swept.

        Args:
            base: the settings to start from.
            given: for each key its values as text: numbers, words, `null`, `[8,16]`, or one `lo..hi` or `lo..hi:log`.

        Raises:
            ConfigError: for an unknown key, a value of the wrong type or out of its bounds, naming the key.
        """
        if SEED_KEY in given:
            raise ConfigError(f"{SEED_KEY}: a sweep repeats every point for each of its seeds; give --seeds 0 1 2.")
        read = {key: _range(key, texts) or [_value(text) for text in texts] for key, texts in given.items()}
        for key, values in read.items():
            if isinstance(values, list) and len(values) == 1:
                base = changed(base, {key: values[0]})
        swept = {key: values for key, values in read.items() if isinstance(values, Range) or len(values) > 1}
        return cls.of(base, swept)

    @classmethod
    def of(cls, base: Config, keys: Mapping[str, list[Any] | Range]) -> Space:
        """A space whose keys and values are checked against the configuration, and normalised to its types.

        Raises:
            ConfigError: for an unknown key, a value that does not fit, or one given twice.
        """
        checked: dict[str, list[Any] | Range] = {}
        first = {key: values.low if isinstance(values, Range) else values[0] for key, values in keys.items()}
        for key, values in keys.items():
            ends = [values.low, values.high] if isinstance(values, Range) else values
            fitted = [lookup(changed(base, {**first, key: value}), key) for value in ends]
            if isinstance(values, Range):
                checked[key] = _fit_range(key, values, fitted)
                continue
            checked[key] = fitted
            twice = [value for i, value in enumerate(fitted) if value in fitted[:i]]
            if twice:
                raise ConfigError(f"{key}: got {twice[0]!r} twice; give each value once.")
        return cls(base, checked)

    def config(self, point: Point, seed: int) -> Config:
        """The whole configuration of one trial."""
        return changed(self.base, {**point, SEED_KEY: seed})

    def grid(self) -> list[Point]:
        """Every combination of the lists, the first key slowest.

        Raises:
            ConfigError: if a key has a range, or a combination cannot work.
        """
        for key, values in self.keys.items():
            if isinstance(values, Range):
                raise ConfigError(
                    f"{key}: got the range {values.low:g}..{values.high:g}; a grid needs a list of values, "
                    "or sample from the range: --method random or --method tpe."
                )
        lists = [values for values in self.keys.values() if isinstance(values, list)]
        points = [dict(zip(self.keys, values, strict=True)) for values in itertools.product(*lists)]
        for point in points:
            changed(self.base, point)
        names = [point_name(point) for point in points]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ConfigError(
                    f"{', '.join(self.keys)}: two values would name their runs alike: {name}; rename one."
                )
        return points

    def describe(self) -> dict[str, Any]:
        """The keys in plain JSON types: a list of values, or low, high and log."""
        return {key: vars(values) if isinstance(values, Range) else values for key, values in self.keys.items()}


def point_name(point: Point) -> str:
    """A point as part of a folder's name, such as "gamma-0.4-code_a-16"."""
    last = [key.rpartition(".")[2] for key in point]
    names = {key: short if last.count(short) == 1 else key for key, short in zip(point, last, strict=True)}
    shown = {key: _tail(value) if key == "data.source" else show(value) for key, value in point.items()}
    text = re.sub(r"[^\w.+-]+", "_", "-".join(f"{names[key]}-{value}" for key, value in shown.items()))
    if len(text) <= MAX_POINT_NAME:
        return text
    return f"{text[: MAX_POINT_NAME - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _tail(source: str) -> str:
    """The last two parts of a path, which tell sources apart and do not depend on where all of them lie."""
    return "/".join(Path(source).parts[-2:])


def show(value: Any) -> str:
    """A value as short text."""
    if isinstance(value, list):
        return "[" + ",".join(map(show, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return "null" if value is None else str(value)


def as_argument(value: Any) -> str:
    """A value as it stands on the command line, exactly."""
    if isinstance(value, dict):
        return f"{value['low']!r}..{value['high']!r}" + (":log" if value["log"] else "")
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _value(text: str) -> Any:
    """A number, true, false, null, or a list; anything else is a word (to YAML `off` is false)."""
    if text in WORDS:
        return WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if not text.startswith(("[", "{")):
        return text
    try:
        return parse_yaml(text)
    except ConfigError:
        return text


def _range(key: str, texts: Sequence[str]) -> Range | None:
    found = [_RANGE.fullmatch(text) for text in texts]
    if not any(found):
        return None
    match = found[0]
    if len(texts) > 1 or match is None:
        raise ConfigError(f"{key}: got {' '.join(texts)}; give one range, or values and no range.")
    low, high, log = match.groups()
    return Range(_value(low), _value(high), log is not None)


def _fit_range(key: str, values: Range, ends: list[Any]) -> Range:
    """A range in the numbers of its key: whole ones where the key takes whole ones."""
    if not values.low < values.high:
        raise ConfigError(f"{key}: got {values.low:g}..{values.high:g}; give the smaller end first.")
    if values.log and values.low <= 0:
        raise ConfigError(f"{key}: got {values.low:g}..{values.high:g}:log; a logarithm needs a start above 0.")
    return Range(ends[0], ends[1], values.log)
