"""How each op becomes calls of kernels, where it is not part of a chain."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.program import Call
from tensorgraph_numba import native
from tensorgraph_numba.kernels import conv as direct
from tensorgraph_numba.kernels import dropout, label_loss, pool, rows
from tensorgraph_numba.kernels.conv_weight import conv_weight
from tensorgraph_numba.kernels.layout import copy
from tensorgraph_numba.kernels.matmul import matmul
from tensorgraph_numba.plan import batch_moments, draws
from tensorgraph_numba.plan.prepare import of_images
from tensorgraph_numba.plan.tasks import Place

Make = Callable[[Place, Call], list[native.Call]]


class Lowering(NamedTuple):
    """``make(at, call)`` binds the kernels of an op. ``shared``: threads may each take a part of
    whole values."""

    make: Make
    shared: bool = False


def _scratch(at: Place, call: Call) -> Any:
    return at.scratch(call.out.spec.dtype)


def _adds(at: Place, call: Call) -> bool:
    """Whether a sum over the batch adds to that of the pieces before."""
    return at.accumulate and at.axis(call.out) is None


def _matmul(at: Place, call: Call) -> list[native.Call]:
    x, y = (at[value] for value in call.inputs)
    out = at[call.out]
    if at.samples is None and at.threads > 1 and out.ndim == 2:
        wide = out.shape[1] > out.shape[0]
        n, t = out.shape[wide], at.thread
        part = slice(n * t // at.threads, n * (t + 1) // at.threads)
        if wide:
            y, out = y[:, part], out[:, part]
        else:
            x, out = x[part], out[part]
    return matmul(x, y, out, accumulate=_adds(at, call), scratch=_scratch(at, call))


def _reshape(at: Place, call: Call) -> list[native.Call]:
    """The elements are moved: one of both can be seen in the other's shape."""
    x, out = at[call.inputs[0]], at[call.out]
    try:
        return copy(x, out.reshape(x.shape, copy=False))
    except ValueError:
        return copy(x.reshape(out.shape, copy=False), out)


def _permute(at: Place, call: Call) -> list[native.Call]:
    return copy(at[call.inputs[0]].transpose(call.params["axes"]), at[call.out])


def _gather(at: Place, call: Call) -> list[native.Call]:
    """A part of each axis, which is copied."""
    x, *indices = (at[value] for value in call.inputs)
    key = call.params["key"]
    if indices:
        raise ValueError(f"getitem: no kernel picks {key} from {call.inputs[0].spec}")
    parts = (slice(*part) if isinstance(part, tuple) else part for part in key)
    return copy(x[(*parts, ...)], at[call.out])


def _broadcast(at: Place, call: Call) -> list[native.Call]:
    """Where the result has to lie otherwise than its elements do."""
    x, out = at[call.inputs[0]], at[call.out]
    return copy(np.broadcast_to(x, out.shape), out)


def _geometry(call: Call) -> dict[str, Any]:
    return {name: call.params[name] for name in ("stride", "padding", "dilation", "groups")}


def _conv(at: Place, call: Call) -> list[native.Call]:
    x, w, *prepared = (at[value] for value in call.inputs)
    panels = prepared[0] if prepared else None
    out, scratch = at[call.out], _scratch(at, call)
    return direct.conv(x, w, out, **_geometry(call), prepared=panels, scratch=scratch)


def _conv_input(at: Place, call: Call) -> list[native.Call]:
    y, w, *prepared = (at[value] for value in call.inputs)
    panels = prepared[0] if prepared else None
    out, scratch = at[call.out], _scratch(at, call)
    return direct.conv_input(y, w, out, **_geometry(call), prepared=panels, scratch=scratch)


def _conv_weight(at: Place, call: Call) -> list[native.Call]:
    x, y = (at[value] for value in call.inputs)
    adds, scratch = _adds(at, call), _scratch(at, call)
    return conv_weight(x, y, at[call.out], **_geometry(call), accumulate=adds, scratch=scratch)


