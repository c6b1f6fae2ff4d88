"""Checks for the authors of plugins: thin doors to what the plugin ``check`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypedDict, Unpack, cast

from tensorgraph.backend import Backend, Kernel
from tensorgraph.discovery import PLUGINS
from tensorgraph.layer import Layer
from tensorgraph.optimizer import Optimizer
from tensorgraph.tensor import Tensor

Function = Callable[..., Tensor]


class Report(Protocol):
    """What was checked, row by row. ``require`` raises ``PluginError`` unless the report is ok."""

    ok: bool
    failed: Sequence[str]

    def __getitem__(self, check: str) -> Any: ...
    def require(self) -> Report: ...
    def print(self) -> None: ...
    def to_json(self) -> str: ...


class Given(TypedDict, total=False):
    """What an author may give to a check; docs/checking.md says what each may be."""

    samples: Sequence[Any] | Callable[[], Sequence[Any]]
    reference: Callable[..., Any]
    worked_example: Mapping[str, Any]
    tolerance: float
    skip: Mapping[str, str]


def check(thing: Any, kind: str = "", **given: Unpack[Given]) -> Report:
    """Check a thing, or what is registered under a name; ``kind`` where that alone says too little:
    layer, activation, loss, regularizer, optimizer, op, kernel or backend."""
    return cast(Report, PLUGINS.walk("check", thing, kind=kind, **given))


def check_layer(layer: Callable[..., Layer] | Layer | str, **given: Unpack[Given]) -> Report:
    return check(layer, "layer", **given)


def check_activation(function: Function | str, **given: Unpack[Given]) -> Report:
    return check(function, "activation", **given)


def check_loss(function: Function | str, **given: Unpack[Given]) -> Report:
    return check(function, "loss", **given)


def check_regularizer(factory: Callable[..., Any] | str, **given: Unpack[Given]) -> Report:
    return check(factory, "regularizer", **given)


def check_optimizer(made: Callable[..., Optimizer] | str, **given: Unpack[Given]) -> Report:
    return check(made, "optimizer", **given)


def check_op(op: Function | str, **given: Unpack[Given]) -> Report:
    return check(op, "op", **given)


def check_kernel(kernel: Kernel | str, backend: str = "numpy", **given: Unpack[Given]) -> Report:
    """Check a kernel for a backend, or the one that is registered as "backend/op/name"."""
    return check((backend, kernel) if isinstance(kernel, Kernel) else kernel, "kernel", **given)


def check_backend(backend: Backend | str, **given: Unpack[Given]) -> Report:
    return check(backend, "backend", **given)


def gradcheck(
    function: Function,
    inputs: Sequence[Any],
    *,
    order: int = 2,
    step: float = 1e-6,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> float:
    """Compare the gradients of ``function`` with finite differences; returns the largest error.

    Floating-point inputs become float64 leaves, so that nothing passes for want of a gradient. The
    output is contracted with random numbers and moved along one random direction; for ``order`` 2
    the gradient function likewise. Choose inputs away from kinks. Raises ``GradientError``.
    """
    options = {"order": order, "step": step, "tolerance": tolerance, "seed": seed}
    return cast(float, PLUGINS.walk("gradcheck", function, inputs, **options))
