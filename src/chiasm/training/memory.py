"""What a model keeps of the codes of its training, to hand other codes out."""

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.data import ImageSet, come_first, of_each_class
from chiasm.inference import read
from chiasm.networks import CrossModel

NUM_A, MIN_EACH_A = 2048, 8
"""Images whose codes A tell how these differ within a class and between classes: encoder A is the dearer one."""


class Memory:
    """Images of every class whose codes a model learns by heart.

    Args:
        model: it gets place for the codes.
        images: with the labels that training may see.
        indices: those of the training.
        seed: of the choice among them.
    """

    def __init__(self, model: CrossModel, images: ImageSet, indices: NDArray[np.int64], seed: int) -> None:
        needed = model.codes_b is not None or model.filter_a is not None
        self.images, self.index = images, of_each_class(images, indices if needed else indices[:0], seed)
        if model.codes_b is not None:
            views = 2 if model.encoder_a.mirror else 1
            model.codes_b = torch.zeros(len(self.index), views * self.index.shape[1], model.config.code_b)
            model.classes_b = torch.from_numpy(images.classes[self.index[:, :1].ravel()])

    def remember(self, model: CrossModel) -> None:
        """Have a model in evaluation mode know today's codes.

        Where a mirror image is another view of its class for code A, its code B is one of the class's codes, too.
        """
        if self.index.size == 0:
            return
        if model.codes_b is not None:
            pixels = self.images.gather(self.index.ravel())
            views = [pixels, pixels[..., ::-1]] if model.encoder_a.mirror else [pixels]
            codes = [read(model, model.encoder_b, view).unflatten(0, self.index.shape) for view in views]
            model.codes_b.copy_(torch.cat(codes, dim=1))
            model.learn_filter_b()
        if model.filter_a is not None:
            some = self.index[:, : max(MIN_EACH_A, NUM_A // len(self.index))]
            codes_a = read(model, model.encoder_a, self.images.gather(some.ravel()))
            model.learn_filter_a(codes_a.unflatten(0, some.shape), torch.from_numpy(come_first(some)))
