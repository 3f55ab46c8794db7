"""One function for each experiment, which returns a whole configuration; most are another one with changes."""

from collections.abc import Callable, Mapping
from typing import Any

from chiasm.config import Config, ConfigError, LossConfig, ModelConfig, TrainConfig
from chiasm.overrides import changed, flatten


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
        train=TrainConfig(epochs=20.0, batch_size=32, optimizer="adam", lr=2e-4, betas=(0.9, 0.999), cooldown=0.0),
    )


def original_small() -> Config:
    """The original at 64 px with a quarter of the channels, otherwise to the letter."""
    return changed(
        original(),
        {
            "model.side_px": 64,
            "model.code_a": 64,
            "model.code_b": 64,
            "model.encoder_widths": (8, 16, 32, 64),
            "model.dense_widths": (512, 1024),
            "model.generator_widths": (64, 64, 64, 64),
            "model.head_widths": (16,),
            # A step takes most of a second on a CPU: short runs would hardly be validated.
            "train.validate_every": 100,
        },
    )


def compact() -> Config:
    """The default: 64 px, narrow towards the output, same-class swap with a noisy code B; ten minutes."""
    return changed(
        Config(),
        {
            "model.encoder_widths": (32, 64, 128),
            "model.encoder_stride": 4,
            "model.components_a": 64,
            "model.unit_codes": True,
            "model.mirror_a": "auto",
            "loss.noise_b": 0.12,
            "loss.weight_contrastive_a": 0.0,
            "loss.weight_difference": 0.75,
            "loss.weight_squared": 4.0,
            "train.adam_share": 3.0,
            "train.weight_decay": 0.3,
            "train.validate_every": 1000,
        },
    )


def identity() -> Config:
    """What works best where all images have a class, the losses of `compact`, for fifteen minutes."""
    return changed(compact(), {"train.max_minutes": 15.0})


def faces() -> Config:
    """Photographs in which a head stands a little elsewhere every time: code B must not tell where exactly, and is read
    from images lit, zoomed, turned and blurred at random, so that it can be read from people never seen."""
    return changed(
        Config(),
        {
            "data.b_ignores": ("light", "zoom", "rotate", "blur"),
            "data.strength.light": 0.7,
            "data.strength.zoom": 0.15,
            "data.strength.rotate": 10.0,
            "model.encoder_b": "pooled",
            "model.neighbours_b": 8,
            "model.components_a": 64,
            "loss.shift_b": 0.08,
            "loss.weight_consistency": 3e-3,
            "train.max_minutes": 15.0,
        },
    )


def portraits() -> Config:
    """Aligned photographs of many people, to mix people never seen: code A has maps, is the mean over an image and its
    mirror image, and learns from what it must draw as well; what is drawn must pass for a photograph; an hour, the last
    minutes of which are encoder A's alone, and then the generator's."""
    return changed(
        Config(),
        {
            "data.fit": "close",
            "data.own_partner": 0.2,
            "data.vary": ("light", "colour"),
            "data.strength.light": 0.15,
            "data.strength.colour": 0.1,
            "model.encoder_widths": (32, 64, 128, 256),
            "model.encoder_a": "pooled",
            "model.maps_a": (32, 16),
            "model.neighbours_b": 20,
            "model.components_b": 12,
            "model.gain_a": 1.0,
            "model.mirror_a": "on",
            "model.unit_codes": True,
            "loss.weight_perceptual": 16.0,
            "loss.weight_difference": 0.0,
            "loss.weight_adversary": 0.5,
            "loss.inversion_start": 0.88,
            "loss.refinement_start": 0.94,
            "gan.weight": 0.3,
            "gan.judges": "swaps",
            "gan.sees": "features",
            "gan.start": 0.4,
            "gan.head_start": 0.5,
            "gan.ramp": 0.1,
            "train.batch_size": 32,
            "train.adam_share": 2.0,
            "train.weight_decay": 0.3,
            "train.validate_every": 1000,
            "train.max_minutes": 60.0,
        },
    )


