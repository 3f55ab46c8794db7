"""What one step of a training works on: its images, their codes, and the terms that it gives."""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from chiasm.augment import change_alike
from chiasm.cross import Images
from chiasm.data_config import DataConfig
from chiasm.draws import uniform
from chiasm.losses import Classes, Code, HalfCode, HalfImages, HalfMask, Mask, Scalar

Terms = dict[str, Scalar]


class Batch(NamedTuple):
    """One step's images in [-1, 1] and what is known of them; a term whose data are missing is left out.

    Attributes:
        x: [x1; x2], n images, an even number.
        x_partner: for each image another one of its class; itself if there is no other. Then for each a second one, and
            so on.
        has_partner: which images have partners that are another image; all when not given.
        x_positive: for each image at an even place the most similar one of its class; without classes, of all.
        x_negative: for each image at an odd place one of the most similar of other classes.
        is_negative: which x_negative are known to be of another class.
        classes: of x, -1 for unlabelled images.
        image_index: of x in the image set, for methods that learn something for each image.
        x_alike: for each image another one, mostly of another class, that shows about the same; code B is read from it.
    """

    x: Images
    x_partner: Images | None = None
    has_partner: Mask | None = None
    x_positive: HalfImages | None = None
    x_negative: HalfImages | None = None
    is_negative: HalfMask | None = None
    classes: Classes | None = None
    image_index: Int[Tensor, "n"] | None = None
    x_alike: Images | None = None

    @property
    def x_similar(self) -> Images | None:
        """For each image its positive or its negative; None where they were not looked for."""
        if self.x_positive is None or self.x_negative is None:
            return None
        x_similar = torch.stack([self.x_positive, self.x_negative], dim=1).flatten(0, 1)
        return x_similar.contiguous(memory_format=torch.channels_last)


class BatchCodes(NamedTuple):
    """The codes of a batch, without noise.

    Attributes:
        a: of x, or of the partners, which show the same class, where those of x are not needed.
        a_partner: the mean over partners, or that of x where there are none.
        a_negative: of the negatives, where the contrastive loss on codes A has a weight.
        b: of x; in training of images randomly shifted, and changed in what code B ignores.
        b_partner: of the first partners likewise, where that on codes B has a weight.
        b_unshifted: of x changed but not shifted, where the consistency loss has a weight.
    """

    a: Code
    a_partner: Code
    a_negative: HalfCode | None
    b: Code
    b_partner: Code | None
    b_unshifted: Code | None


class LossTerms(NamedTuple):
    """The weighted terms of one batch, and the images for the discriminator, without gradient, once it learns."""

    terms: Terms
    x_judged: Images | None


def choose_partners(batch: Batch, data: DataConfig, training: bool, own: float | None = None) -> Batch:
    """Images and the partners from which their class is read, changed alike where a training asks for it.

    Without labels an image is its own partner, of which another change is seen; with labels some are, at random.

    Args:
        batch: as it was loaded.
        data: how images are changed, and which are their own partners.
        training: whether anything is left to chance.
        own: the share of images that are their own partners; by default that of data.own_partner.
    """
    if data.supervision == "augmentations":
        return batch._replace(x_partner=batch.x, has_partner=None)
    if training and data.vary:
        batch = _varied(batch, data)
    share = data.own_partner if own is None else own
    if not training or share == 0 or batch.x_partner is None:
        return batch
    is_own = uniform(batch.x) < share
    each = batch.x_partner.unflatten(0, (-1, len(batch.x)))
    x_partner = torch.where(is_own[:, None, None, None], batch.x, each).flatten(0, 1)
    has_partner = ~is_own if batch.has_partner is None else batch.has_partner & ~is_own
    return batch._replace(x_partner=x_partner, has_partner=has_partner)


def _varied(batch: Batch, data: DataConfig) -> Batch:
    """A batch of other classes: an image, its partners and the one similar to it are changed alike."""
    partners = () if batch.x_partner is None else batch.x_partner.split(len(batch.x))
    similar = () if batch.x_similar is None else (batch.x_similar,)
    x, *others = change_alike([batch.x, *partners, *similar], data.vary, data.strength)
    batch = batch._replace(x=x)
    if similar:
        x_similar = others.pop()
        batch = batch._replace(x_positive=x_similar[::2], x_negative=x_similar[1::2])
    return batch._replace(x_partner=torch.cat(others)) if others else batch
