"""Tasks: the native work of a plan, bound piece by piece to the memory that it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from tensorgraph.program import Call, Value
from tensorgraph_numba import native
from tensorgraph_numba.kernels.chain import Sum, chain
from tensorgraph_numba.plan.chains import SUMS, Steps, kept_axes, space

LEAST_SHARED = 1 << 13  # elements of a whole value that more than one thread is worth


class Place(Protocol):
    """Where and for what a task is bound: for some samples of the batch, or for whole values.

    thread      whose memory is written, of ``threads``
    samples     the samples of this piece; None for whole values
    accumulate  whether a sum adds to what earlier pieces have left
    """

    thread: int
    threads: int
    samples: range | None
    accumulate: bool

    def __getitem__(self, value: Value) -> Any:
        """The array of a value, or of this piece of it; of a sum, this thread's share."""

    def axis(self, value: Value) -> int | None:
        """The axis of samples of a value, where it has one."""

    def along(self, value: Value, like: Value) -> Any:
        """The array of an operand that is broadcast against ``like``, cut to this piece too where
        it has an element for each sample."""

    def scratch(self, dtype: str) -> Callable[[int], Any]: ...


class Task:
    """What reads some values and makes others, by kernels.

    shared  whether threads may each take a part of whole values (``bind`` is called for each)
    """

    shared = False

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = tuple(calls)
        made = {call.out for call in calls}
        self.inputs = list(dict.fromkeys(x for c in calls for x in c.inputs if x not in made))
        self.outputs = [call.out for call in calls]

    @property
    def name(self) -> str:
        return " ".join(call.op.name for call in self.calls)

    def bind(self, at: Place) -> list[native.Call]:
        raise NotImplementedError

    def in_place(self, value: Value) -> bool:
        """Whether an output may take the memory of this input, which nobody reads afterwards."""
        return False


class Chain(Task):
    """Elementwise calls and sums that visit every element once."""

    def __init__(self, calls: Sequence[Call], read_outside: set[Value]) -> None:
        super().__init__(calls)
        shape = space(calls[0])
        assert shape is not None
        self.shape = shape
        self.outputs = [c.out for c in calls if c.op.name in SUMS or c.out in read_outside]
        self.sums = [c for c in calls if c.op.name in SUMS]
        self.steps = Steps()
        for call in calls:
            if call.op.name not in SUMS:
                self.steps.add(call)
            else:
                self.steps.read(call.inputs[0])
        self.like = next((c.out for c in calls if c.out.spec.shape == shape), calls[0].inputs[0])
        floats = (x.spec.dtype for c in calls for x in (c.out, *c.inputs) if x.spec.dtype != "bool")
        self.dtype = next(floats, "float32")
        self.shared = not self.sums and self.like.spec.size >= LEAST_SHARED

    def in_place(self, value: Value) -> bool:
        return value.spec == self.like.spec

    def bind(self, at: Place) -> list[native.Call]:
        stored = [c.out for c in self.calls if c.out in self.outputs and c.op.name not in SUMS]
        inputs = [at.along(x, self.like) if isinstance(x, Value) else x for x in self.steps.inputs]
        outputs = [(self.steps.index(x), at[x]) for x in stored]
        if at.samples is None and self.shared and at.threads > 1:
            inputs, outputs = self._part(at, inputs, outputs)
        sums = [self._sum(at, call) for call in self.sums]
        made: list[native.Call] = chain(
            inputs, self.steps.numbered(), outputs, sums, scratch=at.scratch(self.dtype)
        )
        return made

    def _sum(self, at: Place, call: Call) -> Any:
        kept, axis = kept_axes(call), at.axis(call.inputs[0])
        shape = [n if i in kept else 1 for i, n in enumerate(self.shape)]
        if axis in kept and at.samples is not None:
            shape[axis] = len(at.samples)
        add = at.accumulate and at.axis(call.out) is None
        target = np.reshape(at[call.out], shape, copy=False)
        return Sum(self.steps.index(call.inputs[0]), target, "sum", add)

    def _part(self, at: Place, inputs: list[Any], outputs: list[Any]) -> Any:
        """This thread's share of whole arrays: along the outermost axis that is long enough."""
        like = outputs[0][1]
        order = sorted(range(like.ndim), key=lambda axis: -like.strides[axis])
        wide = [axis for axis in order if like.shape[axis] >= 2 * at.threads]
        axis = (wide or order)[0]
        n, t = like.shape[axis], at.thread
        cut = slice(n * t // at.threads, n * (t + 1) // at.threads)

        def share(x: Any) -> Any:
            if not isinstance(x, np.ndarray):
                return x
            place = axis - (like.ndim - x.ndim)
            if place < 0 or x.shape[place] != n:
                return x
            return x[(slice(None),) * place + (cut,)]

        return [share(x) for x in inputs], [(i, share(x)) for i, x in outputs]


class Kernel(Task):
    """A call of one op by a factory of kernels: ``bind(at, call) -> calls``."""

    def __init__(
        self, call: Call, make: Callable[[Place, Call], list[native.Call]], *, shared: bool = False
    ) -> None:
        super().__init__([call])
        self.make = make
        self.shared = shared

    def bind(self, at: Place) -> list[native.Call]:
        return self.make(at, self.calls[0])


class Host(Task):
    """A call that no kernel here runs: the backend's own does, on whole values, in Python."""
