import dataclasses
from typing import get_args

import pytest
import torch

from chiasm.config import EncoderKind
from chiasm.networks import CrossModel
from chiasm.networks.encoder import ENCODERS
from chiasm.presets import tiny


def test_the_configuration_names_exactly_the_encoders_that_there_are() -> None:
    assert get_args(EncoderKind) == tuple(ENCODERS)


@pytest.mark.parametrize("code_block", [False, True])
@pytest.mark.parametrize("kind", ENCODERS)
def test_either_encoder_may_be_of_any_kind(kind: str, code_block: bool) -> None:
    config = dataclasses.replace(tiny().model, code_a=5, code_b=7, code_block=code_block)
    x = torch.randn(2, 3, 16, 16)
    assert CrossModel(dataclasses.replace(config, encoder_a=kind)).encoder_a(x).shape == (2, 5)
    assert CrossModel(dataclasses.replace(config, encoder_b=kind)).encoder_b(x).shape == (2, 7)
