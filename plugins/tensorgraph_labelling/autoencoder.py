"""A convolutional autoencoder around a model of classes, and the callback that trains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorgraph as tg
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import ConfigError

ENCODER = "encoder.safetensors"


class Autoencoder(tg.Layer):
    """The layers of a registered ``model``, made with ``options``, up to its last feature map as
    the encoder, and a decoder of that map into the image: ``doublings`` transposed convolutions of
    ``filters`` channels, then one convolution.

    As a model of classes it is a linear probe: its last layer learns from the features, and the
    features learn nothing from labels.
    """

    def __init__(
        self,
        classes: int = 10,
        *,
        model: str = "small_cnn",
        options: Mapping[str, Any] | None = None,
        doublings: int = 2,
        filters: int = 32,
    ) -> None:
        self.model: Any = tg.models[model](classes, **(options or {}))
        if not isinstance(self.model, tg.layers["sequential"]):
            raise ConfigError(f"autoencoder: {model} is no sequence of layers; small_cnn is one")
        stages = list(self.model)
        self.head = max(
            i for i, x in enumerate(stages) if isinstance(x, tg.Layer) and x.parameters()
        )
        layers, doubled = tg.layers, []
        for _ in range(doublings):
            doubled += [layers.conv_transpose2d(filters, 2, stride=2), tg.activations.relu]
        self.doublings, self.filters = doublings, filters
        self.decoder: Any = layers.sequential(*doubled, layers.conv2d(1, 3, padding=1))

    def build(self, x: tg.Spec) -> None:
        map_, code = None, tg.Tensor(None, ABSTRACT, x)
        with tg.no_grad():
            for i, stage in enumerate(self.model[: self.head]):
                code = stage(code)
                if code.ndim == 4:
                    self.depth, map_ = i + 1, code.spec
        if map_ is None or len(x.shape) != 4:
            raise ConfigError(
                f"autoencoder: the model makes no feature maps of {x}; small_cnn does"
            )
        self.decoder[-1].out_channels = x.shape[1]  # as many as the images have, known only now
        made = self.decoder.infer_shape(map_)
        if any(small < side for small, side in zip(made.shape[2:], x.shape[2:])):
            raise ConfigError(
                f"autoencoder: {self.doublings} doublings of {map_} make {made}, less than {x}: "
                f"--set model.doublings={self.doublings + 1}"
            )

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        for i, stage in enumerate(self.model):
            x = stage(x.detach() if i == self.head else x)
        return x

    def reconstruct(self, x: tg.Tensor) -> tg.Tensor:
        """The images (n, C, H, W) from their feature maps."""
        height, width = x.shape[2:]
        made: tg.Tensor = self.decoder(self.model[: self.depth](x))
        return made[:, :, :height, :width]


class Reconstruction:
    """Trains an ``autoencoder`` on all training images: without their labels, and from what noise
    of standard deviation ``noise`` has left of them (Vincent et al., 2008).

    ``batch`` images in each step, as many as the run's where it is 0. At the end the wrapped model
    is written to encoder.safetensors, for ``transfer.weights``.
    """

    def __init__(self, noise: float = 0.5, batch: int = 0) -> None:
        if noise < 0 or batch < 0:
            raise ConfigError(f"reconstruction: noise={noise} or batch={batch} is below 0")
        self.noise, self.batch = noise, batch
        self.batches: Any = None

    def on_start(self, run: Any) -> None:
        from tensorgraph_labelling import pool

        if not isinstance(run.model, Autoencoder):
            raise ConfigError("reconstruction: it trains an autoencoder: --model autoencoder")
        self.batches = pool.Batches(run, self.batch)

    def extra_inputs(self, run: Any) -> tuple[tg.Tensor, ...]:
        return tuple(run.images(self.batches.next(run), 1))

    def extra_loss(self, run: Any, x: tg.Tensor) -> tg.Tensor:
        noise = tg.ops.normal(x.shape, std=self.noise, dtype=x.dtype)
        return tg.ops.mse_loss(run.model.reconstruct(x + noise), x)

    def on_end(self, run: Any) -> None:
        from safetensors.numpy import save_file

        if self.batches is None:  # another model: refused
            return
        weights = {name: x.numpy() for name, x in run.model.model.state().items()}
        save_file(weights, run.folder / ENCODER)
