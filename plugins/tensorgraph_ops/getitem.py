"""Ops that pick elements: indexing, take, and their adjoint, which adds elements up."""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING, Any

from tensorgraph import config
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import DtypeError, ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import broadcast
from tensorgraph.spec import Shaped, Spec, kind

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]

Key = tuple[Any, ...]

ARRAY = "array"

ALL = slice(None)


@op
def gather(x: Shaped, *indices: Shaped, key: Key) -> Spec:
    """What ``getitem`` runs: ``x[key]``, the key being a hashable tuple of integers, None,
    (start, stop, step) for a slice, and "array" where the next of ``indices`` goes."""
    shape: list[int] = []
    places: list[int] = []  # how many axes are in front of each advanced one
    for part in key:
        if part is None:
            shape.append(1)
        elif isinstance(part, tuple):
            start, stop, step = part
            shape.append(len(range(start, -1 if stop is None else stop, step)))
        else:
            places.append(len(shape))
    picked = broadcast("getitem", *indices) if indices else ()
    place = places[0] if len(set(places)) == 1 else 0  # apart from each other, they come first
    return Spec((*shape[:place], *picked, *shape[place:]), x.dtype)


def _native(key: Key, indices: tuple[Any, ...]) -> tuple[Any, ...]:
    rest = iter(indices)
    parts = [
        slice(*part) if isinstance(part, tuple) else next(rest) if part == ARRAY else part
        for part in key
    ]
    return (*parts, ...)  # with an ellipsis, one element is an array as well


@gather.kernel
def _(xp: Any, x: Any, *indices: Any, key: Key) -> Any:
    try:
        if not indices or _takes_arrays(xp):
            return x[_native(key, indices)]
        places = _places(xp, x.shape, key, indices)
    except IndexError as error:
        raise ShapeError(f"getitem: {error}, of shape {list(x.shape)}") from None
    found = xp.take(xp.reshape(x, (-1,)), xp.reshape(places, (-1,)), axis=0)
    return xp.reshape(found, places.shape)


def _takes_arrays(xp: Any) -> bool:
    """Whether keys may mix arrays with slices, and elements be added where they point: NumPy and
    CuPy have that, and the array API standard has not."""
    return hasattr(xp.add, "at")


def _places(xp: Any, shape: Ints, key: Key, indices: tuple[Any, ...]) -> Any:
    """Where, in row-major order, the elements of ``x[key]`` stand."""
    rest, sizes = iter(indices), iter(enumerate(shape))
    basic: list[Any] = []  # for each axis that a slice or None leaves, what it adds
    picked: list[Any] = []  # what the integers and arrays add, which broadcast
    fronts: set[int] = set()  # how many axes are in front of each of those
    for part in key:
        if part is None:
            basic.append(xp.zeros(1, dtype=xp.int64))
            continue
        axis, n = next(sizes)
        stride = math.prod(shape[axis + 1 :])
        if isinstance(part, tuple):
            start, stop, step = part
            span = xp.arange(start, -1 if stop is None else stop, step, dtype=xp.int64)
            basic.append(span * stride)
            continue
        fronts.add(len(basic))
        index = xp.astype(next(rest), xp.int64) if part == ARRAY else xp.asarray(part)
        if bool(xp.any((index < -n) | (index >= n))):
            raise IndexError(f"an index is out of bounds for axis {axis} with size {n}")
        picked.append(xp.where(index < 0, index + n, index) * stride)
    front = fronts.pop() if len(fronts) == 1 else 0  # apart from each other, they come first
    block = functools.reduce(operator.add, picked)
    behind = len(basic) - front
    total = xp.reshape(block, (*block.shape, *[1] * behind))
    for i, term in enumerate(basic):
        after = len(basic) - i - 1 + (block.ndim if i < front else 0)
        total = total + xp.reshape(term, (-1, *[1] * after))
    return total


gather.flops(lambda *_, **__: 0)


@gather.vjp
def _(g: Tensor, x: Shaped, *indices: Tensor, key: Key) -> Any:
    return (scatter_add(g, *indices, key=key, shape=x.shape), *[None] * len(indices))


@op
def scatter_add(x: Shaped, *indices: Shaped, key: Key, shape: Ints) -> Spec:
    """The adjoint of ``gather``: zeros of ``shape``, to whose ``[key]`` ``x`` is added; an
    element that is picked several times gets the sum."""
    return Spec(shape, x.dtype)


@scatter_add.kernel
def _(xp: Any, x: Any, *indices: Any, key: Key, shape: Ints) -> Any:
    out = xp.zeros(shape, dtype=x.dtype)
    if not indices:  # slices never meet an element twice
        at = _native(tuple(part for part in key if part is not None), ())
        out[at] = xp.reshape(x, out[at].shape)
        return out
    if not _takes_arrays(xp):
        places = xp.reshape(_places(xp, shape, key, indices), (-1,))
        return xp.reshape(_summed(xp, xp.reshape(x, (-1,)), places, math.prod(shape)), shape)
    places = xp.arange(out.size).reshape(shape)[_native(key, indices)]
    xp.add.at(out.reshape(-1), places.reshape(-1), x.reshape(-1))  # fast in one dimension only
    return out


