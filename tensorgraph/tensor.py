"""Tensor, the graph behind it, running an op, Python's operators."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

from tensorgraph import config, ops
from tensorgraph.backend import ABSTRACT, Backend, mixed_backends
from tensorgraph.errors import DtypeError, GradientError
from tensorgraph.spec import Spec, is_floating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tensorgraph.op import Op


class Node:
    """How a tensor came to be: the op, where its inputs came from, and what its rule reads."""

    __slots__ = ("arrays", "backend", "op", "params", "parents", "saved", "spec", "version")

    def __init__(self, op: Op[...], params: dict[str, Any], xs: tuple[Tensor, ...], out: Tensor):
        reads = op.reads.data
        self.op = op
        self.params = params
        self.parents = tuple([x.node for x in xs])
        self.backend = out.backend
        self.spec = out.spec
        self.arrays = out.data if "out" in reads else None  # not ``out``: that would be a cycle
        names = op.inputs
        if op.variadic:
            names += (names[-1],) * (len(xs) - len(names))
        self.saved: tuple[Any, ...] = tuple(
            [x if name in reads else x.spec for name, x in zip(names, xs)]
        )
        self.version = self.versions()

    def versions(self) -> int:
        """Grows when a saved tensor is written to."""
        return sum([x.version for x in self.saved if isinstance(x, Tensor)])

    def gradients(self, g: Tensor) -> Any:
        """The gradients of the inputs, from that of the output."""
        if self.versions() != self.version:
            raise GradientError(
                f"{self.op.name}: a tensor that its gradient needs was assigned after the op ran: "
                f"inputs {', '.join(str(getattr(x, 'spec', x)) for x in self.saved)}. Call "
                "backward() before you assign, or run the op again"
            )
        out: Any = self.spec
        if self.arrays is not None:
            out = Tensor(self.arrays, self.backend, self.spec, node=self)
        return self.op.gradients(g, out, self.saved, self.params)


class Leaf:
    """The graph's end: a tensor whose gradient somebody asked for."""

    __slots__ = ("parents", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.parents: tuple[Node | Leaf | None, ...] = ()
        self.tensor = weakref.ref(tensor)  # the tensor owns the leaf: no cycle


def _unary(op: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: op(x)


def _binary(op: Any) -> tuple[Callable[[Tensor, Any], Tensor], Callable[[Tensor, Any], Tensor]]:
    """An operator and the one for a number on the left."""
    return lambda x, y: op(x, y), lambda y, x: op(x, y)


def _of_plugin(name: str) -> Callable[..., Tensor]:
    """An op that is there when it is called."""
    return lambda *xs: getattr(ops, name)(*xs)


class Tensor:
    """An array on a backend, and the node that made it."""

    __slots__ = ("__weakref__", "_array", "backend", "grad", "lender", "node", "spec", "version")
    __array_ufunc__ = None  # array * tensor is the tensor's affair

    def __init__(
        self, data: Any, backend: Backend, spec: Spec, *, node: Node | Leaf | None = None
    ) -> None:
        self._array = data
        self.lender: Lender | None = None
        self.backend = backend
        self.spec = spec
        self.node = node
        self.grad: Tensor | None = None
        self.version = 0

    @property
    def data(self) -> Any:
        """The array, which nobody writes to. A plan that keeps the values in memory of its own, to
        write them in place, lends a copy."""
        if self._array is None and self.lender is not None:
            self._array = self.lender.copy()
        return self._array

    @data.setter
    def data(self, array: Any) -> None:
        self._array, self.lender = array, None

    def lend(self, lender: Lender) -> None:
        """Leave the values to a plan, whose memory is the only one that has them from now on."""
        self._array, self.lender = None, lender

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spec.shape

    @property
    def dtype(self) -> str:
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        return len(self.spec.shape)

    @property
    def size(self) -> int:
        return self.spec.size

    @property
    def requires_grad(self) -> bool:
        """Whether ops on this tensor are remembered, so that a gradient can reach it."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if isinstance(self.node, Node):
            raise GradientError(
                f"requires_grad is set on leaves, and this tensor was made by op "
                f"{self.node.op.name!r}; x.detach() gives a leaf with the same values"
            )
        if wanted and not is_floating(self.dtype):
            raise GradientError(f"only floating-point tensors have gradients, not {self.spec}")
        self.node = (self.node or Leaf(self)) if wanted else None

    def detach(self) -> Tensor:
        """The same values, without the graph behind them."""
        out = Tensor(self.data, self.backend, self.spec)
        if (listener := config.current().listener) is not None:
            listener.detach(self, out)
        return out

    def __deepcopy__(self, memo: Any) -> Tensor:
        """A tensor of its own; of one that an op made, the values without the graph."""
        twin = self.detach()
        twin.requires_grad = isinstance(self.node, Leaf)
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"{self!r} is not pickled: its graph and backend stay here; use x.numpy()")

    def constant(self, values: Any, dtype: str | None = None) -> Tensor:
        """A tensor beside this one, on its backend: a number or nested sequences of numbers."""
        shape, probe = [], values
        while isinstance(probe, list | tuple | range):
            shape.append(len(probe))
            probe = probe[0] if probe else 0
        spec = Spec(tuple(shape), dtype or self.dtype)
        return Number(self.backend.asarray(values, spec.dtype), self.backend, spec)

    def assign(self, value: Tensor) -> None:
        """Write new values of the same shape and dtype, in place of the old."""
        if isinstance(self.node, Node):
            raise GradientError(
                f"assign: this tensor was made by op {self.node.op.name!r} and its graph needs "
                "it; only leaves can be assigned"
            )
        if value.spec != self.spec:
            raise DtypeError(f"assign: {value.spec} does not fit {self.spec}")
        if value.backend is not self.backend:
            raise mixed_backends("assign", (self, value))
        if (listener := config.current().listener) is not None:
            listener.assign(self, value)
        self.data = value.data
        self.version += 1

    def backward(self, seed: Tensor | None = None, *, create_graph: bool = False) -> None:
        """Add the gradient of this scalar to ``grad`` of every leaf that it was made from."""
        Tensor.differentiate(self, seed, create_graph)

    differentiate: Callable[..., None]  # autograd.py provides it

    def numpy(self) -> Any:
        """The values as a NumPy array of their own."""
        return self._host("numpy()").copy()

    def item(self) -> Any:
        """The value of a tensor with one element, as a Python number."""
        if self.size != 1:
            raise DtypeError(f"item: {self.spec} has {self.size} elements, not one")
        return self._host("item()").item()

    def _host(self, what: str) -> Any:
        if (listener := config.current().listener) is not None:
            listener.host_read(what, self)
        return self.backend.to_host(self.data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __bool__(self) -> bool:
        if self.size != 1:
            raise DtypeError(
                f"the truth of {self.spec} is ambiguous; use tg.ops.any(x) or tg.ops.all(x)"
            )
        return bool(self.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        host = self.numpy()
        return host if dtype is None else host.astype(dtype)

    def __dlpack__(self, **options: Any) -> Any:
        return self[...].data.__dlpack__(**options)  # NumPy's scalars have none

    def __dlpack_device__(self) -> Any:
        return self[...].data.__dlpack_device__()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a 0-dimensional tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        made_by = f", op={self.node.op.name}" if isinstance(self.node, Node) else ""
        if self.backend is ABSTRACT:
            return f"Tensor({self.spec}, abstract{made_by})"
        values = str(self.backend.to_host(self.data)).replace("\n", "\n       ")
        return f"Tensor({values}, {self.spec}, {self.backend.name}{made_by})"

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return ops.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return ops.mean(self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        return ops.reshape(self, shape=shape[0] if len(shape) == 1 else shape)

    @property
    def T(self) -> Tensor:  # noqa: N802  NumPy's name
        return ops.permute_dims(self, axes=tuple(reversed(range(self.ndim))))

    def __getitem__(self, key: Any) -> Tensor:
        return ops.getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise GradientError(
            f"{self.spec} cannot be written in place, a graph may need its values; use "
            "tg.ops.where(mask, new, x) or tg.ops.concat, or x.assign(value) to replace a leaf's"
        )

    __neg__ = _unary(ops.negative)
    __abs__ = _unary(ops.abs)
    __invert__ = _unary(ops.logical_not)
    __add__, __radd__ = _binary(ops.add)
    __sub__, __rsub__ = _binary(ops.subtract)
    __mul__, __rmul__ = _binary(ops.multiply)
    __truediv__, __rtruediv__ = _binary(ops.divide)
    __pow__, __rpow__ = _binary(_of_plugin("pow"))
    __matmul__, __rmatmul__ = _binary(_of_plugin("matmul"))
    __and__, __rand__ = _binary(ops.logical_and)
    __or__, __ror__ = _binary(ops.logical_or)
    __lt__, __gt__ = _binary(ops.less)[0], _binary(ops.greater)[0]
    __le__, __ge__ = _binary(ops.less_equal)[0], _binary(ops.greater_equal)[0]
    __eq__ = _binary(ops.equal)[0]  # type: ignore[assignment]  # elementwise, as NumPy's
    __ne__ = _binary(ops.not_equal)[0]  # type: ignore[assignment]
    __hash__ = object.__hash__


class Number(Tensor):
    """A tensor of numbers that the code itself holds, and nobody can change."""

    __slots__ = ()


class Lender(Protocol):
    """Keeps a tensor's values while plans read and write them."""

    def copy(self) -> Any:
        """The values in an array of their own."""
