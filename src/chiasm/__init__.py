"""chiasm: disentanglement by cross training.

>>> import chiasm
>>> result = chiasm.fit("photos", preset="tiny", progress_bar=False)
>>> chiasm.load(result.run).mix(a="anna.jpg", b="ben.jpg").save("mixed.png")

`tiny` is for trying out; the default, `compact`, wants ten minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chiasm.mixing import Codes, Mixer
    from chiasm.training import FitResult

__all__ = ["Codes", "Mixer", "fit", "load"]


def fit(data: str | Path | Mapping[str, Any] | None = None, *, preset: str | None = None, **options: Any) -> FitResult:
    """Train a model on a collection of images, or go on with a run.

    Examples:
        >>> result = chiasm.fit("photos", preset="tiny", train={"steps": 6}, name="mine", progress_bar=False)
        >>> result.step
        6
        >>> str(result.run)
        'runs/mine'
        >>> result = chiasm.fit(resume="runs/mine", train={"steps": 8}, progress_bar=False)
        >>> result.step
        8

    Args:
        data: 'avatars', the default, a folder of images, or any other source of `chiasm fit`; or the section of the
            configuration as a dictionary, `{"source": "photos", "fit": "pad"}`.
        preset: the settings to start from, by default `compact`; see chiasm.presets. A run that is resumed starts from
            its own.
        options: the other sections of the configuration as dictionaries (`train={"steps": 1000}`), and the arguments
            `name`, `runs`, `resume`, `overwrite` and `progress_bar` of chiasm.training.fit.

    Raises:
        ValueError: for a setting or a collection that cannot be used, with the remedy.
    """
    from chiasm.overrides import changed, flatten
    from chiasm.presets import from_preset
    from chiasm.runs import RunError, RunFolder
    from chiasm.training import fit as fit_config

    sections: dict[str, Any] = {key: options.pop(key, {}) for key in ("model", "loss", "gan", "train")}
    sections["data"] = dict(data) if isinstance(data, Mapping) else {} if data is None else {"source": str(data)}
    options |= {key: Path(options[key]) for key in ("runs", "resume") if options.get(key) is not None}
    resume = options.get("resume")
    if resume is None:
        return fit_config(from_preset(preset or "compact", sections), **options)
    if preset is not None:
        raise RunError(f"preset: got {preset!r} with resume; a run goes on with its own settings, leave it out.")
    _, config = RunFolder.open(resume)
    return fit_config(changed(config, flatten(sections)), **options)


def load(path: str | Path, device: str | None = None) -> Mixer:
    """Read a trained model, ready to mix; the same as Mixer.load.

    Examples:
        >>> mixer = chiasm.load("runs/photos-1")

    Args:
        path: a run folder, a model folder, or the name of a model on the Hugging Face Hub, "user/model".
        device: where to compute; by default a GPU if there is one.
    """
    from chiasm.mixing import Mixer

    return Mixer.load(path, device)


def __getattr__(name: str) -> Any:
    """Codes and Mixer, which load torch, when they are first asked for."""
    if name not in ("Codes", "Mixer"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from chiasm import mixing

    return getattr(mixing, name)
