"""The whole model: two encoders that share nothing, one generator."""

import torch
from torch import nn

from chiasm.config import ModelConfig
from chiasm.networks.encoder import Encoder
from chiasm.networks.generator import Generator


class CrossModel(nn.Module):
    """E_A, E_B and G, built from a configuration.

    Attributes:
        encoder_a: reads code A, what the picture shows.
        encoder_b: reads code B, everything else.
        generator: draws code B in the manner of code A.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder_a = Encoder(config.side_px, config.encoder_widths, config.code_a, code_block=config.code_block)
        self.encoder_b = Encoder(config.side_px, config.encoder_widths, config.code_b, code_block=config.code_block)
        self.generator = Generator(
            config.side_px,
            config.code_a,
            config.code_b,
            dense_widths=config.dense_widths,
            widths=config.generator_widths,
            head_widths=config.head_widths,
            rgb_kernel=config.rgb_kernel,
            output=config.output,
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
