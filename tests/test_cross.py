import torch

from chiasm.cross import Codes, disassemble, generate, mix, reassemble, swap_halves
from chiasm.networks import CrossModel


def images(n: int) -> torch.Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_mixing_takes_a_from_the_first_and_b_from_the_second(model: CrossModel) -> None:
    model.eval()
    codes = disassemble(model, images(2))
    x_a1b2, x_a2b1 = mix(model, codes)
    torch.testing.assert_close(x_a1b2, model.generator(codes.a[:1], codes.b[1:])[0])
    torch.testing.assert_close(x_a2b1, model.generator(codes.a[1:], codes.b[:1])[0])


def test_mixing_an_image_with_itself_is_reconstruction(model: CrossModel) -> None:
    model.eval()
    x = images(1)
    codes = disassemble(model, torch.cat([x, x]))
    torch.testing.assert_close(mix(model, codes), model.generator(codes.a, codes.b))


def test_exchanging_the_images_exchanges_the_results(model: CrossModel) -> None:
    model.eval()
    x = images(4)
    one_way = mix(model, disassemble(model, x))
    other_way = mix(model, disassemble(model, swap_halves(x)))
    torch.testing.assert_close(one_way, swap_halves(other_way))


def test_reassembly_returns_the_originals_when_the_mixes_kept_their_factors(model: CrossModel) -> None:
    """x1_rec = G(E_A(x_a1b2), E_B(x_a2b1)): if the codes survive the mix, both crossings cancel."""
    model.eval()
    a, b = torch.randn(2, 5), torch.randn(2, 7)
    codes_of_mix = Codes(a, swap_halves(b))
    torch.testing.assert_close(reassemble(model, codes_of_mix), model.generator(a, b))


def test_generating_in_slices_changes_neither_images_nor_gradients(model: CrossModel) -> None:
    model.double()
    a, b = (torch.randn(5, width, dtype=torch.double, requires_grad=True) for width in (5, 7))
    results = []
    for slice_size in (0, 2):
        x_generated = generate(model, Codes(a, b), slice_size)
        inputs = (a, b, *model.generator.parameters())
        results.append((x_generated, *torch.autograd.grad(x_generated.square().sum(), inputs)))
    for whole, sliced in zip(*results, strict=True):
        torch.testing.assert_close(whole, sliced)
