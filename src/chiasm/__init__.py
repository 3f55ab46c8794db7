"""chiasm: disentanglement by cross training.

import chiasm

result = chiasm.fit("photos", train={"max_minutes": 10})
chiasm.load(result.run).mix(a="anna.jpg", b="ben.jpg").save("mixed.png")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chiasm.mixing import Mixer
    from chiasm.training import FitResult

__all__ = ["fit", "load"]


def fit(data: str | Path = "avatars", *, preset: str = "compact", **options: Any) -> FitResult:
    """Train a model on a collection of images.

    Args:
        data: 'avatars', a folder of images, or any other source of `chiasm fit`.
        preset: the settings to start from; see chiasm.presets.
        options: sections of the configuration as dictionaries (`train={"steps": 1000}`), and the arguments
            `name`, `runs`, `resume`, `overwrite` and `progress_bar` of chiasm.training.fit.

    Raises:
        ValueError: for a setting or a collection that cannot be used, with the remedy.
    """
    from chiasm.presets import from_preset
    from chiasm.training import fit as fit_config

    sections: dict[str, dict[str, Any]] = {key: options.pop(key, {}) for key in ("model", "loss", "gan", "train")}
    sections["data"] = {"source": str(data)}
    return fit_config(from_preset(preset, sections), **options)


def load(path: str | Path, device: str | None = None) -> Mixer:
    """Read a trained model, ready to mix.

    Args:
        path: a run folder or a model folder.
        device: where to compute; by default a GPU if there is one.
    """
    from chiasm.mixing import Mixer

    return Mixer.load(path, device)
