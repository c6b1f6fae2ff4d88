"""Random numbers with a key for each sample, and resampled images, in plans: by samples, or a
share of whole values for each thread."""

from __future__ import annotations

from typing import Any

from tensorgraph_numpy.plan.split import Axes, Rule, Split

from tensorgraph.program import Call
from tensorgraph_numba import native
from tensorgraph_numba.kernels import draws
from tensorgraph_numba.kernels.resample import resample
from tensorgraph_numba.plan.tasks import Place


def _share(at: Place) -> tuple[int, int]:
    """Which of how many shares is this thread's."""
    return (at.thread, at.threads) if at.samples is None else (0, 1)


def _samples(at: Place, n: int) -> slice:
    """The samples of that share."""
    t, threads = _share(at)
    return slice(n * t // threads, n * (t + 1) // threads)


def bind_words(at: Place, call: Call) -> list[native.Call]:
    keys, out = at[call.inputs[0]], at[call.out]
    own = _samples(at, len(out))
    return draws.random_bits_each(keys[own], out[own], scratch=at.scratch("float32"))


def bind_units(at: Place, call: Call) -> list[native.Call]:
    return draws.unit_interval(at[call.inputs[0]], at[call.out], part=_share(at))


def bind_normals(at: Place, call: Call) -> list[native.Call]:
    scratch, part = at.scratch("float32"), _share(at)
    return draws.box_muller(at[call.inputs[0]], at[call.out], scratch=scratch, part=part)


def bind_resample(at: Place, call: Call) -> list[native.Call]:
    out, own = at[call.out], _samples(at, len(at[call.out]))

    def of(x: Any) -> Any:
        return x if len(x) == 1 else x[own]

    images, rows, columns = (of(at[value]) for value in call.inputs)
    return resample(images, rows, columns, out[own])


def _first_axis(call: Call, axes: Axes) -> Split | None:
    """A row of the result is made of the same row of the input."""
    (x,), out = call.inputs, call.out.spec
    kept = x.spec.ndim > 1 and out.ndim > 1 and out.shape[0] == x.spec.shape[0]
    return Split(0) if kept and axes.get(x) == 0 else None


def _resample(call: Call, axes: Axes) -> Split | None:
    images, *places = call.inputs
    apart = all(axes.get(x) == 0 or x.spec.shape[0] == 1 for x in places)
    return Split(0) if apart and axes.get(images) == 0 else None


SPLITS: dict[str, Rule] = {
    "box_muller": lambda call, axes: (
        _first_axis(call, axes) if call.inputs[0].spec.size == call.out.spec.size else None
    ),
    "random_bits_each": _first_axis,
    "resample": _resample,
    "unit_interval": _first_axis,
}
