import torch

from chiasm.batch import Batch, choose_partners
from chiasm.config import DataConfig


def images(num: int = 4) -> torch.Tensor:
    return torch.rand(num, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1


def test_an_image_its_partners_and_similar_ones_are_varied_alike() -> None:
    x = images()
    batch = Batch(x, torch.cat([x, x]), x_positive=x[::2], x_negative=x[1::2])
    varied = choose_partners(batch, DataConfig(vary=("light",)), training=True)
    assert not torch.allclose(varied.x, x)
    assert torch.equal(varied.x_partner, torch.cat([varied.x] * 2))
    assert torch.equal(varied.x_similar, varied.x)
    assert choose_partners(batch, DataConfig(vary=("light",)), training=False) == batch


def test_some_images_are_their_own_partners_all_of_them_or_none() -> None:
    x, data = images(64), DataConfig(own_partner=0.5)
    batch = Batch(x, torch.zeros(128, *x.shape[1:]))
    chosen = choose_partners(batch, data, training=True)
    is_own = ~chosen.has_partner
    assert 0 < is_own.sum() < 64
    assert torch.equal(chosen.x_partner, torch.cat([x * is_own[:, None, None, None]] * 2))
    assert torch.equal(choose_partners(batch, data, training=True, own=0.0).x_partner, batch.x_partner)
    assert torch.equal(choose_partners(batch, data, training=True, own=1.0).x_partner, torch.cat([x, x]))
    assert torch.equal(choose_partners(batch, data, training=False).x_partner, batch.x_partner)


def test_without_labels_an_image_is_its_own_partner() -> None:
    x = images()
    data = DataConfig(supervision="augmentations", a_ignores=("flip",))
    for training in (True, False):
        chosen = choose_partners(Batch(x), data, training)
        assert torch.equal(chosen.x_partner, x)
