"""Linear, embedding, flatten and dropout."""

from __future__ import annotations

import math

from tensorgraph import Layer, Parameter, Spec, Tensor, config, ops
from tensorgraph.errors import ConfigError, ShapeError
from tensorgraph_nn import checks, initializers
from tensorgraph_nn.initializers import Initializer

PYTORCH = initializers.he_uniform(a=math.sqrt(5))


def default_bias(weight: Parameter) -> Initializer:
    """PyTorch's: uniform within ±1/sqrt(fan_in) of the weight."""
    bound = 1 / math.sqrt(max(1, initializers.fans(weight.spec)[0]))
    return initializers.uniform(-bound, bound)


class Weighted(Layer):
    """A layer with a weight and perhaps a bias."""

    def __init__(
        self, bias: bool, initializer: Initializer | None, bias_initializer: Initializer | None
    ) -> None:
        self.weight = Parameter(initializer or PYTORCH)
        self.bias = Parameter(bias_initializer or initializers.zeros()) if bias else None
        self.default_bias = bias_initializer is None

    def initialize(self, shape: tuple[int, ...], outputs: int, dtype: str) -> None:
        self.weight.initialize(shape, dtype)
        if self.bias is not None:
            if self.default_bias:
                self.bias.initializer = default_bias(self.weight)
            self.bias.initialize((outputs,), dtype)


class Linear(Weighted):
    """``x @ weight.T + bias`` over the last axis: (…, in) → (…, out_features).

    ``weight`` is (out_features, in), ``bias`` (out_features,).
    """

    def __init__(
        self,
        out_features: int,
        bias: bool = True,
        *,
        initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
    ) -> None:
        checks.positive("linear", out_features=out_features)
        super().__init__(bias, initializer, bias_initializer)
        self.out_features = out_features

    def build(self, x: Spec) -> None:
        if not x.shape:
            raise ShapeError(f"linear: takes (…, features) and gets the scalar {x}; reshape it")
        dtype = checks.floating("linear", x)
        self.initialize((self.out_features, x.shape[-1]), self.out_features, dtype)

    def forward(self, x: Tensor) -> Tensor:
        checks.unchanged("linear", "features", x, -1, self.weight.shape[1])
        out = ops.matmul(x, ops.permute_dims(self.weight, axes=(1, 0)))
        return out if self.bias is None else out + self.bias


class Embedding(Layer):
    """A row of ``weight``, (num_embeddings, dim), for each integer: (…) → (…, dim)."""

    def __init__(
        self, num_embeddings: int, dim: int, *, initializer: Initializer | None = None
    ) -> None:
        checks.positive("embedding", num_embeddings=num_embeddings, dim=dim)
        self.num_embeddings = num_embeddings
        self.dim = dim
        self.weight = Parameter(initializer or initializers.normal())

    def build(self, x: Spec) -> None:
        shape = (self.num_embeddings, self.dim)
        self.weight.initialize(shape, config.current().dtype.value)

    def forward(self, x: Tensor) -> Tensor:
        return ops.embedding(x, self.weight)


class Flatten(Layer):
    """All axes from ``start`` on as one: (N, C, H, W) → (N, C·H·W)."""

    def __init__(self, start: int = 1) -> None:
        self.start = start

    def forward(self, x: Tensor) -> Tensor:
        start = self.start + x.ndim if self.start < 0 else self.start
        if not 0 <= start < x.ndim:
            raise ShapeError(
                f"flatten: start={self.start} is no axis of {x.spec}; give the input a batch axis, "
                "or another start"
            )
        kept = x.shape[:start]
        return ops.reshape(x, shape=(*kept, math.prod(x.shape[start:])))


class Dropout(Layer):
    """In training each element is 0 with probability ``p`` and the others are scaled by
    1 / (1 - p); in evaluation, ``x`` as it is."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ConfigError(f"dropout: p={p} is not a probability, from 0 to 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return ops.dropout(x, p=self.p, training=self.training)
