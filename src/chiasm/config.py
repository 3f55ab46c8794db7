"""The single source of the YAML files, the command line and its help: frozen dataclasses and their checks.

Imports nothing heavy, so that ``chiasm --help`` is instant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from chiasm.checks import ConfigError, check_numbers, number, require
from chiasm.data_config import CHARACTERS, MAX_SEED, Augmentation, AvatarsConfig, DataConfig, Fit, StrengthConfig
from chiasm.loss_config import LossConfig

EncoderKind = Literal["spatial", "pooled"]
"""The names in chiasm.networks.encoder.ENCODERS."""

Upsampling = Literal["nearest", "bilinear"]
"""The names in chiasm.networks.upsample.TAPS."""


__all__ = [
    "CHARACTERS",
    "MAX_SIDE_PX",
    "Augmentation",
    "AvatarsConfig",
    "Config",
    "ConfigError",
    "DataConfig",
    "EncoderKind",
    "Fit",
    "GanConfig",
    "LossConfig",
    "ModelConfig",
    "StrengthConfig",
    "TrainConfig",
    "Upsampling",
    "require",
]

MAX_SIDE_PX = 4096
MAX_BATCH = 65536
MAX_BLOCKS = 12
MIN_FEATURES_PX = 8
"""The smallest side of which features of photographs, down to an eighth of it, have a place."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The networks: two encoders, one AdaIN generator."""

    side_px: int = number(64, 1, MAX_SIDE_PX)
    """Height and width of the images."""
    code_a: int = number(128, 1, 65536)
    """Width of code A: what it is."""
    code_b: int = number(32, 1, 65536)
    """Width of code B: everything else."""
    encoder_widths: tuple[int, ...] = number((16, 32, 64, 128), 1, 16384)
    """Channels of the encoders' blocks; each block halves the side."""
    encoder_stride: Literal[2, 4] = 2
    """Stride of the encoders' first block, whose kernel is twice as large: 4 halves the side twice."""
    maps_a: tuple[int, ...] = number((), 1, 1024)
    """Channels of code A's maps, which the generator gets beside its first feature map, its second, and so on: what
    is where, for images in which things are at about the same place. Code A has these numbers beside code_a."""
    encoder_a: EncoderKind = "spatial"
    """How encoder A ends: 'spatial' has weights for each place, 'pooled' is twice as deep and takes their mean."""
    encoder_b: EncoderKind = "spatial"
    """Likewise encoder B."""
    neighbours_b: int = number(0, 0, 4096)
    """Code B as handed out is the mean of codes B of the training, the nearest of each of so many classes, which leaves
    out what is one class's own; 0: it is that of the image alone. Needs classes."""
    components_b: int = number(0, 0, 65536)
    """What of such a mean is handed out: the best estimate from it of the code itself, in so many directions, those of
    which other classes' codes tell most; the others may tell the class. 0: the mean as it is. Needs neighbours_b."""
    gain_a: float = number(0.0, 0, 100)
    """Code A as handed out, apart from its maps, is what it says of its class, so many times as far from the mean code:
    above 1, mixes show more of the person, of people never seen above all. 0: as it is read. Needs classes."""
    components_a: int = number(0, 0, 65536)
    """How many directions of code A, apart from its maps, are handed out: those in which classes differ most, as a
    multiple of what images of a class do. The others tell other things, such as a typeface's code its character.
    0: all. Needs classes."""
    mirror_a: Literal["auto", "on", "off"] = "off"
    """Whether code A is the mean over an image and its mirror image: 'on' for classes that a mirror leaves the same,
    such as people, who show two views then; 'auto' where the classes of the training images tell no side."""
    code_block: bool = False
    """Whether the codes end in BatchNorm and LeakyReLU as in the original, instead of a plain linear map."""
    dense_widths: tuple[int, ...] = number((256,), 1, 16384)
    """Hidden widths of the dense layers between code B and the generator's first feature map."""
    modulate_dense: bool = True
    """Whether code A modulates these dense layers and the first feature map, too, not only the AdaIN layers."""
    unit_codes: bool = False
    """Whether code A, apart from its maps, and what one dense layer hands to the next have a root mean square of 1."""
    generator_widths: tuple[int, ...] = number((128, 96, 48, 24), 1, 16384)
    """Channels of the first feature map, then of each upsampling block; each block doubles the side."""
    last_upsampling: Upsampling = "nearest"
    """How the last block doubles the side: 'nearest' repeats pixels; 'bilinear' interpolates, so that what must pass
    for a photograph gets no weave."""
    head_widths: tuple[int, ...] = number((), 1, 16384)
    """Channels of further 5x5 convolutions at full size, before the last one."""
    rgb_kernel: int = number(3, 1, 63)
    """Kernel size of the last convolution, odd."""
    output: Literal["tanh", "sigmoid"] = "tanh"
    """Last activation: 'tanh' covers the inputs' range [-1, 1]; 'sigmoid' is the original's range mismatch."""

    def __post_init__(self) -> None:
        check_numbers("model", self)
        for key in ("maps_a", "encoder_widths", "dense_widths", "generator_widths", "head_widths"):
            widths = getattr(self, key)
            require(len(widths) <= MAX_BLOCKS, f"model.{key}", widths, f"give at most {MAX_BLOCKS} widths")
        require(len(self.encoder_widths) >= 1, "model.encoder_widths", (), "give at least one block")
        require(len(self.generator_widths) >= 2, "model.generator_widths", (), "give at least two widths")
        usable = self.components_b == 0 or self.neighbours_b > 0
        require(usable, "model.components_b", self.components_b, "give 0, or model.neighbours_b above 0")
        fits = self.rgb_kernel % 2 == 1 and self.rgb_kernel <= max(3, self.side_px)
        require(fits, "model.rgb_kernel", self.rgb_kernel, "give an odd number, at most the side")
        blocks = max(self.encoder_halvings, len(self.generator_widths) - 1)
        require(
            self.side_px % 2**blocks == 0,
            "model.side_px",
            self.side_px,
            f"the side must be divisible by {2**blocks} for {blocks} halvings; try "
            f"{max(1, round(self.side_px / 2**blocks)) * 2**blocks}, or fewer encoder_widths and generator_widths",
        )
        seen = all(0 <= block < len(self.encoder_widths) for block in self.maps_blocks)
        remedy = "no block of the encoders gives maps of that side; give fewer, or more encoder_widths"
        require(seen, "model.maps_a", self.maps_a, remedy)

    @property
    def encoder_halvings(self) -> int:
        """How often the encoders halve the side before the code."""
        return len(self.encoder_widths) + (self.encoder_stride == 4)

    @property
    def maps_px(self) -> tuple[int, ...]:
        """The sides of code A's maps."""
        base_px = self.side_px >> (len(self.generator_widths) - 1)
        return tuple(base_px << i for i in range(len(self.maps_a)))

    @property
    def maps_blocks(self) -> tuple[int, ...]:
        """The encoders' blocks, from 0, that give maps of these sides."""
        smallest = len(self.generator_widths) - 2 - self.encoder_halvings + len(self.encoder_widths)
        return tuple(smallest - i for i in range(len(self.maps_a)))

    @property
    def width_a(self) -> int:
        """All numbers of code A: code_a, then those of its maps."""
        return self.code_a + sum(k * px**2 for k, px in zip(self.maps_a, self.maps_px, strict=True))


