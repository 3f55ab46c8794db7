"""How large the networks of a configuration would be, before any of them is built."""

from __future__ import annotations

from itertools import pairwise

from chiasm.config import ConfigError, ModelConfig

MAX_WEIGHTS = 2**30
"""Weights of a whole model, 4.3 GB; twelve times those of the original."""


def num_weights(config: ModelConfig) -> int:
    """The weights of all convolutions and dense layers, biases and BatchNorm aside."""
    widths = config.encoder_widths
    rest_px = config.side_px >> config.encoder_halvings
    total = 0
    for kind, code in ((config.encoder_a, config.code_a), (config.encoder_b, config.code_b)):
        pooled = kind == "pooled"
        total += 4 * config.encoder_stride**2 * 3 * widths[0] + 16 * _products(*widths)
        total += widths[-1] * code * (1 if pooled else rest_px**2)
        total += 9 * sum(width**2 for width in widths) * pooled
    first, *blocks = config.generator_widths
    base_px = config.side_px >> len(blocks)
    total += _products(config.code_b, *config.dense_widths, first * base_px**2) + 9 * _products(first, *blocks)
    for maps, seen, drawn in zip(config.maps_a, config.maps_blocks, blocks, strict=False):
        total += maps * (widths[seen] + 9 * drawn)
    modulated = sum(blocks) + (sum(config.dense_widths) + first) * config.modulate_dense
    total += 2 * config.code_a * modulated
    head = (blocks[-1], *config.head_widths)
    return total + 25 * _products(*head) + 3 * config.rgb_kernel**2 * head[-1]


def require_buildable(config: ModelConfig) -> None:
    """Refuse networks that would fill the memory.

    Raises:
        ConfigError: above MAX_WEIGHTS.
    """
    weights = num_weights(config)
    if weights > MAX_WEIGHTS:
        raise ConfigError(
            f"model: its networks would have {weights:,} weights, {4 * weights / 1e9:,.0f} GB; give narrower codes and "
            f"widths or a smaller side, for at most {MAX_WEIGHTS:,}."
        )


def _products(*widths: int) -> int:
    """The sum of the products of neighbours."""
    return sum(before * after for before, after in pairwise(widths))
