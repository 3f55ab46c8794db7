"""One function for each experiment, which returns a whole configuration."""

import dataclasses
from collections.abc import Callable
from typing import Any

from chiasm.config import (
    AvatarsConfig,
    Config,
    ConfigError,
    DataConfig,
    LossConfig,
    ModelConfig,
    TrainConfig,
    from_dict,
    to_dict,
)


def original() -> Config:
    """The original to the letter: its networks, losses, protocol. Source: docs/method.md, sections 2.1, 3.1 and 4.1."""
    return Config(
        model=ModelConfig(
            side_px=128,
            code_a=256,
            code_b=256,
            encoder_widths=(32, 64, 128, 256, 512),
            code_block=True,
            dense_widths=(2048, 4096),
            modulate_dense=False,
            generator_widths=(256, 256, 256, 256, 256),
            head_widths=(64,),
            rgb_kernel=7,
            output="sigmoid",
        ),
        loss=LossConfig.only(weight_rec=1.0, gamma=0.4),
        train=TrainConfig(epochs=20.0, batch_size=32, lr=2e-4, betas=(0.9, 0.999), cosine=False),
    )


def original_small() -> Config:
    """The original at 64 px with a quarter of the channels, otherwise to the letter."""
    whole = original()
    model = ModelConfig(
        side_px=64,
        code_a=64,
        code_b=64,
        encoder_widths=(8, 16, 32, 64),
        code_block=True,
        dense_widths=(512, 1024),
        modulate_dense=False,
        generator_widths=(64, 64, 64, 64),
        head_widths=(16,),
        rgb_kernel=7,
        output="sigmoid",
    )
    # A step takes most of a second on a CPU: short runs would hardly be validated.
    return Config(model=model, loss=whole.loss, train=dataclasses.replace(whole.train, validate_every=100))


def compact() -> Config:
    """The default: 64 px, narrow towards the output, same-class swap with a noisy code B; ten minutes."""
    return Config()


def identity() -> Config:
    """What works best where all images have a class, the losses of `compact`, for fifteen minutes."""
    return Config(train=TrainConfig(max_minutes=15.0))


def faces() -> Config:
    """Photographs in which a head stands a little elsewhere every time: code B must not tell where exactly."""
    whole = identity()
    model = dataclasses.replace(whole.model, encoder_b="pooled")
    loss = dataclasses.replace(whole.loss, shift_b=0.08, weight_consistency=3e-3)
    return dataclasses.replace(whole, model=model, loss=loss)


def partial() -> Config:
    """A tenth of the images with their class: `compact`, to which an unlabelled image is its own partner."""
    return Config(data=DataConfig(supervision="partial"), train=TrainConfig(max_minutes=15.0))


def unlabelled() -> Config:
    """Images without any label: crossing twice, direct reconstruction, and a noisy code B."""
    return Config(
        data=DataConfig(supervision="none"),
        loss=LossConfig.only(weight_direct=1.0, weight_rec=1.0, gamma=0.4, cross_start=0.2, noise_b=1.0, decay_b=1e-3),
    )


def photo() -> Config:
    """128 px in the manner of `compact`; an hour."""
    return Config(
        model=ModelConfig(
            side_px=128,
            code_a=256,
            code_b=64,
            encoder_widths=(16, 32, 64, 128, 256),
            generator_widths=(192, 128, 96, 48, 24),
        ),
        train=TrainConfig(max_minutes=60.0),
    )


def tiny() -> Config:
    """A few seconds from end to end, for tests."""
    return Config(
        data=DataConfig(avatars=AvatarsConfig(num_people=12, num_expressions=2, tilts_deg=(-20, 20))),
        model=ModelConfig(
            side_px=16,
            code_a=8,
            code_b=4,
            encoder_widths=(8, 8),
            dense_widths=(),
            generator_widths=(8, 8, 8),
        ),
        train=TrainConfig(steps=4, batch_size=8, validate_every=2, num_val_pairs=4, compile="off"),
    )


PRESETS: dict[str, Callable[[], Config]] = {
    "compact": compact,
    "faces": faces,
    "identity": identity,
    "partial": partial,
    "photo": photo,
    "original": original,
    "original-small": original_small,
    "tiny": tiny,
    "unlabelled": unlabelled,
}


def from_preset(name: str, changes: dict[str, dict[str, Any]] | None = None) -> Config:
    """A preset with some of its settings changed.

    Args:
        name: of the preset.
        changes: for each section (data, model, loss, gan, train) the keys to change.

    Raises:
        ConfigError: for an unknown preset, section or key.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: got {name!r}; give one of {', '.join(PRESETS)}.")
    settings = to_dict(PRESETS[name]())
    for section, values in (changes or {}).items():
        settings[section] = settings.get(section, {}) | values
    return from_dict(Config, settings)
