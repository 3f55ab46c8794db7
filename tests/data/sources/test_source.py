from chiasm.data.sources.source import natural_key


def test_numbers_are_sorted_by_their_value_however_long() -> None:
    digits = "9" * 5000  # more than Python makes an integer of
    names = ["img2", "img10", "img010", "a", "B", f"img{digits}", "img0"]
    assert sorted(names, key=natural_key) == ["a", "B", "img0", "img2", "img010", "img10", f"img{digits}"]