def _winograd_weights(at: Place, call: Call) -> list[native.Call]:
    plan = call.params["plan"]
    w, shared = at[call.inputs[0]], at[call.out]
    scratch = _scratch(at, call)
    made: list[native.Call] = plan.first(None, w, None, shared, thread=at.thread, scratch=scratch)
    return made


def _winograd_pieces(at: Place, call: Call) -> list[native.Call]:
    x, shared = (at[value] for value in call.inputs)
    made: list[native.Call] = call.params["plan"].second(
        x, None, at[call.out], shared, thread=at.thread, scratch=_scratch(at, call)
    )
    return made


def _winograd_tiles(at: Place, call: Call) -> list[native.Call]:
    x, shared, scratch = at[call.inputs[0]], at[call.out], _scratch(at, call)
    start = at.samples.start if at.samples is not None else 0
    made: list[native.Call] = call.params["plan"].first(
        x, None, None, shared, start=start, thread=at.thread, scratch=scratch
    )
    return made


def _winograd_channels(at: Place, call: Call) -> list[native.Call]:
    shared, w = (at[value] for value in call.inputs)
    made: list[native.Call] = call.params["plan"].second(
        None, w, at[call.out], shared, thread=at.thread, scratch=_scratch(at, call)
    )
    return made


def _winograd_sums(at: Place, call: Call) -> list[native.Call]:
    x, y = (at[value] for value in call.inputs)
    plan = call.params["plan"]
    made: list[native.Call] = plan.first(
        x,
        None,
        y,
        at[call.out],
        start=at.samples.start if at.samples is not None else 0,
        thread=at.thread,
        accumulate=at.accumulate and not plan.by_channels,
        scratch=_scratch(at, call),
    )
    return made


def _winograd_gradient(at: Place, call: Call) -> list[native.Call]:
    shared, w = at[call.inputs[0]], at[call.out]
    scratch = _scratch(at, call)
    made: list[native.Call] = call.params["plan"].second(
        None, w, None, shared, thread=at.thread, scratch=scratch
    )
    return made


def _conv_panels(at: Place, call: Call) -> list[native.Call]:
    params = call.params
    x, _, y = of_images(params["x"], call.inputs[0].spec, params["y"])
    prepare = direct.conv_input_weights if params["backwards"] else direct.conv_weights
    part = (at.thread, at.threads)
    w, out = at[call.inputs[0]], at[call.out]
    return prepare(x, w, y, out, **dict(params["geometry"]), part=part)


def _max_pool(at: Place, call: Call) -> list[native.Call]:
    windows = tuple(call.params.values())
    return pool.max_pool(
        at[call.inputs[0]], at[call.out], windows=windows, scratch=_scratch(at, call)
    )


def _max_pool_input(at: Place, call: Call) -> list[native.Call]:
    y, x, maxima = (at[value] for value in call.inputs)
    windows, scratch = call.params["windows"], _scratch(at, call)
    return pool.max_pool_input(y, x, maxima, at[call.out], windows=windows, scratch=scratch)


def _max_pool_pick(at: Place, call: Call) -> list[native.Call]:
    values, x, maxima = (at[value] for value in call.inputs)
    return pool.max_pool_pick(values, x, maxima, at[call.out], windows=call.params["windows"])


def _avg_pool(at: Place, call: Call) -> list[native.Call]:
    params = call.params
    k, stride, padding = params["kernel_size"], params["stride"], params["padding"]
    return pool.avg_pool(
        at[call.inputs[0]],
        at[call.out],
        windows=(k, stride, padding, (1,) * len(k), params["ceil_mode"]),
        count_include_pad=params["count_include_pad"],
        scratch=_scratch(at, call),
    )


def _avg_pool_input(at: Place, call: Call) -> list[native.Call]:
    return pool.avg_pool_input(
        at[call.inputs[0]],
        at[call.out],
        windows=call.params["windows"],
        count_include_pad=call.params["count_include_pad"],
        scratch=_scratch(at, call),
    )


