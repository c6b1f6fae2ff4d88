"""Layer, Parameter, Buffer: what the layers of plugins are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tensorgraph import config
from tensorgraph.backend import ABSTRACT, Backend
from tensorgraph.creation import tensor
from tensorgraph.errors import ConfigError, ShapeError
from tensorgraph.spec import Spec
from tensorgraph.summary import Summary, summarize
from tensorgraph.tensor import Tensor

Initializer = Callable[[Spec], Tensor]


class State(Tensor):
    """A tensor that a layer owns and saves. It has no shape until the layer is built."""

    __slots__ = ("initializer",)

    def __init__(self, initializer: Initializer) -> None:
        self.initializer = initializer
        self.node = None
        self.grad = None
        self.version = 0

    @property
    def built(self) -> bool:
        return hasattr(self, "spec")

    def initialize(self, shape: tuple[int, ...], dtype: str) -> None:
        """Take a shape and a first value, unless a value was loaded already."""
        if not self.built:
            with config.no_grad():
                self._adopt(self.initializer(Spec(shape, dtype)))
        elif self.shape != shape:
            raise ShapeError(f"a value of shape {list(self.shape)} is there, {list(shape)} needed")

    def _adopt(self, value: Tensor) -> None:
        self.data, self.backend, self.spec = value.data, value.backend, value.spec

    def __getattr__(self, name: str) -> Any:
        if name in ("data", "backend", "spec"):
            raise ConfigError(
                "this parameter has no shape yet: call the model once, or "
                "model.infer_shape(tg.Spec((1, 1, 28, 28))), so that its layers learn their sizes"
            )
        raise AttributeError(name)


class Parameter(State):
    """State that is trained: ``requires_grad`` unless it is frozen."""

    __slots__ = ("_frozen",)

    def __init__(self, initializer: Initializer) -> None:
        super().__init__(initializer)
        self._frozen = False

    def _adopt(self, value: Tensor) -> None:
        super()._adopt(value)
        Tensor.requires_grad.__set__(self, not self._frozen)  # type: ignore[attr-defined]

    @property
    def requires_grad(self) -> bool:
        return not self._frozen

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self._frozen = not wanted
        if self.built:
            Tensor.requires_grad.__set__(self, wanted)  # type: ignore[attr-defined]


class Buffer(State):
    """State that is not trained, such as the running mean of a batch norm."""

    __slots__ = ()


class Layer:
    """A function of a tensor with state. Subclasses define ``forward``, and ``build`` if their
    state's shape depends on the input's.

    State and inner layers are found by looking through the attributes, in the order in which they
    were set; their names are the paths to them: ``0.weight``.
    """

    training = True
    _ready = False

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define forward(x)")

    def build(self, x: Spec) -> None:
        """Give the state its shapes, from the spec of the first input."""

    def __call__(self, x: Tensor) -> Tensor:
        listener = config.current().listener
        if listener is not None:
            listener.enter(self, x)
        try:
            if not self._ready:
                self.build(x.spec)
                self._ready = True
            out = self.forward(x)
        except ShapeError as error:
            self._locate(error, x)
            raise
        if listener is not None:
            listener.leave(self, out)
        return out

    def _locate(self, error: ShapeError, x: Tensor) -> None:
        """Add to an error where in this layer it happened; outer layers know more of the path."""
        culprit = error.__dict__.setdefault("layer", (self, x.spec))
        path = next((p for p, layer in self.layers() if layer is culprit[0]), "")
        at = f" {path!r}" if path else ""
        error.where = f"\n  in layer{at}, {culprit[0]!r}, whose input is {culprit[1]}"

    def infer_shape(self, x: Spec) -> Spec:
        """Build the layer for an input of this spec, without data; returns the output's spec."""
        with config.no_grad():
            return self(Tensor(None, ABSTRACT, x)).spec

    def children(self) -> Iterator[tuple[str, Layer]]:
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                yield name, value

    def layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """This layer and all inside it, with their paths; its own is ``prefix``."""
        yield prefix, self
        for name, child in self.children():
            yield from child.layers(f"{prefix}.{name}" if prefix else name)

    def own_parameters(self) -> list[Parameter]:
        """The parameters of this layer itself, without those of the layers inside it."""
        return [value for value in vars(self).values() if isinstance(value, Parameter)]

    def summary(self, x: Spec) -> Summary:
        """Its layers with shapes, parameters and FLOPs for an input of this spec; needs no data."""
        return summarize(self, x)

    def named_state(self) -> dict[str, State]:
        """Parameters and buffers by path. One that is shared has the first of its paths."""
        found: dict[str, State] = {}
        seen: set[State] = set()
        for path, layer in self.layers():
            for name, value in vars(layer).items():
                if isinstance(value, State) and value not in seen:
                    seen.add(value)
                    found[f"{path}.{name}" if path else name] = value
        return found

    def named_parameters(self) -> dict[str, Parameter]:
        return {k: v for k, v in self.named_state().items() if isinstance(v, Parameter)}

    def parameters(self) -> list[Parameter]:
        return list(self.named_parameters().values())

    def state(self) -> dict[str, Tensor]:
        """Every parameter and buffer by path, named and shaped as in PyTorch."""
        return {name: x.detach() for name, x in self.named_state().items()}

    def load_state(self, state: Mapping[str, Any], *, strict: bool = True) -> None:
        """Take the values of ``state``: tensors or NumPy arrays by path.

        Nothing is changed unless all of it fits. ``strict=False`` passes over what one side lacks.
        """
        own = self.named_state()
        missing, surplus = own.keys() - state.keys(), state.keys() - own.keys()
        if strict and (missing or surplus):
            raise ConfigError(
                f"load_state: missing: {', '.join(sorted(missing)) or 'none'}; not in this model: "
                f"{', '.join(sorted(surplus)) or 'none'}; strict=False passes over both"
            )
        values = {name: tensor(state[name]) for name in own if name in state}
        for name, value in values.items():
            if own[name].built and own[name].shape != value.shape:
                raise ShapeError(
                    f"load_state: {name} is {list(own[name].shape)} here and "
                    f"{list(value.shape)} in the state"
                )
        for name, value in values.items():
            own[name]._adopt(value)
            own[name].version += 1

    def train(self, training: bool = True) -> Layer:
        """Switch dropout and batch statistics on; ``eval()`` switches them off."""
        for _, layer in self.layers():
            layer.training = training
        return self

    def eval(self) -> Layer:
        return self.train(False)

    def to(self, backend: str) -> Layer:
        """Move every parameter and buffer to another backend."""
        target: Backend = config.get_backend(backend)
        for x in self.named_state().values():
            if x.built and x.backend is not target:
                x._adopt(tensor(x.numpy(), backend=backend))
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
