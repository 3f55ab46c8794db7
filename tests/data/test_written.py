from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from chiasm.data import DataError
from chiasm.data.written import is_written, save_image
from chiasm.plots import curves


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "X.JPEG"])
def test_an_image_bears_the_mark_and_another_does_not(name: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (24, 16), (40, 80, 120))
    save_image(image, tmp_path / name)
    image.save(tmp_path / f"other-{name}")
    assert is_written(tmp_path / name)
    assert not is_written(tmp_path / f"other-{name}")
    with Image.open(tmp_path / name) as saved:
        assert saved.size == (24, 16)
        assert saved.format == ("PNG" if name == "x.png" else "JPEG")


def test_an_image_too_large_for_a_jpeg_is_refused_with_the_remedy(tmp_path: Path) -> None:
    image = Image.new("L", (65_501, 1))
    with pytest.raises(DataError, match=r"a\.jpg: 65501 x 1 pixels .* write a \.png"):
        save_image(image, tmp_path / "a.jpg")
    save_image(image, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_curves_bear_the_mark(tmp_path: Path) -> None:
    curves([{"step": 1.0, "train/loss": 2.0}], ["train/"], tmp_path / "curves.png")
    assert is_written(tmp_path / "curves.png")


def test_what_cannot_be_read_does_not_bear_it(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert not is_written(tmp_path / "empty.png")
    assert not is_written(tmp_path / "gone.png")
