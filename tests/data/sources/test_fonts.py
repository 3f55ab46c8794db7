from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from chiasm.config import ConfigError, DataConfig
from chiasm.data import DataError, draw_character, open_data

TTF = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    folder = tmp_path / "fonts"
    (folder / "serif").mkdir(parents=True)
    shutil.copy(TTF / "DejaVuSans.ttf", folder / "Sans.TTF")
    shutil.copy(TTF / "cmr10.ttf", folder / "serif" / "cmr10.ttf")
    return folder


def open_fonts(folder: Path, characters: str = "AI0", side_px: int = 24):
    return open_data(DataConfig(source=f"fonts:{folder}", characters=characters), side_px, progress_bar=False)


def test_typefaces_are_classes_and_characters_are_contents_in_the_order_given(fonts: Path) -> None:
    images = open_fonts(fonts, "I0A")
    assert list(images.names) == ["Sans/I", "Sans/0", "Sans/A", "serif/cmr10/I", "serif/cmr10/0", "serif/cmr10/A"]
    assert images.class_names == ("Sans", "serif/cmr10")
    assert images.content_names == ("character",)
    assert images.content_values == (("I", "0", "A"),)
    assert images.true_mix(np.array([0]), np.array([5])).tolist() == [2]  # the A of Sans


def test_characters_are_black_on_white_centred_and_of_one_size(fonts: Path) -> None:
    side = 64
    images = open_fonts(fonts, side_px=side)
    extents = []
    for image in images.images:
        ink = np.argwhere(image[0] < 128)
        assert (image[:, 0, 0] == 255).all()
        assert np.abs(ink.min(axis=0) + ink.max(axis=0) - (side - 1)).max() <= 2
        extents.append(np.ptp(ink, axis=0) + 1)
    for typeface in (extents[:3], extents[3:]):
        assert 0.76 < np.max(typeface) / side < 0.86
    a, i, _ = extents[:3]
    assert abs(a[0] - i[0]) <= 1  # capitals stay as high as each other: no character is blown up by itself
    assert i[1] < a[1] / 2


def test_a_lacking_character_is_left_out_and_named(fonts: Path) -> None:
    images = open_fonts(fonts, "AЖ")
    assert list(images.names) == ["Sans/A", "Sans/Ж", "serif/cmr10/A"]
    assert images.skipped == (("serif/cmr10.ttf", "lacks Ж"),)


def test_broken_fonts_and_second_ones_are_left_out_and_named(fonts: Path) -> None:
    (fonts / "broken.otf").write_bytes(b"OTTO" + bytes(50))
    (fonts / "cut.ttf").write_bytes((TTF / "cmr10.ttf").read_bytes()[:2000])
    shutil.copy(TTF / "cmb10.ttf", fonts / "Sans.otf")
    shutil.copy(TTF / "LastResortHE-Regular.ttf", fonts)
    images = open_fonts(fonts)
    told = dict(images.skipped)
    assert set(told) == {"broken.otf", "cut.ttf", "Sans.otf", "LastResortHE-Regular.ttf"} or set(told) == {
        *("broken.otf", "cut.ttf", "Sans.TTF", "LastResortHE-Regular.ttf")
    }
    assert told["broken.otf"].startswith("cannot be read (")
    assert told["LastResortHE-Regular.ttf"] == "draws the same for every character"
    assert len(images) == 6


def test_a_folder_without_a_usable_font_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.ttf or \.otf file"):
        open_fonts(tmp_path)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    with pytest.raises(DataError, match=r"none of its 1 fonts can be used \(broken\.ttf: cannot be read"):
        open_fonts(tmp_path)
    with pytest.raises(DataError, match="is no folder; give 'fonts:'"):
        open_fonts(tmp_path / "broken.ttf")


def test_other_characters_are_another_cache(fonts: Path) -> None:
    assert len(open_fonts(fonts, "AB")) == 4
    assert len(open_fonts(fonts, "ABC")) == 6


@pytest.mark.parametrize("characters", ["", "AA", "A B"])
def test_characters_must_be_different_and_visible(characters: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.characters"):
        DataConfig(characters=characters)


def test_the_path_after_the_word_becomes_absolute(fonts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fonts.parent)
    assert DataConfig(source="fonts:fonts/").source == f"fonts:{fonts}"


def test_a_drawn_character_is_the_one_of_the_source(fonts: Path) -> None:
    images = open_data(DataConfig(source=f"fonts:{fonts}"), 256, progress_bar=False)
    drawn = np.asarray(draw_character(fonts / "Sans.TTF", "Q"))
    np.testing.assert_array_equal(drawn, images.images[list(images.names).index("Sans/Q")][0])
    with pytest.raises(DataError, match="lacks"):
        draw_character(fonts / "serif" / "cmr10.ttf", "Ж")
