from chiasm.evaluation.table import align


def test_columns_stand_below_each_other() -> None:
    lines = align([("name", "a", "b"), ("longer", "1"), ("x", "22", "3")])
    assert lines == ["name    a   b", "-" * 13, "longer  1", "x       22  3"]
