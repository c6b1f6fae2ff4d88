"""Checks for the authors of plugins: thin doors to what the plugin ``check`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypedDict, Unpack, cast

from tensorgraph.backend import Kernel
from tensorgraph.discovery import PLUGINS
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


check_layer = partial(check, kind="layer")
check_activation = partial(check, kind="activation")
check_loss = partial(check, kind="loss")
check_regularizer = partial(check, kind="regularizer")
check_optimizer = partial(check, kind="optimizer")
check_op = partial(check, kind="op")
check_backend = partial(check, kind="backend")


def check_kernel(kernel: Kernel | str, backend: str = "numpy", **given: Unpack[Given]) -> Report:
    """Check a kernel for a backend, or the one that is registered as "backend/op/name"."""
    return check((backend, kernel) if isinstance(kernel, Kernel) else kernel, "kernel", **given)


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
