"""Layer, Parameter, Buffer: what the layers of plugins are made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Self

from tensorgraph import config
from tensorgraph.backend import ABSTRACT
from tensorgraph.creation import tensor
from tensorgraph.discovery import PLUGINS
from tensorgraph.errors import ConfigError, ShapeError, TensorgraphError
from tensorgraph.spec import Spec
from tensorgraph.tensor import Tensor

Initializer = Callable[[Spec], Tensor]
UNBUILT = "has no shape yet: call the model once, or model.infer_shape(tg.Spec((1, 1, 28, 28)))"


class State(Tensor):
    """A tensor that a layer owns and saves. It has no shape until the layer is built."""

    __slots__ = ("built", "initializer")

    def __init__(self, initializer: Initializer) -> None:
        self.initializer = initializer
        self.version = 0
        self.forget()

    def forget(self) -> None:
        """Go back to having neither shape nor value."""
        self.built, self.node, self.grad = False, None, None
        for name in ("_array", "lender", "backend", "spec"):
            with suppress(AttributeError):
                delattr(self, name)

    def initialize(self, shape: tuple[int, ...], dtype: str) -> None:
        """Take a shape and a first value, unless a value was loaded already."""
        wanted = Spec(tuple(shape), dtype)
        if not self.built:
            with config.Scope(grad=False, listener=None):  # no part of the step that is running
                value = self.initializer(wanted)
            if value.spec != wanted:
                raise ShapeError(f"the initializer of {wanted} returned {value.spec}")
            self._adopt(value)
        elif self.shape != wanted.shape:
            raise ShapeError(f"{self.spec} was loaded, and an input of this shape needs {wanted}")

    def assign(self, value: Tensor) -> None:
        """Write new values in place of the old; nothing while a model is only being shaped."""
        if value.backend is not ABSTRACT:
            super().assign(value)

    def _adopt(self, value: Tensor) -> None:
        self.data, self.backend, self.spec = value.data, value.backend, value.spec
        self.built, self.grad = True, None

    def __deepcopy__(self, memo: Any) -> Self:
        twin = type(self)(self.initializer)
        if self.built:
            twin._adopt(self)
        twin.requires_grad = self.requires_grad
        return twin

    def __getattr__(self, name: str) -> Any:
        if name in ("data", "_array", "lender", "backend", "spec"):
            raise ConfigError(f"this {type(self).__name__.lower()} {UNBUILT}")
        raise AttributeError(name)

    def __repr__(self) -> str:
        return super().__repr__() if self.built else f"{type(self).__name__}(no shape yet)"


class Parameter(State):
    """State that is trained, unless ``requires_grad = False`` freezes it."""

    __slots__ = ("_frozen",)

    def __init__(self, initializer: Initializer) -> None:
        self._frozen = False
        super().__init__(initializer)

    def _adopt(self, value: Tensor) -> None:
        super()._adopt(value)
        self.requires_grad = not self._frozen

    @property
    def requires_grad(self) -> bool:
        return not self._frozen

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self._frozen = not wanted
        if self.built:
            Tensor.requires_grad.__set__(self, wanted)  # type: ignore[attr-defined]  # a property


class Buffer(State):
    """State that is not trained, such as the running mean of a batch norm."""

    __slots__ = ()


class Layer:
    """A function of a tensor with state. Subclasses define ``forward``, and ``build`` if their
    state's shape depends on the input's.

    State and inner layers are found by looking through the attributes, lists, tuples and dicts of
    them too, in the order in which they were set; their names are the paths there: ``0.weight``.
    """

    training = True
    _ready = False

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define forward(x)")

    def build(self, x: Spec) -> None:
        """Give the state its shapes, from the spec of the first input."""

    def __call__(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor):
            name, given = type(self).__name__, type(x).__name__
            raise TypeError(f"{name} takes a tensor, not {given}; wrap an array: tg.tensor(x)")
        if (listener := config.current().listener) is not None:
            listener.enter(self, x)
        try:
            out = self.forward(x) if self._ready else self._first_call(x)
        except TensorgraphError as error:
            self._locate(error, x)
            raise
        if listener is not None:
            listener.leave(self, out)
        return out

    def _first_call(self, x: Tensor) -> Tensor:
        """Build, then run; what fails leaves this layer, and all inside it, as it was."""
        layers = [layer for _, layer in self.layers() if not layer._ready]
        states = [state for _, state in self._paths() if not state.built]
        here = config.Choice(x.backend.name, "the layer's input")
        try:
            with config.Scope(**({} if x.backend is ABSTRACT else {"backend": here})):
                self.build(x.spec)
            out = self.forward(x)
        except BaseException:
            for layer in layers:
                layer._ready = False
            for state in states:
                state.forget()
            raise
        self._ready = True
        return out

    def _locate(self, error: TensorgraphError, x: Tensor) -> None:
        """Add to an error where in this layer it happened; outer layers know more of the path."""
        culprit, spec = error.__dict__.setdefault("layer", (self, x.spec))
        path = next((p for p, layer in self.layers() if layer is culprit), "")
        name = f"{type(culprit).__name__}({culprit._options()})"
        at = f"layer {path!r}, {name}" if path else name
        error.where = f"\n  in {at}, whose input is {spec}"

    def infer_shape(self, x: Spec) -> Spec:
        """Build the layer for an input of this spec, without data; returns the output's spec."""
        with config.no_grad():
            return self(Tensor(None, ABSTRACT, x)).spec

    def _members(self) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            if isinstance(value, list | tuple | dict):
                items = value.items() if isinstance(value, dict) else enumerate(value)
                yield from ((f"{name}.{key}", member) for key, member in items)
            else:
                yield name, value

    def children(self) -> Iterator[tuple[str, Layer]]:
        return ((name, x) for name, x in self._members() if isinstance(x, Layer))

    def layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """This layer and all inside it, with their paths; its own is ``prefix``."""
        yield prefix, self
        for name, child in self.children():
            yield from child.layers(f"{prefix}.{name}" if prefix else name)

    def own_parameters(self) -> list[Parameter]:
        """The parameters of this layer itself, without those of the layers inside it."""
        return [x for _, x in self._members() if isinstance(x, Parameter)]

    def summary(self, x: Spec) -> Any:
        """Its layers with shapes, parameters and FLOPs for an input of this spec; needs no data."""
        return PLUGINS.walk("summary", self, x)

    def _paths(self) -> Iterator[tuple[str, State]]:
        """Every path to every parameter and buffer: one that is shared has several."""
        for path, layer in self.layers():
            for name, x in layer._members():
                if isinstance(x, State):
                    yield f"{path}.{name}" if path else name, x

    def named_state(self) -> dict[str, State]:
        """Parameters and buffers by path. One that is shared has the first of its paths."""
        first = {x: path for path, x in reversed(list(self._paths()))}
        return {path: x for path, x in self._paths() if first[x] == path}

    def named_parameters(self) -> dict[str, Parameter]:
        return {k: v for k, v in self.named_state().items() if isinstance(v, Parameter)}

    def parameters(self) -> list[Parameter]:
        return list(self.named_parameters().values())

    def state(self) -> dict[str, Tensor]:
        """Every parameter and buffer by path, named and shaped as in PyTorch."""
        found = self.named_state()
        unbuilt = next((name for name, x in found.items() if not x.built), None)
        if unbuilt is not None:
            raise ConfigError(f"state: {unbuilt} {UNBUILT}")
        return {name: x.detach() for name, x in found.items()}

    def load_state(self, state: Mapping[str, Any], *, strict: bool = True) -> None:
        """Take the values of ``state``: tensors or arrays by path, PyTorch's state_dict too.

        Values take the dtype and the backend that the model has. Nothing is changed unless all of
        it fits. ``strict=False`` passes over what one side lacks.
        """
        paths = dict(self._paths())
        found = {paths[name]: name for name in state if name in paths}
        missing = ", ".join(k for k, x in self.named_state().items() if x not in found) or "none"
        surplus = ", ".join(k for k in state if k not in paths) or "none"
        if strict and (missing, surplus) != ("none", "none"):
            raise ConfigError(
                f"load_state: missing: {missing}; not in this model: {surplus}; strict=False "
                "passes over both"
            )
        values = {}
        for x, name in found.items():
            dtype, backend = (x.dtype, x.backend.name) if x.built else (None, None)
            values[x] = value = tensor(state[name], dtype=dtype, backend=backend)
            if x.built and x.shape != value.shape:
                raise ShapeError(f"load_state: {name} is {x.spec} here, {value.spec} in the state")
        for x, value in values.items():
            x.assign(value) if x.built else x._adopt(value)

    def train(self, training: bool = True) -> Self:
        """Switch dropout and batch statistics on; ``eval()`` switches them off."""
        for _, layer in self.layers():
            layer.training = training
        return self

    def eval(self) -> Self:
        return self.train(False)

    def freeze(self, frozen: bool = True) -> Self:
        """Keep every parameter as it is; ``unfreeze()`` trains them again. Running statistics are
        no parameters: ``eval()`` keeps those."""
        for x in self.parameters():
            x.requires_grad = not frozen
        return self

    def unfreeze(self) -> Self:
        return self.freeze(False)

    def to(self, backend: str) -> Self:
        """Move every parameter and buffer to another backend, before an optimizer takes them."""
        for x in self.named_state().values():
            if x.built:
                x._adopt(tensor(x, backend=backend))
        return self

    def _options(self) -> str:
        """The arguments it was made with, found as attributes, where they are not the defaults."""
        shown = []
        for name, p in inspect.signature(type(self)).parameters.items():
            value = vars(self).get(name, p.default)
            if not isinstance(value, Layer | State) and _text(value) != _text(p.default):
                shown.append((f"{name}=" if p.default is not p.empty else "") + _text(value))
        return ", ".join(shown)

    def __repr__(self) -> str:
        inner = [f"\n  {name}: " + repr(x).replace("\n", "\n  ") for name, x in self.children()]
        return f"{type(self).__name__}({self._options()}{''.join(inner)}{chr(10) if inner else ''})"


def _text(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)
