from chiasm.evaluation.format import number, percent


def test_numbers_are_shown_with_their_intervals() -> None:
    value = {"mean": 0.12345, "low": 0.1, "high": 0.2, "n": 9}
    assert number(value, 3) == "0.123 [0.100, 0.200]"
    assert percent(value) == "12.3 [10.0, 20.0]"
    assert number(None, 3) == ""
