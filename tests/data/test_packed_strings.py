from __future__ import annotations

import pytest

from chiasm.data.packed_strings import PackedStrings

WANTED = ["a/1.png", "", "ü 2.png", "\udcff.png"]


def test_names_come_back_as_they_were():
    names = PackedStrings.of(WANTED)
    assert list(names) == WANTED
    assert names[-1] == WANTED[-1]
    assert names[1:3] == WANTED[1:3]


def test_name_beyond_the_last_is_refused():
    with pytest.raises(IndexError):
        PackedStrings.of(WANTED)[4]
