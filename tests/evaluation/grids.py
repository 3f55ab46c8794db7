"""Hand-made sets and models for the tests of the evaluation."""

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.config import ModelConfig
from chiasm.data import UNLABELLED, ImageSet
from chiasm.inference import to_unit
from chiasm.networks import CrossModel

SIDE = 16
BITS = 6


def grid(num_classes: int = 12, num_contents: int = 4, num_copies: int = 1, labelled: bool = True) -> ImageSet:
    """Every class with every content: the class is the colour, the content a bright bar's place."""
    number = np.arange(num_classes * num_contents * num_copies)
    classes, rest = np.divmod(number, num_contents * num_copies)
    contents = rest % num_contents
    rng = np.random.default_rng(0)
    colours = rng.permutation(np.stack(np.meshgrid(*[[0, 90, 170]] * 3), -1).reshape(-1, 3))[:num_classes]
    images = np.repeat(colours[classes].astype(np.uint8), SIDE * SIDE, axis=1).reshape(-1, 3, SIDE, SIDE)
    width = SIDE // num_contents
    for i, content in enumerate(contents):
        images[i, :, 2:-2, content * width : (content + 1) * width] = 250
    images[:, 0, 0, :] += rng.integers(0, 5, size=(len(number), SIDE), dtype=np.uint8)
    unknown = np.full(len(number), UNLABELLED)
    return ImageSet(
        images=images,
        names=tuple(f"{i:03d}" for i in number),
        classes=classes if labelled else unknown,
        class_names=tuple(f"class {c}" for c in range(num_classes)) if labelled else (),
        contents=contents[:, None] if labelled else np.zeros((len(number), 0), dtype=np.int64),
        content_names=("place",) if labelled else (),
        content_values=(tuple(map(str, range(num_contents))),) if labelled else (),
    )


class _Function(nn.Module):
    """A function of tensors in a module's clothes; the parameter only tells the device."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, *x: Tensor) -> Tensor:
        return self.function(*x)


def fake(encode_a, encode_b, generate, noise_b: float = 0.0) -> CrossModel:
    """A model whose three parts are functions."""
    config = ModelConfig(side_px=SIDE, encoder_widths=(2,), generator_widths=(2, 2), dense_widths=())
    model = CrossModel(config, noise_b=noise_b)
    model.encoder_a, model.encoder_b, model.generator = map(_Function, (encode_a, encode_b, generate))
    return model.eval()


def flat(x: Tensor) -> Tensor:
    return x.flatten(1)


def unflat(code: Tensor) -> Tensor:
    return code.reshape(-1, 3, SIDE, SIDE)


def copies_x1(noise_b: float = 0.0) -> CrossModel:
    """Code A is the whole image, code B is ignored."""
    return fake(flat, flat, lambda a, b: unflat(a), noise_b)


def copies_x2() -> CrossModel:
    return fake(flat, flat, lambda a, b: unflat(b))


def oracle(images: ImageSet) -> CrossModel:
    """Knows every image by heart, and so generates every true mix."""
    known = to_unit(torch.from_numpy(images.images))

    def look_up(x: Tensor) -> Tensor:
        return torch.cdist(flat(x), flat(known)).argmin(dim=1)

    def encode(labels) -> object:
        one_hot = torch.eye(int(labels.max()) + 1)[torch.from_numpy(labels)]
        return lambda x: one_hot[look_up(x)]

    def generate(a: Tensor, b: Tensor) -> Tensor:
        index = {
            (int(c), int(k)): i for i, (c, k) in enumerate(zip(images.classes, images.contents[:, 0], strict=True))
        }
        rows = [index[c, k] for c, k in zip(a.argmax(1).tolist(), b.argmax(1).tolist(), strict=True)]
        return known[rows]

    return fake(encode(images.classes), encode(images.contents[:, 0]), generate)


def steganographer() -> CrossModel:
    """Hides x2's image in the last digits of a copy of x1, and reads it back: crossing twice returns the originals.

    The mix x_a1b2 looks like x1; code B of an image is read from digits far below what 8 bits can hold.
    """
    step = 1e-3

    def read_a(x: Tensor) -> Tensor:
        return flat((x / step).round() * step)

    def read_b(x: Tensor) -> Tensor:
        hidden = x - (x / step).round() * step
        plain = hidden.abs().flatten(1).amax(dim=1) < 1e-5
        code = hidden / (step / 4)
        return flat(torch.where(plain[:, None, None, None], (x / step).round() * step, code))

    return fake(read_a, read_b, lambda a, b: unflat(a + b.clamp(-1, 1) * step / 4))