def _label_loss(at: Place, call: Call) -> list[native.Call]:
    x, labels = (at[value] for value in call.inputs)
    params = call.params
    return label_loss.label_cross_entropy(
        x, labels, at[call.out], **params, accumulate=_adds(at, call)
    )


def _label_loss_input(at: Place, call: Call) -> list[native.Call]:
    g, x, labels = (at[value] for value in call.inputs)
    return label_loss.label_cross_entropy_input(g, x, labels, at[call.out], **call.params)


def _label_share(at: Place, call: Call) -> list[native.Call]:
    ignored = call.params["ignore_index"]
    return label_loss.label_share(at[call.inputs[0]], at[call.out], ignore_index=ignored)


def _softmax(at: Place, call: Call) -> list[native.Call]:
    return rows.softmax(at[call.inputs[0]], at[call.out], axis=call.params["axis"])


def _log_softmax(at: Place, call: Call) -> list[native.Call]:
    return rows.log_softmax(at[call.inputs[0]], at[call.out], axis=call.params["axis"])


def _sum(at: Place, call: Call) -> list[native.Call]:
    """Over all pixels of an image."""
    x = call.inputs[0].spec
    if x.ndim < 3 or call.params["axis"] != tuple(range(2, x.ndim)):
        raise ValueError(f"sum: no kernel sums {x} over the axes {call.params['axis']}")
    out, scratch = at[call.out], _scratch(at, call)
    return pool.spatial_sum(at[call.inputs[0]], out, scale=1.0, scratch=scratch)


def _drop(at: Place, call: Call) -> list[native.Call]:
    x, key = (at[value] for value in call.inputs)
    first = 0 if at.samples is None else at.samples.start * math.prod(x.shape[1:])
    out, scratch = at[call.out], _scratch(at, call)
    return dropout.drop(x, key, out, p=call.params["p"], first=first, scratch=scratch)


LOWERINGS: dict[str, Lowering] = {
    "avg_pool": Lowering(_avg_pool),
    "avg_pool_input": Lowering(_avg_pool_input),
    "box_muller": Lowering(draws.bind_normals, shared=True),
    "broadcast_to": Lowering(_broadcast),
    "channel_moments": Lowering(batch_moments.bind_moments, shared=True),
    "conv": Lowering(_conv),
    "conv_input": Lowering(_conv_input),
    "conv_panels": Lowering(_conv_panels, shared=True),
    "conv_weight": Lowering(_conv_weight),
    "drop": Lowering(_drop),
    "gather": Lowering(_gather),
    "label_cross_entropy": Lowering(_label_loss),
    "label_cross_entropy_input": Lowering(_label_loss_input),
    "label_share": Lowering(_label_share),
    "log_softmax": Lowering(_log_softmax),
    "matmul": Lowering(_matmul, shared=True),
    "max_pool": Lowering(_max_pool),
    "max_pool_input": Lowering(_max_pool_input),
    "max_pool_pick": Lowering(_max_pool_pick),
    "moments_mean": Lowering(batch_moments.bind_mean),
    "moments_variance": Lowering(batch_moments.bind_variance),
    "permute_dims": Lowering(_permute),
    "random_bits_each": Lowering(draws.bind_words, shared=True),
    "resample": Lowering(draws.bind_resample, shared=True),
    "reshape": Lowering(_reshape),
    "sum": Lowering(_sum),
    "softmax": Lowering(_softmax),
    "unit_interval": Lowering(draws.bind_units, shared=True),
    "winograd_channels": Lowering(_winograd_channels, shared=True),
    "winograd_gradient": Lowering(_winograd_gradient, shared=True),
    "winograd_pieces": Lowering(_winograd_pieces),
    "winograd_sums": Lowering(_winograd_sums),
    "winograd_tiles": Lowering(_winograd_tiles),
    "winograd_weights": Lowering(_winograd_weights, shared=True),
}
