"""Makes a case ready to be timed: its tensors, and a first run whose values are compared with those
of the portable kernel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

import tensorgraph as tg
from tensorgraph import Backend, Tensor, config
from tensorgraph.errors import BackendError
from tensorgraph_bench.cases import COMPILED, PORTABLE, Call, Case, Trace

ALLOWED = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-10}  # of the largest value


class Ready(NamedTuple):
    """A case with its data. ``call`` is what is timed, under ``case.pinned()``; ``bytes`` are those
    of its inputs and outputs, 0 where the outputs are views of the inputs."""

    case: Case
    backend: Backend
    call: Callable[[], Any]
    calls: tuple[Call, ...]
    bytes: int
    dtype: str

    @property
    def flops(self) -> int:
        return sum(call.flops for call in self.calls)


def ready(case: Case, compare: bool = True) -> Ready:
    """Run a case once. Raises ``BackendError`` where the portable kernels give other values, unless
    that was looked at before."""
    sample, backend = case.sample, config.get_backend(case.backend)
    inputs = [tg.tensor(x, backend=case.backend) for x in sample.arrays()]
    trace, function = Trace(), sample.call
    with case.pinned():
        with config.listen(trace):
            out = _tensors(function(*inputs))
        if case.kernel == COMPILED:
            os.environ.setdefault("TENSORGRAPH_JIT", "wait")  # until Numba has compiled it
            function = tg.compile(sample.call)
            out = _tensors(function(*inputs))
        for i, x in enumerate(out):
            _check_shape(case, i, x)
    pins = {call.op.name: PORTABLE for call in trace.calls if call.op.portable is not None}
    if compare and (case.kernel == COMPILED or pins.items() - dict(case.pins).items()):
        with tg.use(backend=case.backend, kernels=pins):
            for x, wanted in zip(out, _tensors(sample.call(*inputs)), strict=True):
                _check_values(case, backend.to_host(x.data), backend.to_host(wanted.data))
    overlap = getattr(backend.xp, "may_share_memory", None)
    views = overlap is not None and all(any(overlap(x.data, y.data) for y in inputs) for x in out)
    moved = 0 if views else sum(_bytes(x) for x in (*inputs, *out))
    dtypes = [x.dtype for x in (*inputs, *out)]
    dtype = "float64" if "float64" in dtypes else "float32"
    return Ready(case, backend, lambda: function(*inputs), tuple(trace.calls), moved, dtype)


def _tensors(out: Any) -> list[Tensor]:
    return list(_flat([out]))


def _flat(found: Iterable[Any]) -> Iterator[Tensor]:
    for x in found:
        if isinstance(x, Tensor):
            yield x
        else:
            yield from _flat(x)


def _bytes(x: Tensor) -> int:
    return x.size * np.dtype(x.dtype).itemsize


def _check_shape(case: Case, i: int, x: Tensor) -> None:
    array = x.data
    if tuple(array.shape) != x.shape or str(array.dtype) != x.dtype:
        raise BackendError(
            f"{case}: output {i} is {array.dtype}{[*array.shape]}, and the op's shape rule says "
            f"{x.spec}; it is not timed until that is mended"
        )


def _check_values(case: Case, got: Any, wanted: Any) -> None:
    got, wanted = np.asarray(got), np.asarray(wanted)
    same = (got == wanted) | ((got != got) & (wanted != wanted))  # infinities, and NaN in both
    allowed = ALLOWED.get(str(wanted.dtype), 0.0)
    if not allowed:
        distance, scale = (~same).astype(float), 1.0
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.where(same, 0.0, np.nan_to_num(np.abs(got - wanted), nan=np.inf))
        scale = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0))
    error = float(distance.max()) / (scale or 1.0) if distance.size else 0.0
    if error > allowed:
        at = tuple(map(int, np.unravel_index(int(np.argmax(distance)), distance.shape)))
        how_far = f", by {error:.1e} of the largest value, {allowed:.0e} is allowed"
        raise BackendError(
            f"{case}: its values differ from those of the portable kernel"
            f"{how_far * bool(allowed)}; at {at} it gives {got[at]} and the portable one "
            f"{wanted[at]}; it is not timed until that is mended"
        )
