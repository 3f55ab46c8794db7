"""Ways to a low training loss without disentanglement, measured cheaply enough for every validation."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from chiasm.cross import Codes
from chiasm.data import UNLABELLED
from chiasm.evaluation.bootstrap import Groups, interval, ratio_interval
from chiasm.evaluation.context import EvaluationContext, MetricResult, MixedSet
from chiasm.evaluation.format import Row, number, percent
from chiasm.evaluation.references import ByteImages
from chiasm.evaluation.swap import l1
from chiasm.evaluation.triplets import Triplets
from chiasm.inference import BATCH, encode, generate, hand_out, to_bytes, to_unit
from chiasm.networks import CrossModel

Generated = Float[Tensor, "n 3 h w"]
Distances = Float[Tensor, " n"]
TensorRatio = tuple[Distances, Distances]
Ratio = tuple[NDArray, NDArray]
"""Two arrays over the same pairs; what is measured is the ratio of their means."""

MAX_PAIRS = 256
COPY_RATIO = 0.25
NOISE_SIGMA = 0.02 * 2
JPEG_QUALITY = 75
TINY = 1e-6

COPY_ALARM = 0.5
DIVERSITY_ALARM = 0.1
HIDDEN_ALARM = 0.5

SHOWN = {
    "copy_x1": ("mixes that copy x1", "0 %"),
    "copy_x2": ("mixes that copy x2", "0 %"),
    "use_a": ("use of code A", "well above 0 %"),
    "use_b": ("use of code B", "well above 0 %"),
    "use_a_mean": ("use of code A, against the mean", "well above 0 %"),
    "use_b_mean": ("use of code B, against the mean", "well above 0 %"),
    "diversity": ("diversity of the generated images", "towards 100 %"),
    "cycle": ("L1 after crossing twice", ""),
    "hidden_noise": ("rise with noise on the mixes", "small"),
    "hidden_8bit": ("rise with 8-bit mixes", "small"),
    "hidden_jpeg": ("rise with JPEG mixes", "small"),
}
"""For each shortcut its name and what a sound model would show."""


def measure(mixed: MixedSet) -> MetricResult:
    """Copy-through, use of the codes and hidden signals over pairs that differ in class, and the alarms these raise.

    Returns:
        What shortcut_ratios names: copies in [0, 1], `cycle` on [-1, 1] and the others as ratios; where the truth is
        known the copies among the true mixes, `copy_x1_true` and `copy_x2_true`; and `alarms`, see alarms().

    Source: docs/method.md, sections 6 and 7.
    """
    context, (x1, x2, _) = mixed.context, mixed.triplets
    classes = context.images.by_codes.classes
    differ = np.flatnonzero((classes[x1] != classes[x2]) | ((classes[x1] == UNLABELLED) & (x1 != x2)))[:MAX_PAIRS]
    if len(differ) == 0:
        return "no two mixed images differ in class"
    ratios = shortcut_ratios(context.model, context.images.gather(x1[differ]), context.images.gather(x2[differ]))
    results: dict[str, Any] = {
        name: ratio_interval(*pair, mixed.groups[differ], seed=context.seed) for name, pair in ratios.items()
    }
    if mixed.has_truth:
        chosen = Triplets(*(index[differ] for index in mixed.triplets))
        results |= _true_copies(context, chosen, mixed.groups[differ])
    return results | {"alarms": alarms({name: ratio(*pair) for name, pair in ratios.items()})}


def _true_copies(context: EvaluationContext, triplets: Triplets, groups: Groups) -> dict[str, dict[str, float]]:
    """The share of copies among the true mixes: what an honest model would score.

    Where x1 has x2's content but for a detail, the true mix is nearly x1.
    """
    first, second, true = (to_unit(torch.from_numpy(context.images.gather(index))) for index in triplets)
    apart = l1(first, second)
    return {
        f"copy_{name}_true": interval(copies(l1(true, x), apart).numpy(), groups, seed=context.seed)
        for name, x in (("x1", first), ("x2", second))
    }


def rows(values: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each shortcut."""
    yield "shortcuts", "", "expected"
    for key, (name, expected) in SHOWN.items():
        if key in values:
            shown = number(values[key], 4) if key == "cycle" else percent(values[key]) + " %"
            true = values.get(f"{key}_true")
            yield name, shown, f"{100 * true['mean']:.1f} % (of true mixes)" if true else expected


