"""Settings under dotted keys, such as "loss.gamma": read, flattened, exchanged."""

from collections.abc import Mapping
from typing import Any

from chiasm.config import Config, ConfigError, from_dict, to_dict


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
