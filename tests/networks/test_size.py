import dataclasses

import pytest
from torch import nn

from chiasm.config import ConfigError, ModelConfig
from chiasm.networks import CrossModel
from chiasm.networks.size import num_weights, require_buildable
from chiasm.presets import PRESETS

CONFIGS = {name: PRESETS[name]().model for name in ("tiny", "compact", "faces", "original-small", "photo")} | {
    "odd": ModelConfig(
        side_px=24,
        code_a=5,
        code_b=7,
        encoder_widths=(6, 8),
        encoder_a="pooled",
        dense_widths=(9, 10),
        modulate_dense=False,
        generator_widths=(8, 6, 4, 3),
        head_widths=(5, 2),
        rgb_kernel=5,
    ),
    "strided": ModelConfig(encoder_widths=(6, 8), encoder_stride=4, encoder_a="pooled", maps_a=(3, 2)),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_are_counted_as_they_are_built(name: str) -> None:
    model = CrossModel(CONFIGS[name])
    layers = [part for part in model.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    upsampling = [block.weight.numel() for block in model.generator.blocks if not isinstance(block, nn.Conv2d)]
    assert num_weights(CONFIGS[name]) == sum(layer.weight.numel() for layer in layers) + sum(upsampling)


def test_what_would_fill_the_memory_is_not_built() -> None:
    config = dataclasses.replace(CONFIGS["original-small"], code_a=65536, encoder_widths=(16384, 16384))
    with pytest.raises(ConfigError, match=r"weights, 1,\d+ GB"):
        require_buildable(config)
    with pytest.raises(ConfigError, match="narrower"):
        CrossModel(config)