def copies(mix_to_x: Distances, x1_to_x2: Distances) -> Distances:
    """1 for each mix that is a copy: less than COPY_RATIO as far from x as x1 and x2 are from each other."""
    return (mix_to_x < COPY_RATIO * x1_to_x2).float()


def shortcut_values(model: CrossModel, images_1: ByteImages, images_2: ByteImages) -> dict[str, float]:
    """The shortcuts of shortcut_ratios as plain numbers, for alarms while training; 64 pairs are enough."""
    return {name: ratio(*pair) for name, pair in shortcut_ratios(model, images_1, images_2).items()}


def ratio(values: NDArray, base: NDArray) -> float:
    """Ratio of two means, 0 where the second one is 0."""
    return float(values.mean() / max(base.mean(), TINY))


def shortcut_ratios(model: CrossModel, images_1: ByteImages, images_2: ByteImages) -> dict[str, Ratio]:
    """Copy-through, the use of each code, and hidden signals, pair by pair.

    Mixes are compared with the model's own reconstructions of x1 and x2 rather than with the images, so that neither
    blur nor the original's range mismatch hides a copy. Pairs should differ in class: of two images of one class, x2 is
    the right answer.

    Args:
        model: in evaluation mode.
        images_1: [n, 3, side, side] the images x1.
        images_2: [n, 3, side, side] the images x2.

    Returns:
        `copy_x1`, `copy_x2`: share of mixes x_a1b2 that are copies, see copies(); 1: code B (code A) is ignored.
        `use_a`, `use_b`: how far a reconstruction changes when the code is exchanged for the other image's, as a share
        of how far reconstructions are from each other; 0: the code is ignored. `use_a_mean`, `use_b_mean`: likewise,
        exchanged for the mean code. `diversity`: how far reconstructions are from each other, as a share of the
        images; 0: all alike.
        `cycle`: L1 after crossing twice; `hidden_noise`, `hidden_8bit`, `hidden_jpeg`: by what share it rises when the
        mixes are perturbed before they are read again. Large: the mixes carry a signal that nobody can see.
    """
    codes_1, codes_2 = Codes(*encode(model, images_1)), Codes(*encode(model, images_2))
    x1, x2 = (to_unit(torch.from_numpy(images)) for images in (images_1, images_2))
    ratios = _code_use(model, codes_1, codes_2, l1(x1, x2)) | _hidden_signal(model, x1, codes_1, codes_2)
    return {name: (values.double().numpy(), base.double().numpy()) for name, (values, base) in ratios.items()}


def _code_use(model: CrossModel, codes_1: Codes, codes_2: Codes, x1_to_x2: Distances) -> dict[str, TensorRatio]:
    (a1, b1), (a2, b2) = codes_1, codes_2
    x1_rec, x2_rec, x_a1b2 = generate(model, a1, b1), generate(model, a2, b2), generate(model, a1, b2)
    mean_a, mean_b = (torch.cat(codes).mean(dim=0).expand_as(codes[0]) for codes in ((a1, a2), (b1, b2)))
    apart, to_x1, to_x2 = l1(x1_rec, x2_rec), l1(x_a1b2, x1_rec), l1(x_a1b2, x2_rec)
    ones = torch.ones_like(apart)
    return {
        "copy_x1": (copies(to_x1, apart), ones),
        "copy_x2": (copies(to_x2, apart), ones),
        "use_a": (to_x2, apart),
        "use_b": (to_x1, apart),
        "use_a_mean": (l1(generate(model, mean_a, b1), x1_rec), apart),
        "use_b_mean": (l1(generate(model, a1, mean_b), x1_rec), apart),
        "diversity": (apart, x1_to_x2),
    }