def _summed(xp: Any, x: Any, places: Any, size: int) -> Any:
    """For each of ``size`` places the sum of the elements that belong there, or 0. Sorted by
    place, they are summed over 1, 2, 4, … neighbours of one place; the last has the sum."""
    if not x.shape[0]:
        return xp.zeros(size, dtype=x.dtype)
    order = xp.argsort(places)
    at, total, step = xp.take(places, order, axis=0), xp.take(x, order, axis=0), 1
    while step < x.shape[0]:
        before = xp.where(at[step:] == at[:-step], total[:-step], xp.zeros_like(total[:-step]))
        total = xp.concat([total[:step], total[step:] + before])
        step *= 2
    every = xp.arange(size, dtype=xp.int64)
    last = xp.clip(xp.searchsorted(at, every, side="right") - 1, 0, None)
    found = xp.take(total, last, axis=0)
    return xp.where(xp.take(at, last, axis=0) == every, found, xp.zeros_like(found))


@scatter_add.vjp
def _(g: Tensor, x: Shaped, *indices: Tensor, key: Key) -> Any:
    return (gather(g, *indices, key=key), *[None] * len(indices))


def getitem(x: Tensor, key: Any) -> Tensor:
    """``x[key]``, NumPy's basic and advanced indexing: integers, slices, ``...``, None, and
    integer or boolean tensors, arrays and lists. A mask is read on the host, since the shape of
    the result depends on its values."""
    parts = [_part(x, part) for part in (key if isinstance(key, tuple) else (key,))]
    axes = [0 if p is None or p is ... else p.ndim if _is_mask(p) else 1 for p in parts]
    missing = x.ndim - sum(axes)
    dots = [i for i, part in enumerate(parts) if part is ...] or [len(parts)]
    if missing < 0 or len(dots) > 1:
        wrong = f"{sum(axes)} indices are too many" if missing < 0 else "one ellipsis is enough"
        raise ShapeError(f"getitem: {wrong} for {x.spec}")
    parts[dots[0] : dots[0] + 1] = [ALL] * missing
    encoded: list[Any] = []
    arrays: list[Tensor] = []
    axis = 0
    for part in parts:
        if part is None:
            encoded.append(None)
            continue
        for index in _nonzero(x, part, axis) if _is_mask(part) else [part]:
            if isinstance(index, slice):
                start, stop, step = index.indices(x.shape[axis])
                empty = not range(start, stop, step)
                encoded.append((0, 0, 1) if empty else (start, None if stop < 0 else stop, step))
            elif isinstance(index, int):
                _within(x, axis, index, index)
                encoded.append(index % x.shape[axis])
            else:
                encoded.append(ARRAY)
                arrays.append(_indices(x, index, axis))
            axis += 1
    return gather(x, *arrays, key=tuple(encoded))


def _part(x: Tensor, part: Any) -> Any:
    """A part of a key as None, an ellipsis, a slice, an int, a tensor or a host array."""
    if isinstance(part, list | tuple | range):
        backend = config.get_backend()
        array = backend.to_host(backend.asarray(list(part), None))
        return array if array.size else array.astype("int64")
    whole = part is None or part is ... or isinstance(part, slice) or _is_tensor(part)
    if whole or getattr(part, "shape", None):
        return part
    if hasattr(part, "__index__") and not isinstance(part, bool) and not _is_mask(part):
        return operator.index(part)
    raise DtypeError(
        f"getitem: {part!r} is no index; use integers, slices, ..., None, integer or bool tensors"
    )


def _is_tensor(part: Any) -> bool:
    return hasattr(part, "backend")  # not isinstance(part, type(x)): x may be a parameter


def _is_mask(part: Any) -> bool:
    return str(getattr(part, "dtype", "")) == "bool"


def _nonzero(x: Tensor, mask: Any, axis: int) -> list[Any]:
    """The indices that a mask stands for, an array for each of its axes."""
    text = f"the mask {Spec(mask.shape, 'bool')}"
    if mask.shape != x.shape[axis : axis + mask.ndim] or not mask.ndim:
        raise ShapeError(f"getitem: {text} does not fit {x.spec} from axis {axis} on")
    if _is_tensor(mask):
        if mask.backend is ABSTRACT:
            raise ShapeError(
                f"getitem: what {text} picks from {x.spec} depends on its values, and there are "
                "none while a model is being shaped; use tg.ops.where(mask, x, 0)"
            )
        mask = mask.numpy()
    return list(mask.nonzero())


def _indices(x: Tensor, index: Any, axis: int) -> Any:
    """Integer indices as a tensor beside ``x``."""
    spec = Spec(index.shape, str(index.dtype))
    if kind(spec.dtype) != 1:
        raise DtypeError(
            f"getitem: indices are integers or bool, not {spec}; tg.ops.cast(i, dtype='int64')"
        )
    if _is_tensor(index):
        return index
    if index.size:
        _within(x, axis, int(index.min()), int(index.max()))
    return type(x)(x.backend.asarray(index, "int64"), x.backend, Spec(index.shape, "int64"))


def _within(x: Tensor, axis: int, low: int, high: int) -> None:
    n = x.shape[axis]
    if low < -n or high >= n:
        raise ShapeError(
            f"getitem: index {low if low < -n else high} is out of range for axis {axis} of "
            f"{x.spec}, which has {n} elements"
        )