@dataclass(frozen=True, kw_only=True)
class GanConfig:
    """The GAN loss on generated images; a weight of 0 switches it off."""

    weight: float = number(0.0, 0)
    """Weight of the generator's term (eq. 20); on swaps its gradient in the image as a share of theirs (eq. 25)."""
    judges: Literal["mixes", "swaps"] = "mixes"
    """Which images the discriminator judges: 'mixes', whose truth is unknown, or 'swaps', those of the same-class swap
    (eq. 5), whose content stays what it is while they become sharper."""
    sees: Literal["pixels", "features"] = "pixels"
    """What it sees of them: 'pixels', or 'features' of photographs, which need the extra 'perceptual'."""
    kind: Literal["hinge", "lsgan"] = "hinge"
    """Which loss."""
    start: float = number(0.0, 0, 1)
    """Fraction of the training after which the discriminator begins to learn; until then there is no GAN."""
    head_start: float = number(0.0, 0, 1)
    """Fraction of the training after which the generator's term begins, where that is later."""
    ramp: float = number(0.0, 0, 1)
    """Fraction of the training over which the weight then grows from nothing."""
    r1: float = number(0.0, 0)
    """Weight of the gradient penalty on real images (eq. 21)."""
    conditional: bool = True
    """Whether the discriminator gets the class that an image shall show, where classes are known."""
    widths: tuple[int, ...] = number((32, 64, 128), 1, 4096)
    """Channels of the discriminator's stride-2 convolutions, where it sees pixels."""
    lr: float = 2e-4
    """Adam's step size for the discriminator."""

    def __post_init__(self) -> None:
        check_numbers("gan", self)
        require(0 < len(self.widths) <= MAX_BLOCKS, "gan.widths", self.widths, f"give 1 to {MAX_BLOCKS} widths")
        require(self.lr > 0, "gan.lr", self.lr, "give a positive number")

    def weight_at(self, progress: float) -> float:
        """The weight when a fraction of the training is over: 0 in the head start, then constant or a ramp."""
        begin = max(self.start, self.head_start)
        if progress < begin:
            return 0.0
        return self.weight * (min(1.0, (progress - begin) / self.ramp) if self.ramp > 0 else 1.0)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The loop: budgets, optimiser, hardware, logging."""

    batch_size: int = number(16, 2, MAX_BATCH)
    """Images in a step on each device; even, since pairs are two halves of the batch."""
    epochs: float | None = number(None, 0, 1_000_000)
    """Budget in passes over the training images."""
    steps: int | None = number(None, 1, 10**12)
    """Budget in optimiser steps."""
    max_minutes: float | None = number(None, 0, 10_000_000)
    """Budget in minutes. Training ends with the first budget that is used up. The step size then follows the clock, so
    that only a budget in steps or epochs repeats and resumes to the last bit."""
    optimizer: Literal["muon", "adam"] = "muon"
    """'muon' takes orthogonal steps in convolutions and dense layers of a fit size, and Adam's in everything else;
    'adam' takes Adam's everywhere."""
    lr: float = 1e-3
    """Step size, until it falls to zero as the budget ends."""
    adam_share: float = number(1.0, 0)
    """Beside Muon, Adam's step size as a multiple of lr."""
    weight_decay: float = number(0.0, 0, 100)
    """Muon's matrices shrink by this x lr at every step, beside what they learn: steps are of equal size, and would
    mean ever less to growing matrices."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's decay rates of the first and second moments."""
    cooldown: float = number(0.4, 0, 1)
    """Fraction of the training, at its end, over which the step size falls to zero in a straight line."""
    seed: int = number(0, 0, MAX_SEED)
    """Seed of the weights, the batches and the noise."""
    validate_every: int = number(500, 1, 10**12)
    """Steps between two validations."""
    num_val_pairs: int = number(64, 1, MAX_BATCH)
    """Pairs measured at each validation."""
    slice_size: int = number(0, 0, MAX_BATCH)
    """Generate so many images at a time, and once more in the backward pass: far less memory, a third more work."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile: 'auto' uses it where the run is long enough to pay for it."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """'auto' is bf16-mixed on GPUs that have it, otherwise float32."""
    devices: int = number(1, 1, 1024)
    """Number of devices on this machine."""
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    """Where to compute: 'auto' takes a GPU if there is one."""

    def __post_init__(self) -> None:
        check_numbers("train", self)
        even = f"a batch is cut into pairs: give an even number, such as {self.batch_size - 1}"
        require(self.batch_size % 2 == 0, "train.batch_size", self.batch_size, even)
        budgets = {"epochs": self.epochs, "steps": self.steps, "max_minutes": self.max_minutes}
        for key, value in budgets.items():
            require(value is None or value > 0, f"train.{key}", value, "give a positive number")
        require(
            any(v is not None for v in budgets.values()),
            "train.epochs, train.steps, train.max_minutes",
            None,
            "give at least one budget",
        )
        require(self.lr > 0, "train.lr", self.lr, "give a positive number")
        require(all(0 <= b < 1 for b in self.betas), "train.betas", self.betas, "give two numbers in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole experiment."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    gan: GanConfig = field(default_factory=GanConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(max_minutes=10.0))

    def __post_init__(self) -> None:
        if self.gan.weight > 0:
            self._check_gan()
        changed = self.data.own_partner == 0 or self.data.a_ignores or self.model.mirror_a == "on"
        remedy = (
            "an image that is its own partner would be copied; name what code A must ignore, or --model.mirror_a on"
        )
        require(bool(changed), "data.a_ignores", self.data.a_ignores, remedy)
        read = self.data.groups == 0 or self.loss.weight_adversary == 0
        remedy = "with data.groups code B is mostly of another class than the one its adversary is told; give 0"
        require(read, "loss.weight_adversary", self.loss.weight_adversary, remedy)

    def _check_gan(self) -> None:
        halvings, side_px = len(self.gan.widths), self.model.side_px
        if self.gan.sees == "pixels":
            remedy = f"{halvings} halvings are too many for {side_px} px; give fewer widths"
            require(2**halvings <= side_px, "gan.widths", self.gan.widths, remedy)
        else:
            require(side_px >= MIN_FEATURES_PX, "gan.sees", self.gan.sees, f"{side_px} px are too few; give 'pixels'")
        swaps = self.gan.judges == "mixes" or self.loss.weight_swap > 0
        require(swaps, "gan.judges", self.gan.judges, "without loss.weight_swap there are no swaps; give 'mixes'")
