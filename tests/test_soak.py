"""The short version of `make soak`."""

import pytest

from tests.soak import NUM_VISITORS, grown, soak_page, soak_training

pytest.importorskip("gradio")


def test_the_page_serves_good_requests_and_refuses_bad_ones_in_flat_memory() -> None:
    soaked, memory = soak_page(0.25)
    assert soaked.wrong == []
    for kind in ("page", "upload", "mix", "blend", "find", "bad file", "trespass", "garbage"):
        assert soaked.counts[kind] >= NUM_VISITORS
    assert len(memory) > 5
    assert grown(memory).endswith("flat")


def test_a_training_stays_in_flat_memory() -> None:
    memory = soak_training(0.2, "tiny")
    assert len(memory) > 5
    assert grown(memory).endswith("flat")


def test_growing_memory_is_told() -> None:
    assert grown([500.0 + 0.2 * i for i in range(600)]).endswith("GROWN")
    assert grown([400.0 + i % 20 for i in range(600)]).endswith("flat")
