"""The seam between the graph and an array library, and the choice of the kernel that runs an op."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tensorgraph.errors import BackendError, MissingKernelError, PluginError

if TYPE_CHECKING:
    from tensorgraph.op import Op
    from tensorgraph.spec import Spec


class Kernel(NamedTuple):
    """One way to run an op on a backend: ``run(*arrays, **params)`` returns an array.

    ``run`` may be "module:function", imported on first use. ``supports(*specs, **params)`` says
    where it applies; None means everywhere. A kernel may return any memory layout, and must write
    neither to its inputs nor to anything it returned.
    """

    op: str
    name: str
    run: Callable[..., Any] | str
    supports: Callable[..., bool] | None = None


class Backend(Protocol):
    """What the graph asks of an array library. It never asks for more."""

    @property
    def name(self) -> str: ...
    @property
    def xp(self) -> Any: ...
    @property
    def kernels(self) -> Sequence[Kernel]: ...

    def asarray(self, data: Any, dtype: str | None) -> Any:
        """A new array from numbers, sequences of them, a NumPy array or a DLPack exporter."""

    def to_host(self, array: Any) -> Any:
        """The values as a NumPy array, which may share memory with ``array``."""

    def synchronize(self) -> None:
        """Wait until everything asked for so far is done."""


class Abstract:
    """The backend of tensors without values: every op gives only its output's spec."""

    name = "abstract"
    xp = None
    kernels: Sequence[Kernel] = ()

    def asarray(self, data: Any, dtype: str | None) -> Any:
        return None

    def to_host(self, array: Any) -> Any:
        raise BackendError(
            "this tensor has no values: it stands for a spec while a model is being shaped; "
            "code that reads values cannot run before there is data"
        )

    def synchronize(self) -> None:
        pass


ABSTRACT: Backend = Abstract()


def mixed_backends(what: str, tensors: Sequence[Any]) -> BackendError:
    names = ", ".join(f"{x.spec} on {x.backend.name}" for x in tensors)
    return BackendError(
        f"{what}: tensors of several backends: {names}; move them to one: "
        f"tg.tensor(x, backend={tensors[0].backend.name!r})"
    )


def imported(function: Callable[..., Any] | str, what: str, hint: str = "") -> Callable[..., Any]:
    """A function, or the one that "module:function" names."""
    if not isinstance(function, str):
        return function
    module, _, name = function.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(f"{what} cannot be imported from {function!r}: {error}{hint}") from error
    return found


def select_kernel(
    op: Op[...],
    backend: Backend,
    offered: Sequence[Kernel],
    specs: Sequence[Spec],
    params: Mapping[str, Any],
    pinned: str | None = None,
) -> Callable[..., Any]:
    """The kernel that runs ``op`` on arrays of these specs.

    The first that supports them among those that plugins offer, then the backend's own, then
    the op's portable one. ``pinned`` names one kernel and admits no other.
    """
    if backend is ABSTRACT:
        return lambda *arrays, **params: None
    kernels = [k for k in (*offered, *backend.kernels) if k.op == op.name]
    if op.portable is not None:
        kernels.append(Kernel(op.name, "portable", functools.partial(op.portable, backend.xp)))
    if pinned is not None:
        known = ", ".join(k.name for k in kernels) or "none"
        kernels = [k for k in kernels if k.name == pinned]
        if not kernels:
            raise MissingKernelError(
                f"op {op.name!r} has no kernel named {pinned!r} on backend {backend.name!r}; "
                f"it has: {known}"
            )
    for kernel in kernels:
        if kernel.supports is None or kernel.supports(*specs, **params):
            pin = f"; pin another: tg.use(kernels={{{op.name!r}: 'portable'}})"
            return imported(kernel.run, f"op {op.name!r}: its kernel {kernel.name!r}", pin)
    shapes = ", ".join(map(str, specs))
    if pinned is not None:
        raise MissingKernelError(
            f"op {op.name!r}: the kernel {pinned!r}, which use(kernels=…) asks for, does not "
            f"support {shapes}; drop the pin or choose another kernel"
        )
    raise MissingKernelError(
        f"op {op.name!r} has no portable kernel, and backend {backend.name!r} brings none "
        f"for {shapes}; register one with the hook register_kernels"
    )