def _hidden_signal(model: CrossModel, x1: Generated, codes_1: Codes, codes_2: Codes) -> dict[str, TensorRatio]:
    """How well x1 is restored by crossing twice, and how much worse when the mixes are perturbed.

    Source: Chu, Zhmoginov & Sandler 2017, CycleGAN, a Master of Steganography.
    """
    x_a1b2, x_a2b1 = generate(model, codes_1.a, codes_2.b), generate(model, codes_2.a, codes_1.b)

    def cross_twice(perturb: Callable[[Generated], Generated]) -> Distances:
        codes = read(model.encoder_a, perturb(x_a1b2)), read(model.encoder_b, perturb(x_a2b1))
        return l1(generate(model, *hand_out(model, *codes)), x1)

    restored = cross_twice(lambda x: x)
    perturbations = {"noise": add_noise, "8bit": requantise, "jpeg": compress}
    hidden = {f"hidden_{name}": (cross_twice(perturb) - restored, restored) for name, perturb in perturbations.items()}
    return {"cycle": (restored, torch.ones_like(restored)), **hidden}


@torch.inference_mode()
def read(encoder: nn.Module, x: Generated) -> Tensor:
    """A code of generated images as they are, neither clipped nor rounded: on the CPU, [n, code]."""
    device = next(encoder.parameters()).device
    return torch.cat([encoder(part.to(device)).cpu() for part in x.split(BATCH)])


def add_noise(x: Generated) -> Generated:
    """Gaussian noise of NOISE_SIGMA on [-1, 1] (2 % of the range), the same at every call."""
    return x + NOISE_SIGMA * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def requantise(x: Generated) -> Generated:
    """Rounded to 8 bits and clipped to [-1, 1], as an image file would."""
    return to_unit(torch.from_numpy(to_bytes(x)))


def compress(x: Generated) -> Generated:
    """Through a JPEG of JPEG_QUALITY."""
    images = []
    for image in to_bytes(x):
        file = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, "JPEG", quality=JPEG_QUALITY)
        images.append(np.asarray(Image.open(file)).transpose(2, 0, 1))
    return to_unit(torch.from_numpy(np.stack(images)))


def alarms(values: Mapping[str, float]) -> list[str]:
    """What is wrong with a model, in plain sentences that name the switches that help.

    Args:
        values: what shortcut_values returned; none where it had no pairs.

    Returns:
        One sentence for each alarm; none for a model that mixes.
    """
    raised: list[str] = []
    if not values:
        return raised
    if values["diversity"] < DIVERSITY_ALARM:
        raised.append(
            f"collapse: all generated images are nearly alike (diversity {values['diversity']:.0%}); train longer, or "
            "try --loss.weight_direct 1 or a smaller --loss.decay_b"
        )
    if values["copy_x1"] > COPY_ALARM:
        raised.append(
            f"copy-through: {values['copy_x1']:.0%} of the mixes equal x1 (code B is ignored, A carries the whole "
            "image); try --loss.weight_swap 1 (needs classes), a smaller --loss.noise_b and --loss.decay_b, or a "
            "narrower --model.code_a"
        )
    if values["copy_x2"] > COPY_ALARM:
        raised.append(
            f"copy-through: {values['copy_x2']:.0%} of the mixes equal x2 (code A is ignored, B carries the whole "
            "image); try --loss.weight_swap 1 or --loss.weight_adversary 0.1 (both need classes), a "
            "larger --loss.noise_b and --loss.decay_b, or a narrower --model.code_b"
        )
    hidden = max(values["hidden_noise"], values["hidden_8bit"])
    if hidden > HIDDEN_ALARM:
        raised.append(
            f"steganography: crossing twice gets {hidden:.0%} worse when the mix is perturbed invisibly (its codes are "
            "hidden in it); try --loss.noise_mix 0.1, or --loss.weight_direct 1 with a smaller --loss.weight_rec"
        )
    return raised