def portraits_128() -> Config:
    """`portraits` at 128 px, narrower for its size: half the images in an hour, a photograph's detail."""
    return changed(
        portraits(),
        {
            "model.side_px": 128,
            "model.encoder_stride": 4,
            "model.generator_widths": (128, 96, 48, 24, 16),
            "model.last_upsampling": "bilinear",
            "model.gain_a": 0.7,
            "loss.weight_spread": 0.5,
            "gan.weight": 0.9,
            "train.batch_size": 16,
        },
    )


def typefaces() -> Config:
    """Characters of many typefaces, to complete typefaces never seen: 32 px, code A from up to four characters, code B
    from the same character in another typeface, as far as groups tell; half an hour."""
    return changed(
        Config(),
        {
            "data.groups": 36,
            "data.partners": 4,
            "model.side_px": 32,
            "model.components_a": 24,
            "model.dense_widths": (256, 256, 256),
            "model.unit_codes": True,
            "model.generator_widths": (256, 128, 96, 48),
            "loss.noise_b": 0.1,
            "loss.weight_contrastive_a": 0.0,
            "loss.weight_adversary": 0.0,
            "train.adam_share": 3.0,
            "train.weight_decay": 0.3,
            "train.max_minutes": 30.0,
        },
    )


def partial() -> Config:
    """A tenth of the images with their class: an unlabelled image is its own partner."""
    return changed(Config(), {"data.supervision": "partial", "train.max_minutes": 15.0})


def unlabelled() -> Config:
    """Images without any label: code A is read from images turned and mirrored, and must draw them as they were."""
    return changed(
        Config(),
        {
            "data.supervision": "augmentations",
            "data.a_ignores": ("rotate", "flip"),
            "loss.weight_adversary": 0.0,
        },
    )


def photo() -> Config:
    """`faces` at 128 px with wider networks, and without its `data.b_ignores`; an hour."""
    return changed(
        faces(),
        {
            "data.b_ignores": (),  # not measured at this size
            "model.side_px": 128,
            "model.code_a": 256,
            "model.code_b": 64,
            "model.encoder_widths": (16, 32, 64, 128, 256),
            "model.generator_widths": (192, 128, 96, 48, 24),
            "train.max_minutes": 60.0,
        },
    )


def tiny() -> Config:
    """A few seconds from end to end, for tests."""
    return changed(
        Config(),
        {
            "data.avatars.num_people": 12,
            "data.avatars.num_expressions": 2,
            "data.avatars.tilts_deg": (-20, 20),
            "model.side_px": 16,
            "model.code_a": 8,
            "model.code_b": 4,
            "model.encoder_widths": (8, 8),
            "model.dense_widths": (),
            "model.generator_widths": (8, 8, 8),
            "train.steps": 4,
            "train.max_minutes": None,
            "train.batch_size": 8,
            "train.validate_every": 2,
            "train.num_val_pairs": 4,
            "train.compile": "off",
        },
    )


PRESETS: dict[str, Callable[[], Config]] = {
    "compact": compact,
    "faces": faces,
    "identity": identity,
    "partial": partial,
    "photo": photo,
    "portraits": portraits,
    "portraits-128": portraits_128,
    "original": original,
    "original-small": original_small,
    "tiny": tiny,
    "typefaces": typefaces,
    "unlabelled": unlabelled,
}


def from_preset(name: str, changes: Mapping[str, Any] | None = None) -> Config:
    """A preset with some of its settings changed.

    Args:
        name: of the preset.
        changes: settings in sections, such as {"loss": {"gamma": 1.0}}, or under dotted keys.

    Raises:
        ConfigError: for an unknown preset, section or key.
    """
    if not (isinstance(name, str) and name in PRESETS):
        raise ConfigError(f"preset: got {name!r}; give one of {', '.join(PRESETS)}.")
    return changed(PRESETS[name](), flatten(changes or {}))
