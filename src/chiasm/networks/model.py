"""The whole model: two encoders that share nothing, one generator."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from chiasm.config import Config, Fit, ModelConfig
from chiasm.networks.encoder import ENCODERS
from chiasm.networks.generator import Generator
from chiasm.networks.hand_out import class_filter, mean_of_neighbours, neighbour_filter, quantise
from chiasm.networks.size import require_buildable

GAIN_TO_PEOPLE = 1.3
"""Chosen on validation images, see docs/lab-notes.md."""


class CrossModel(nn.Module):
    """E_A, E_B and G, built from a configuration.

    Args:
        config: the networks.
        fit: how the images that it learns from become square; whatever it is shown later must become so, too.
        noise_b: standard deviation of the noise on codes B with which the generator learns.
        weight_perceptual: of the perceptual loss with which it learns.

    Attributes:
        encoder_a: code A of an image, its class.
        encoder_b: code B of an image, everything else.
        generator: an image from code B, modulated by code A.
        codes_b: [classes, each, b] codes B of images of the training, of as many images of each class, where
            `model.neighbours_b` asks for them; none before the training. None otherwise.
        classes_b: [classes] whose codes these are, by their numbers in the training; not saved, known in it alone.
        mean_a, filter_a: [a] and [a, a] what class_filter found, for code A without its maps, where `model.gain_a` or
            `model.components_a` asks for it; before the training they leave codes as they are. None otherwise.
        mean_b, filter_b: [b] and [b, b] what neighbour_filter found, where `model.components_b` asks for it; likewise.
    """

    codes_b: Tensor | None
    classes_b: Tensor
    mean_a: Tensor | None
    filter_a: Tensor | None
    mean_b: Tensor | None
    filter_b: Tensor | None

    def __init__(
        self, config: ModelConfig, fit: Fit = "crop", noise_b: float = 0.0, weight_perceptual: float = 0.0
    ) -> None:
        require_buildable(config)
        super().__init__()
        self.config, self.fit, self.noise_b, self.weight_perceptual = config, fit, noise_b, weight_perceptual
        self.encoder_a = ENCODERS[config.encoder_a](config, config.code_a, config.maps_a)
        self.encoder_a.unit_code, self.encoder_a.mirror = config.unit_codes, config.mirror_a == "on"
        self.register_buffer("codes_b", torch.zeros(0, 0, config.code_b) if config.neighbours_b > 0 else None)
        self.register_buffer("classes_b", torch.zeros(0, dtype=torch.int64), persistent=False)
        filters = config.gain_a > 0 or config.components_a > 0
        self.register_buffer("mean_a", torch.zeros(config.code_a) if filters else None)
        self.register_buffer("filter_a", torch.eye(config.code_a) if filters else None)
        self.register_buffer("mean_b", torch.zeros(config.code_b) if config.components_b > 0 else None)
        self.register_buffer("filter_b", torch.eye(config.code_b) if config.components_b > 0 else None)
        self.encoder_b = ENCODERS[config.encoder_b](config, config.code_b, ())
        self.generator = Generator(
            config.side_px,
            config.code_a,
            config.code_b,
            dense_widths=config.dense_widths,
            modulate_dense=config.modulate_dense,
            unit_codes=config.unit_codes,
            widths=config.generator_widths,
            maps_a=config.maps_a,
            last_upsampling=config.last_upsampling,
            head_widths=config.head_widths,
            rgb_kernel=config.rgb_kernel,
            output=config.output,
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    def learn_filter_a(
        self, codes_a: Float[Tensor, "classes each a"], counted: Bool[Tensor, "classes each"] | None = None
    ) -> None:
        """Fit what code A goes through when it is handed out to codes A, with their maps, of images of the training, of
        which all count or those said, see class_filter."""
        if self.mean_a is not None and self.filter_a is not None:
            config = self.config
            mean, matrix = class_filter(codes_a[..., : config.code_a], config.gain_a, config.components_a, counted)
            self.mean_a.copy_(mean)
            self.filter_a.copy_(matrix)

    def learn_filter_b(self) -> None:
        """Fit what means of neighbours go through when codes B are handed out to the codes B that the model knows, see
        neighbour_filter."""
        if self.codes_b is not None and self.mean_b is not None and self.filter_b is not None:
            mean, matrix = neighbour_filter(self.codes_b.cpu(), self.config.neighbours_b, self.config.components_b)
            self.mean_b.copy_(mean)
            self.filter_b.copy_(matrix)

    def hand_out_a(self, a: Float[Tensor, "n a"]) -> Float[Tensor, "n a"]:
        """Codes A as they are handed out, from codes as the encoder gives them: what of them says the class, where the
        model has learned that, see class_filter. Maps stay as they are."""
        if self.mean_a is None or self.filter_a is None:
            return a
        code, maps = a.split([self.config.code_a, self.config.width_a - self.config.code_a], dim=1)
        return torch.cat([self.mean_a + (code - self.mean_a) @ self.filter_a.T, maps], dim=1)

    def hand_out_b(
        self, b: Float[Tensor, "n b"], apart_from: Bool[Tensor, "n classes"] | None = None
    ) -> Float[Tensor, "n b"]:
        """Codes B as they are handed out, from codes as the encoder gives them.

        Where the model knows codes of its training, the mean of those nearest, but of one class at most for each, see
        mean_of_neighbours, and what that tells of the code, see neighbour_filter; then rounded.
        """
        if self.codes_b is not None and len(self.codes_b) > 0:
            b = mean_of_neighbours(b, self.codes_b, self.config.neighbours_b, apart_from)
            if self.mean_b is not None and self.filter_b is not None:
                b = self.mean_b + (b - self.mean_b) @ self.filter_b.T
        return self.round_b(b)

    def round_b(self, b: Float[Tensor, "n b"]) -> Float[Tensor, "n b"]:
        """Codes B without what lies below the noise of training, see quantise; adapted codes A are fitted to these.

        They say more of an image than those that are handed out, and more of whom it shows.
        """
        return quantise(b, self.noise_b)

    def hand_out_b_to_people(self, b: Float[Tensor, "n b"]) -> Float[Tensor, "n b"]:
        """Codes B with which people are mixed that the model was adapted to: where it learned with features of
        photographs, those of the images alone, GAIN_TO_PEOPLE times as far from the mean of those it knows, and
        rounded; otherwise as they are handed out.

        Source: docs/method.md, section 2.3.
        """
        if self.weight_perceptual == 0:
            return self.hand_out_b(b)
        if self.known_b is not None:
            mean = self.known_b.mean(dim=0)
            b = mean + GAIN_TO_PEOPLE * (b - mean)
        return self.round_b(b)

    @property
    def known_b(self) -> Float[Tensor, "m b"] | None:
        """The codes B of the training that the model knows, of all classes; None where it knows none."""
        return None if self.codes_b is None or len(self.codes_b) == 0 else self.codes_b.flatten(0, 1)

    @classmethod
    def of(cls, config: Config) -> CrossModel:
        """New networks for a training, and what a user of them must know of it."""
        return cls(config.model, config.data.fit, config.loss.noise_b, config.loss.weight_perceptual)
