"""Ways to a low training loss without disentanglement, measured cheaply enough for every validation."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from chiasm.evaluation.inference import draw, encode, to_bytes, to_unit
from chiasm.evaluation.references import Pictures
from chiasm.evaluation.swap import l1
from chiasm.networks import CrossModel

Drawn = Float[Tensor, "n 3 h w"]
Distances = Float[Tensor, "n"]

COPY_RATIO = 0.25
NOISE_SIGMA = 0.02 * 2
JPEG_QUALITY = 75
TINY = 1e-6

COPY_ALARM = 0.5
SPREAD_ALARM = 0.1
HIDDEN_ALARM = 0.5


class Distance(NamedTuple):
    """What the cheats are measured by, each picture pair apart: L1 on [-1, 1]."""

    originals: Distances
    drawn: Distances
    mix_to_x1: Distances
    mix_to_x2: Distances
    mean_a: Distances
    mean_b: Distances


def copies(mix_to_x: Distances, x1_to_x2: Distances) -> Distances:
    """1 for each mix that is a copy: less than COPY_RATIO as far from x as x1 and x2 are from each other."""
    return (mix_to_x < COPY_RATIO * x1_to_x2).float()


def share_moved(moved: Distances, x1_to_x2: Distances) -> float:
    """How far pictures move when a code is exchanged, as a share of how far pictures lie apart; 0: it is ignored."""
    return float(moved.mean() / x1_to_x2.mean().clamp(min=TINY))


def measure_cheats(model: CrossModel, pictures_1: Pictures, pictures_2: Pictures) -> dict[str, float]:
    """Copy-through, the use of each code, and hidden signals, on a few pairs of pictures.

    Mixes are compared with the model's own reconstructions of x1 and x2 rather than with the pictures, so that neither
    blur nor the report's range mismatch hides a copy. Pairs should differ in class: of two pictures of one class, x2 is
    the right answer.

    Args:
        model: in evaluation mode.
        pictures_1: [n, 3, side, side] the pictures x1.
        pictures_2: [n, 3, side, side] the pictures x2.

    Returns:
        `copy_x1`, `copy_x2`: share of mixes x_a1b2 that are copies, see copies(); 1: code B (code A) is ignored.
        `use_a`, `use_b`: see share_moved(), the code exchanged for the other picture's; `use_a_mean`, `use_b_mean`:
        for the mean code. `spread`: how far reconstructions lie apart, as a share of the pictures; 0: all alike.
        `home`: L1 after crossing twice; `hidden_noise`, `hidden_8bit`, `hidden_jpeg`: by what share it rises when the
        mixes are disturbed before they are read again. Large: the mixes carry a signal that nobody can see.
    """
    codes_1, codes_2 = encode(model, pictures_1), encode(model, pictures_2)
    found = distances(model, pictures_1, pictures_2, codes_1, codes_2)
    values = {
        "copy_x1": float(copies(found.mix_to_x1, found.drawn).mean()),
        "copy_x2": float(copies(found.mix_to_x2, found.drawn).mean()),
        "use_a": share_moved(found.mix_to_x2, found.drawn),
        "use_b": share_moved(found.mix_to_x1, found.drawn),
        "use_a_mean": share_moved(found.mean_a, found.drawn),
        "use_b_mean": share_moved(found.mean_b, found.drawn),
        "spread": share_moved(found.drawn, found.originals),
    }
    return values | hidden_signal(model, pictures_1, codes_1, codes_2)


def distances(
    model: CrossModel,
    pictures_1: Pictures,
    pictures_2: Pictures,
    codes_1: tuple[Tensor, Tensor],
    codes_2: tuple[Tensor, Tensor],
) -> Distance:
    """How far originals, reconstructions and mixes lie apart.

    Args:
        model: in evaluation mode.
        pictures_1: the pictures x1.
        pictures_2: the pictures x2.
        codes_1: codes A and B of x1.
        codes_2: codes A and B of x2.
    """
    (a1, b1), (a2, b2) = codes_1, codes_2
    x1_drawn, x2_drawn, x_a1b2 = draw(model, a1, b1), draw(model, a2, b2), draw(model, a1, b2)
    mean_a = torch.cat([a1, a2]).mean(dim=0).expand_as(a1)
    mean_b = torch.cat([b1, b2]).mean(dim=0).expand_as(b1)
    return Distance(
        originals=l1(_unit(pictures_1), _unit(pictures_2)),
        drawn=l1(x1_drawn, x2_drawn),
        mix_to_x1=l1(x_a1b2, x1_drawn),
        mix_to_x2=l1(x_a1b2, x2_drawn),
        mean_a=l1(draw(model, mean_a, b1), x1_drawn),
        mean_b=l1(draw(model, a1, mean_b), x1_drawn),
    )


def hidden_signal(
    model: CrossModel, pictures_1: Pictures, codes_1: tuple[Tensor, Tensor], codes_2: tuple[Tensor, Tensor]
) -> dict[str, float]:
    """Error after crossing twice, and by what share it rises when the mixes are disturbed.

    Args:
        model: in evaluation mode.
        pictures_1: the pictures x1, which should come home.
        codes_1: codes A and B of x1.
        codes_2: codes A and B of x2.

    Source: Chu, Zhmoginov & Sandler 2017, CycleGAN, a Master of Steganography.
    """
    mixes = draw(model, codes_1[0], codes_2[1]), draw(model, codes_2[0], codes_1[1])

    def come_home(disturb: Callable[[Drawn], Drawn]) -> float:
        a_of_a1b2, _ = read_codes(model, disturb(mixes[0]))
        _, b_of_a2b1 = read_codes(model, disturb(mixes[1]))
        return float(l1(draw(model, a_of_a1b2, b_of_a2b1), _unit(pictures_1)).mean())

    home = come_home(lambda x: x)
    disturbances = {"noise": add_noise, "8bit": requantise, "jpeg": compress}
    return {"home": home} | {
        f"hidden_{name}": come_home(disturb) / max(home, TINY) - 1 for name, disturb in disturbances.items()
    }


@torch.inference_mode()
def read_codes(model: CrossModel, x: Drawn) -> tuple[Tensor, Tensor]:
    """Codes A and B of drawn pictures, as they are: neither clipped nor rounded."""
    device = next(model.parameters()).device
    chunks = [part.to(device) for part in x.split(64)]
    a, b = zip(*((model.encoder_a(part).cpu(), model.encoder_b(part).cpu()) for part in chunks), strict=True)
    return torch.cat(a), torch.cat(b)


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
            "picture); try --loss.weight_swap 1 (needs classes), a larger --loss.noise_b and --loss.decay_b, or a "
            "narrower --model.code_b"
        )
    hidden = max(values["hidden_noise"], values["hidden_8bit"])
    if hidden > HIDDEN_ALARM:
        sounded.append(
            f"steganography: coming home gets {hidden:.0%} worse when the mix is disturbed invisibly (its codes are "
            "hidden in it); try --loss.weight_direct 1 or --loss.weight_swap 1 with a smaller --loss.weight_rec"
        )
    return sounded


def _unit(pictures: Pictures) -> Tensor:
    return to_unit(torch.from_numpy(pictures))
