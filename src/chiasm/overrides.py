"""Configurations and plain values: read from them, written to them, changed under dotted keys such as "loss.gamma"."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from chiasm.config import Config, ConfigError, require

T = TypeVar("T")

MAX_YAML_BYTES = 1_000_000


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, a few of which inside of one another would fill the memory, and without a key twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.YAMLError(f"line {mark.line + 1} holds an alias; write the value itself there")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
        twice = [key for i, key in enumerate(keys) if key in keys[:i]]
        if twice:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {twice[0]!r} is given twice; leave one of them out")
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """Plain values from YAML.

    Raises:
        ConfigError: for text that is no YAML, holds an alias or is nested too deeply.
    """
    try:
        return yaml.load(text, _PlainLoader)
    except RecursionError as error:
        raise ConfigError("nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(" ".join(f"{error}".split())) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings in a YAML file, in sections or under dotted keys.

    Raises:
        ConfigError: naming the file, if it cannot be used.
    """
    if not path.is_file():
        raise ConfigError(
            f"{path}: {'not a file' if path.exists() else 'does not exist'}; give a YAML file of settings."
        )
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise ConfigError(f"larger than {MAX_YAML_BYTES:,} bytes")
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except (ConfigError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML that can be used ({error}); see the config.yaml of a run.") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: holds no settings; give lines such as 'train:' and, indented below it, 'steps: 100'."
        )
    return values


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as plain JSON types (tuples become lists)."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, (tuple, list)) else value

    return plain(dataclasses.asdict(config))


def from_dict(cls: type[T], values: dict[str, Any], where: str = "") -> T:
    """Build a configuration from plain JSON types: the inverse of to_dict.

    Raises:
        ConfigError: for an unknown key or a value of the wrong type, naming the key.
    """
    types = get_type_hints(cls)
    unknown = sorted(set(values) - set(types))
    if unknown:
        raise ConfigError(f"{where}{unknown[0]}: no such key; known here are {', '.join(types)}.")
    return cls(**{key: _from_plain(types[key], value, f"{where}{key}") for key, value in values.items()})


def _from_plain(kind: Any, value: Any, key: str) -> Any:
    """A plain value as the type of its field."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        return from_dict(kind, value, f"{key}.")
    require(not dataclasses.is_dataclass(kind), key, value, f"give settings in it, such as {_first_key(kind)}")
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple and isinstance(value, (list, tuple)):
        fits = arguments[-1] is Ellipsis or len(arguments) == len(value)
        require(fits, key, value, f"give {len(arguments)} values")
        return tuple(_from_plain(arguments[0], item, key) for item in value)
    if origin is Literal:
        fits = any(type(value) is type(argument) and value == argument for argument in arguments)
        require(fits, key, value, f"give one of {', '.join(map(repr, arguments))}")
        return value
    options = arguments if origin is UnionType else (kind,)
    if float in options and isinstance(value, int) and not isinstance(value, bool):
        require(abs(value) < 10**300, key, value, "give a number of fewer digits")
        return float(value)
    named = " or ".join("null" if o is type(None) else getattr(o, "__name__", str(o)) for o in options)
    fits = any(type(value) is o for o in options)
    require(fits, key, value, f"give {named}")
    return value


def _first_key(section: Any) -> str:
    return next(iter(get_type_hints(section)), "") if dataclasses.is_dataclass(section) else ""


def changed(config: Config, changes: Mapping[str, Any]) -> Config:
    """A configuration with the settings under some dotted keys exchanged.

    Raises:
        ConfigError: for an unknown key or a value that does not fit.
    """
    settings = to_dict(config)
    for key, value in changes.items():
        *path, last = key.split(".")
        section = settings
        for part in path:
            # An unknown section is made here and refused, with the known ones, when all is read.
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{key}: no such key; {part} has no keys of its own.")
        section[last] = value
    return from_dict(Config, settings)


def lookup(config: Config, key: str) -> Any:
    """The value under a dotted key, in plain JSON types."""
    value: Any = to_dict(config)
    for part in key.split("."):
        value = value[part]
    return value


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
