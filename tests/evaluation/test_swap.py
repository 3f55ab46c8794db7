import numpy as np
import pytest
import torch

from chiasm.data import ImageSet
from chiasm.evaluation.swap import difference_weighted, swap_errors
from chiasm.evaluation.triplets import Triplets
from chiasm.inference import encode, generate, to_bytes, to_unit
from chiasm.networks import CrossModel


def test_bytes_survive_the_way_to_floats_and_back() -> None:
    images = np.arange(256 * 3, dtype=np.uint32).astype(np.uint8).reshape(1, 3, 16, 16)
    unit = to_unit(torch.from_numpy(images))
    assert float(unit.min()) == -1
    assert float(unit.max()) == 1
    assert (to_bytes(unit) == images).all()


@torch.inference_mode()
def test_batches_do_not_change_the_result(model: CrossModel, avatars: ImageSet) -> None:
    model.eval()
    a, b = encode(model, avatars.images[:70])
    single = model.encoder_a(to_unit(torch.from_numpy(avatars.gather(np.array([66])))))
    torch.testing.assert_close(a[66:67], single, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(generate(model, a, b)[66:67], model.generator(a[66:67], b[66:67]), atol=1e-5, rtol=1e-5)


def test_copy_errors_are_the_distances_of_the_images(model: CrossModel, avatars: ImageSet) -> None:
    triplets = Triplets(np.array([0, 3]), np.array([10, 20]), np.array([5, 6]))
    errors = swap_errors(model.eval(), avatars, triplets)
    images = avatars.images.astype(float) / 127.5
    wanted = np.mean([np.abs(images[0] - images[5]).mean(), np.abs(images[3] - images[6]).mean()])
    assert errors["copy_x1"] == pytest.approx(wanted, rel=1e-4)
    wanted = np.mean([np.abs(images[10] - images[5]).mean(), np.abs(images[20] - images[6]).mean()])
    assert errors["copy_x2"] == pytest.approx(wanted, rel=1e-4)


def test_swap_of_an_image_with_itself_is_its_reconstruction(model: CrossModel, avatars: ImageSet) -> None:
    same = np.arange(4)
    errors = swap_errors(model.eval(), avatars, Triplets(same, same, same))
    assert errors["swap"] == pytest.approx(errors["reconstruction"], rel=1e-5)
    assert errors["copy_x1"] == 0


def test_errors_where_the_truth_differs_from_a_similar_image_count_alone() -> None:
    truth = torch.zeros(3, 3, 2, 2)
    similar, x = truth.clone(), truth.clone()
    similar[0, :, 0, 0] = 0.6  # twice the weight of the next
    similar[0, :, 0, 1] = -0.3
    x[0, 0, 0, 0] = 0.3  # a mean of 0.1 over the channels
    x[0, :, 0, 1] = 0.4
    x[0, :, 1] = 9.0  # where nothing differs
    similar[1] = float("nan")
    found = difference_weighted(x, truth, similar)
    assert float(found[0]) == pytest.approx((2 * 0.1 + 0.4) / 3, rel=1e-5)
    assert found[1:].isnan().all()
