"""Ways to a low training loss without disentanglement, measured cheaply enough for every validation."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from chiasm.cross import Codes
from chiasm.evaluation.inference import BATCH, draw, encode, to_bytes, to_unit
from chiasm.evaluation.references import Pictures
from chiasm.evaluation.swap import l1
from chiasm.networks import CrossModel

Drawn = Float[Tensor, "n 3 h w"]
Distances = Float[Tensor, " n"]
TensorRatio = tuple[Distances, Distances]

COPY_RATIO = 0.25
NOISE_SIGMA = 0.02 * 2
JPEG_QUALITY = 75
TINY = 1e-6

COPY_ALARM = 0.5
SPREAD_ALARM = 0.1
HIDDEN_ALARM = 0.5


Ratio = tuple[NDArray, NDArray]
"""Two arrays over the same pairs; the measure is the ratio of their means."""


def copies(mix_to_x: Distances, x1_to_x2: Distances) -> Distances:
    """1 for each mix that is a copy: less than COPY_RATIO as far from x as x1 and x2 are from each other."""
    return (mix_to_x < COPY_RATIO * x1_to_x2).float()


def measure_cheats(model: CrossModel, pictures_1: Pictures, pictures_2: Pictures) -> dict[str, float]:
    """The cheats of cheat_ratios as plain numbers, for alarms while training; 64 pairs are enough."""
    return {name: ratio(*pair) for name, pair in cheat_ratios(model, pictures_1, pictures_2).items()}


def ratio(values: NDArray, base: NDArray) -> float:
    """Ratio of two means, 0 where the second one is 0."""
    return float(values.mean() / max(base.mean(), TINY))


def cheat_ratios(model: CrossModel, pictures_1: Pictures, pictures_2: Pictures) -> dict[str, Ratio]:
    """Copy-through, the use of each code, and hidden signals, pair by pair.

    Mixes are compared with the model's own reconstructions of x1 and x2 rather than with the pictures, so that neither
    blur nor the report's range mismatch hides a copy. Pairs should differ in class: of two pictures of one class, x2 is
    the right answer.

    Args:
        model: in evaluation mode.
        pictures_1: [n, 3, side, side] the pictures x1.
        pictures_2: [n, 3, side, side] the pictures x2.

    Returns:
        `copy_x1`, `copy_x2`: share of mixes x_a1b2 that are copies, see copies(); 1: code B (code A) is ignored.
        `use_a`, `use_b`: how far a reconstruction moves when the code is exchanged for the other picture's, as a share
        of how far reconstructions lie apart; 0: the code is ignored. `use_a_mean`, `use_b_mean`: likewise, exchanged
        for the mean code. `spread`: how far reconstructions lie apart, as a share of the pictures; 0: all alike.
        `home`: L1 after crossing twice; `hidden_noise`, `hidden_8bit`, `hidden_jpeg`: by what share it rises when the
        mixes are disturbed before they are read again. Large: the mixes carry a signal that nobody can see.
    """
    codes_1, codes_2 = Codes(*encode(model, pictures_1)), Codes(*encode(model, pictures_2))
    x1, x2 = (to_unit(torch.from_numpy(pictures)) for pictures in (pictures_1, pictures_2))
    ratios = _code_use(model, codes_1, codes_2, l1(x1, x2)) | _hidden_signal(model, x1, codes_1, codes_2)
    return {name: (values.double().numpy(), base.double().numpy()) for name, (values, base) in ratios.items()}


def _code_use(model: CrossModel, codes_1: Codes, codes_2: Codes, x1_to_x2: Distances) -> dict[str, TensorRatio]:
    (a1, b1), (a2, b2) = codes_1, codes_2
    x1_drawn, x2_drawn, x_a1b2 = draw(model, a1, b1), draw(model, a2, b2), draw(model, a1, b2)
    mean_a, mean_b = (torch.cat(codes).mean(dim=0).expand_as(codes[0]) for codes in ((a1, a2), (b1, b2)))
    apart, to_x1, to_x2 = l1(x1_drawn, x2_drawn), l1(x_a1b2, x1_drawn), l1(x_a1b2, x2_drawn)
    ones = torch.ones_like(apart)
    return {
        "copy_x1": (copies(to_x1, apart), ones),
        "copy_x2": (copies(to_x2, apart), ones),
        "use_a": (to_x2, apart),
        "use_b": (to_x1, apart),
        "use_a_mean": (l1(draw(model, mean_a, b1), x1_drawn), apart),
        "use_b_mean": (l1(draw(model, a1, mean_b), x1_drawn), apart),
        "spread": (apart, x1_to_x2),
    }


def _hidden_signal(model: CrossModel, x1: Drawn, codes_1: Codes, codes_2: Codes) -> dict[str, TensorRatio]:
    """How well x1 comes home, and how much worse when the mixes are disturbed.

    Source: Chu, Zhmoginov & Sandler 2017, CycleGAN, a Master of Steganography.
    """
    x_a1b2, x_a2b1 = draw(model, codes_1.a, codes_2.b), draw(model, codes_2.a, codes_1.b)

    def come_home(disturb: Callable[[Drawn], Drawn]) -> Distances:
        a_of_a1b2 = read(model.encoder_a, disturb(x_a1b2))
        b_of_a2b1 = read(model.encoder_b, disturb(x_a2b1))
        return l1(draw(model, a_of_a1b2, b_of_a2b1), x1)

    home = come_home(lambda x: x)
    disturbances = {"noise": add_noise, "8bit": requantise, "jpeg": compress}
    hidden = {f"hidden_{name}": (come_home(disturb) - home, home) for name, disturb in disturbances.items()}
    return {"home": (home, torch.ones_like(home)), **hidden}


@torch.inference_mode()
def read(encoder: nn.Module, x: Drawn) -> Tensor:
    """A code of drawn pictures as they are, neither clipped nor rounded: on the CPU, [n, code]."""
    device = next(encoder.parameters()).device
    return torch.cat([encoder(part.to(device)).cpu() for part in x.split(BATCH)])


def add_noise(x: Drawn) -> Drawn:
    """Gaussian noise of NOISE_SIGMA on [-1, 1] (2 % of the range), the same at every call."""
    return x + NOISE_SIGMA * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def requantise(x: Drawn) -> Drawn:
    """Rounded to 8 bits and clipped to [-1, 1], as a picture file would."""
    return to_unit(torch.from_numpy(to_bytes(x)))


def compress(x: Drawn) -> Drawn:
    """Through a JPEG of JPEG_QUALITY."""
    pictures = []
    for picture in to_bytes(x):
        file = io.BytesIO()
        Image.fromarray(picture.transpose(1, 2, 0)).save(file, "JPEG", quality=JPEG_QUALITY)
        pictures.append(np.asarray(Image.open(file)).transpose(2, 0, 1))
    return to_unit(torch.from_numpy(np.stack(pictures)))


def alarms(values: Mapping[str, float]) -> list[str]:
    """What is wrong with a model, in plain sentences that name the switches that help.

    Args:
        values: what measure_cheats returned.

    Returns:
        One sentence for each alarm; none for a sound model.
    """
    sounded = []
    if values["spread"] < SPREAD_ALARM:
        sounded.append(
            f"collapse: all pictures are drawn nearly alike (spread {values['spread']:.0%}); train longer, or try "
            "--loss.weight_direct 1 or a smaller --loss.decay_b"
        )
    if values["copy_x1"] > COPY_ALARM:
        sounded.append(
            f"copy-through: {values['copy_x1']:.0%} of the mixes equal x1 (code B is ignored, A carries the whole "
            "picture); try --loss.weight_swap 1 (needs classes), a smaller --loss.noise_b and --loss.decay_b, or a "
            "narrower --model.code_a"
        )
    if values["copy_x2"] > COPY_ALARM:
        sounded.append(
            f"copy-through: {values['copy_x2']:.0%} of the mixes equal x2 (code A is ignored, B carries the whole "
            "picture); try --loss.weight_swap 1 or --loss.weight_adversary 0.1 (both need classes), a "
            "larger --loss.noise_b and --loss.decay_b, or a narrower --model.code_b"
        )
    hidden = max(values["hidden_noise"], values["hidden_8bit"])
    if hidden > HIDDEN_ALARM:
        sounded.append(
            f"steganography: coming home gets {hidden:.0%} worse when the mix is disturbed invisibly (its codes are "
            "hidden in it); try --loss.noise_mix 0.1, or --loss.weight_direct 1 with a smaller --loss.weight_rec"
        )
    return sounded
