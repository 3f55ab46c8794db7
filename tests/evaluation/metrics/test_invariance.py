import numpy as np
import pytest
import torch

from chiasm.evaluation.metrics.invariance import distances, rows, told
from chiasm.networks import CrossModel
from chiasm.presets import tiny


class Means(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=1).flatten(1)


class Red(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1].mean(dim=(2, 3))


def test_a_code_that_does_not_tell_of_a_change_does_not_move() -> None:
    """Code A is the mean of the channels at every place, which hues leave alone; code B is the red channel's mean."""
    model = CrossModel(tiny().model).eval()
    model.encoder_a, model.encoder_b = Means(), Red()
    images = np.random.default_rng(0).integers(100, 156, (8, 3, 16, 16), dtype=np.uint8)
    images[:, 0] += np.arange(0, 80, 10, dtype=np.uint8)[:, None, None]
    found = distances(model, images, ("colour", "rotate"), seed=0)
    share = {name: {c: m.mean() / apart.mean() for c, (m, apart) in codes.items()} for name, codes in found.items()}
    assert share["colour"]["a"] < 0.05
    assert share["colour"]["b"] > 0.2
    assert share["rotate"]["a"] > 0.5
    assert share["rotate"]["b"] < 0.2
    again = distances(model, images, ("colour",), seed=0)["colour"]["b"][0]
    assert np.array_equal(again, found["colour"]["b"][0])


@pytest.mark.parametrize(
    ("a", "b", "holder"), [(0.1, 0.5, "code B holds"), (0.5, 0.1, "code A holds"), (0.4, 0.5, "both")]
)
def test_the_words_name_the_code_that_moves(a: float, b: float, holder: str) -> None:
    assert told("rotate", a, b).endswith(holder + (" tell of it" if holder == "both" else " it"))
    assert "rotate: code A moves by" in told("rotate", a, b)


def test_a_row_for_each_change() -> None:
    interval = {"mean": 0.25, "low": 0.2, "high": 0.3, "n": 4}
    shown = list(rows({"flip": {"a": interval, "b": interval}}))
    assert shown[1][0] == "flip"
    assert shown[1][1].startswith("25.0")
