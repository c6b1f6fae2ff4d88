"""Batch norm's statistics in one pass: the moments of pieces of the batch, put together.

The mean and the variance of every channel, each a sum over the batch of its own, would take two
passes, and all threads would wait for the mean between them. Their moments are taken piece by
piece, while what computes the values still has them in the cache.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tensorgraph_numpy.plan.split import Batch, Split

from tensorgraph import Op, Shaped, Spec, ops
from tensorgraph.op import op
from tensorgraph.program import Call, Program, Value
from tensorgraph_numba.kernels import moments
from tensorgraph_numba.native import Call as NativeCall
from tensorgraph_numba.plan.tasks import Place

STANDARDIZING = {"standardize": 0, "axis_variance": 0, "standardize_weight": 1,
                 "standardize_input": 1}  # fmt: skip
# ops of (…, x, average, …) that count on average being that of x → the place of x


@op
def channel_moments(x: Shaped, *, parts: int) -> Spec:
    """How many values there are of each channel, their means, and the sums of their squared
    deviations from these; of each thread's part of the batch."""
    return Spec((parts, moments.moments_size(x.shape[1])), "float64")


@op
def moments_mean(parts: Shaped, *, shape: tuple[int, ...], dtype: str) -> Spec:
    """The mean of every channel, from the moments of parts."""
    return Spec(shape, dtype)


@op
def moments_variance(parts: Shaped, *, shape: tuple[int, ...], dtype: str) -> Spec:
    """The variance of every channel, over the number of its values, from the moments of parts."""
    return Spec(shape, dtype)


@channel_moments.kernel
def _(xp: Any, x: Any, *, parts: int) -> Any:
    """Where no native kernel takes these values: all of them are the first part."""
    axes = (0, *range(2, x.ndim))
    wide, count = x.astype("float64"), x.size // x.shape[1]
    out = xp.zeros((parts, moments.moments_size(x.shape[1])))
    out[0] = [count, *wide.mean(axis=axes), *wide.var(axis=axes) * count]
    return out


channel_moments.flops(lambda out, x, *, parts: 4 * x.size)
SPLIT = {"channel_moments": lambda call, axes: Split(None, filled=True)}


def bind_moments(at: Place, call: Call) -> list[NativeCall]:
    """The moments of a piece, or of this thread's share of the batch."""
    x, mine = at[call.inputs[0]], at[call.out][at.thread]
    if at.samples is None:
        n, t = len(x), at.thread
        x = x[n * t // at.threads : n * (t + 1) // at.threads]
    scratch = at.scratch(x.dtype.name)
    return moments.channel_moments(x, mine, accumulate=at.accumulate, scratch=scratch)


def bind_mean(at: Place, call: Call) -> list[NativeCall]:
    out = at[call.out]
    return moments.merge_moments(_parts(at, call), out, _unread(at, out))


def bind_variance(at: Place, call: Call) -> list[NativeCall]:
    out = at[call.out]
    return moments.merge_moments(_parts(at, call), _unread(at, out), out)


def _parts(at: Place, call: Call) -> list[Any]:
    return [*at[call.inputs[0]]]


def _unread(at: Place, out: Any) -> Any:
    return at.scratch(out.dtype.name)(out.size)[: out.size]


class _Rewriting:
    """Replaces the means and variances of channels over the batch by their moments."""

    def __init__(self, program: Program, batch: Batch, threads: int) -> None:
        self.program = dataclasses.replace(program, calls=[])
        self.batch = batch
        self.threads = threads
        self.makers = {call.out: call for call in program.calls}
        self.centred: dict[tuple[Value, Value], tuple[Value, Value]] = {}  # x and its mean → others
        self.moments: dict[Value, Value] = {}  # mean → moments
        means = {call.out: call.inputs[0] for call in program.calls if self._serves(call)}
        self.means = {  # of which there is the variance too
            call.inputs[1]
            for call in program.calls
            if call.op.name == "axis_variance" and means.get(call.inputs[1]) is call.inputs[0]
        }

    def _serves(self, call: Call) -> bool:
        """Whether a call is the mean of every channel over the batch."""
        if call.op.name != "axis_mean" or call.out not in self.batch.sums:
            return False
        x = call.inputs[0].spec
        others = (0, *range(2, x.ndim))
        return x.ndim > 1 and x.size > 0 and call.params["axis"] == others and self._native(x)

    def _native(self, x: Spec) -> bool:
        return x.dtype in ("float32", "float64")

    def _unshifted(self, x: Value) -> tuple[Value, Value] | None:
        """``(y, b)`` where ``x`` is ``y + b`` with one number b for each channel: a convolution and
        its bias."""
        call = self.makers.get(x)
        if call is None or call.op.name != "add":
            return None
        y, b = sorted(call.inputs, key=lambda value: -value.spec.size)
        shape = b.spec.shape
        wide = {i - len(shape) + x.spec.ndim for i, n in enumerate(shape) if n > 1}
        fits = y.spec == x.spec and wide <= {1} and len(shape) <= x.spec.ndim
        return (y, b) if fits and y is not b and b not in self.batch.axes else None

    def call(self, op: Op[...], *inputs: Value, out: Value | None = None, **params: Any) -> Value:
        made = out if out is not None else Value(op.shape_rule(*[x.spec for x in inputs], **params))
        self.program.calls.append(Call(op, inputs, params, made))
        return made

    def add(self, call: Call) -> None:
        """Add what stands for a call: itself, if there is nothing to rewrite."""
        if call.out in self.means:
            self._mean(call)
            return
        at = STANDARDIZING.get(call.op.name)
        if at is not None and (pair := call.inputs[at : at + 2]) in self.centred:
            inputs = (*call.inputs[:at], *self.centred[pair], *call.inputs[at + 2 :])
            call = dataclasses.replace(call, inputs=inputs)
        if call.op.name == "axis_variance" and call.inputs[1] in self.moments:
            found, spec = self.moments[call.inputs[1]], call.out.spec
            self.call(moments_variance, found, out=call.out, shape=spec.shape, dtype=spec.dtype)
            return
        self.program.calls.append(call)

    def _mean(self, call: Call) -> None:
        """A number that is added to all values of a channel moves their mean alone."""
        x, average = call.inputs[0], call.out
        shifted = self._unshifted(x)
        y = shifted[0] if shifted else x
        found = self.call(channel_moments, y, parts=self.threads)
        given: dict[str, Any] = {"shape": average.spec.shape, "dtype": average.spec.dtype}
        if shifted is None:
            self.call(moments_mean, found, out=average, **given)
            self.moments[average] = found
            return
        mean = self.call(moments_mean, found, **given)
        self.call(ops.add, mean, shifted[1], out=average)
        self.centred[x, average] = y, mean
        self.moments[mean] = self.moments[average] = found

    def finished(self) -> Program:
        """The program without the calls that nobody needs any more."""
        needed = set(self.program.results())
        kept = []
        for call in reversed(self.program.calls):
            if call.out in needed or call.op.name != "add":
                needed.update(call.inputs)
                kept.append(call)
        self.program.calls = kept[::-1]
        return self.program


def with_moments(program: Program, batch: Batch, threads: int) -> Program:
    """The program with batch statistics in one pass over each piece of the batch."""
    work = _Rewriting(program, batch, threads)
    if not work.means:
        return program
    for call in program.calls:
        work.add(call)
    return work.finished()
