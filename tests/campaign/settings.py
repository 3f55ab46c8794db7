"""Every key of the configuration with values of every kind, from a file and as a flag."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from chiasm.config import Config, ConfigError
from chiasm.networks.size import num_weights
from chiasm.overrides import flatten, to_dict
from chiasm.presets import from_preset
from tests.campaign.case import Case

HOSTILE: list[Any] = [
    *(math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 10**400, -(10**400), 2**63, 2**64, -1, 0, 1, 0.5),
    *(None, True, False, "", "x", "nan", "1", "\0", "é" * 300, [], {}, [[]], {"a": 1}, [None], ["x"], [math.nan]),
    *([math.inf, 1], [1e308, 1], [8] * 13, [8] * 5000, [-1], [0], [0.5], [True], [10**400], "[8", "a: b", "!!python/x"),
]
KEYS = tuple(flatten(to_dict(Config())))


def cases(num: int, random_seed: int) -> Iterator[Case]:
    """So many values of each kind for every key."""
    for key in KEYS:
        kind = kind_of(key)
        wild = st.sampled_from(HOSTILE) | st.integers() | st.floats() | st.text(max_size=30) | st.lists(st.integers())
        for value in drawn(wild, num, random_seed):
            yield from of_value(key, kind, value)
        for value in drawn(typed(kind), num, random_seed):
            yield from of_value(key, kind, value)


def of_value(key: str, kind: Any, value: Any) -> Iterator[Case]:
    """A value of a key in a file, and as a flag where it can stand there; not where it would train for long."""
    if key == "data.source" and (not isinstance(value, str) or value.startswith("hf:") or os.path.exists(value)):
        return
    if not trains_quickly(key, value):
        return
    fits = fits_type(kind, value)
    words = (key,) if not fits else ()

    def in_file(folder: Path, run: Path) -> list[str]:
        text = yaml.safe_dump({"preset": "tiny", "train": budget(key)} | {key: value})
        Path("settings.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
        return ["fit", "--config", "settings.yaml"]

    wanted: Any = "either" if fits else "refused"
    yield Case(family="settings", name=f"{key}: {value!r}"[:100], make=in_file, wanted=wanted, words=words)
    if isinstance(value, (int, float, str)) and not isinstance(value, bool) and not fits_as_text(kind, value):
        flag = f"--{key}={value}"
        limits = [f"--{name}={limit}" for name, limit in budget(key).items()]
        yield Case(
            family="flags",
            name=flag[:100],
            make=lambda folder, run: ["fit", "--preset", "tiny", *(f"--train.{w[2:]}" for w in limits), flag],
            wanted="refused",
            words=(key,),
        )


def budget(key: str) -> dict[str, Any]:
    """Limits that end a training at once, whatever the key's value is."""
    return {"max_minutes": 0.001} if key in ("train.steps", "train.epochs") else {"steps": 1}


def kind_of(key: str) -> Any:
    """The type of a setting."""
    kind: Any = Config
    for part in key.split("."):
        kind = get_type_hints(kind)[part]
    return kind


def fits_type(kind: Any, value: Any) -> bool:
    """Whether a value is of a setting's type and finite; whether it is sensible is another matter."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return any(fits_type(argument, value) for argument in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is tuple:
        length = len(value) == len(arguments) or arguments[-1] is Ellipsis if isinstance(value, list) else False
        return length and all(fits_type(arguments[0], item) for item in value)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e309
    return type(value) is kind


def fits_as_text(kind: Any, value: Any) -> bool:
    """Whether the text of a value on the command line may be meant for this setting."""
    options = get_args(kind) if get_origin(kind) is UnionType else (kind,)
    if str in options or get_origin(kind) is tuple or kind is bool:
        return True
    text = str(value)
    try:
        number = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return False
    if isinstance(number, (int, float)) and not isinstance(number, bool):
        return fits_type(kind, number) or (int in options and float(number).is_integer())
    return fits_type(kind, number) or text in get_args(kind) or number is None


def typed(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a setting's type, many of them sensible."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return st.one_of([typed(argument) for argument in arguments])
    if origin is Literal:
        word = str(arguments[0])
        return st.sampled_from([*arguments, word.upper(), word[:-1]])
    if origin is tuple:
        return st.lists(typed(arguments[0]), max_size=6)
    by_type: dict[Any, st.SearchStrategy[Any]] = {
        float: st.floats(0, 1) | st.floats(allow_nan=False, allow_infinity=False),
        int: st.integers(0, 64) | st.integers(),
        bool: st.booleans(),
        str: st.text(max_size=300),
        type(None): st.none(),
    }
    return by_type[kind]


def drawn(strategy: st.SearchStrategy[Any], num: int, random_seed: int) -> list[Any]:
    """So many values, the same for the same seed."""
    values: list[Any] = []

    @seed(random_seed)
    @settings(max_examples=num, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(value: Any) -> None:
        values.append(value)

    draw()
    return values


def trains_quickly(key: str, value: Any) -> bool:
    """Whether the tiny preset with this value is refused, or one step of it takes little time and memory."""
    if key in ("train.compile", "train.devices"):
        return value not in ("on", 2, "2")
    try:
        config = from_preset("tiny", {key: value})
    except ConfigError:
        return True
    except Exception:
        return True  # which the case will show
    small = num_weights(config.model) < 1_000_000 and config.train.batch_size <= 256 and config.model.side_px <= 128
    avatars = config.data.avatars
    images = avatars.num_people * avatars.num_expressions * len(avatars.tilts_deg)
    discriminator = config.gan.weight == 0 or max(config.gan.widths) <= 64
    return small and images <= 2000 and config.train.num_val_pairs <= 256 and discriminator
