"""Softmax, and softmax cross entropy with its gradient in the same pass."""

from __future__ import annotations

import math
from typing import Any

from numpy import int32, int64

from tensorgraph_cupy.cuda import STORAGE
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.arrays import Arrays, Ints
from tensorgraph_cupy.kernels.launching import THREADS, grid, sized
from tensorgraph_cupy.kernels.reduce import COUNTERS

MANY_LABELS = 8192  # so many or more are counted once, and not by each block


def label_loss(
    device: Device,
    dtype: str,
    sizes: tuple[int, int],
    x: int,
    labels: int,
    *,
    ignore_index: int,
    reduction: str,
    workspace: int,
    losses: int = 0,
    g: int = 0,
    gradient: int = 0,
    stored: str | None = None,
) -> None:
    """Of (rows, classes) scores: the losses (float32), the gradient for that of the losses, ``g``,
    or both; an address 0 is what is not wanted. The gradient is ``stored`` as the scores are, or in
    another dtype."""
    rows, classes = sizes
    lanes = _lanes(classes)
    more = {} if stored in (None, dtype) else {"GRADIENT": STORAGE[stored or dtype]}
    program, count = sized("loss.cu", dtype, rows * classes, LANES=lanes, **more)
    blocks, counted = grid(device, max(1, rows * lanes)), 0
    if reduction == "mean" and rows >= MANY_LABELS:
        counted = workspace + 4 * (COUNTERS - 1)  # a counter that is 0 again at the end
        device.fill(counted, 4)
        arguments = (labels, count(rows), int64(ignore_index), counted)
        device.launch(program, "count_labels", grid(device, rows), (THREADS,), arguments)
    given = (x, labels, counted, g, losses, gradient, count(rows), count(classes))
    how = (int64(ignore_index), int32(reduction == "none"), int32(reduction == "mean"))
    parts = (workspace + 4 * COUNTERS, workspace)
    device.launch(program, "label_loss", blocks, (THREADS,), (*given, *how, *parts))
    if counted:
        device.fill(counted, 4)


def softmax(
    device: Device, dtype: str, sizes: tuple[int, int], x: int, out: int, logarithm: bool
) -> None:
    """Of each row, or its logarithm."""
    rows, classes = sizes
    if not rows * classes:
        return
    lanes = _lanes(classes)
    program, count = sized("loss.cu", dtype, rows * classes, LANES=lanes)
    arguments = (x, out, count(rows), count(classes), int32(logarithm))
    device.launch(program, "softmax", grid(device, rows * lanes), (THREADS,), arguments)


def _lanes(classes: int) -> int:
    """Threads that share a row: as many as it has scores, up to a warp."""
    return min(32, 1 << max(0, classes - 1).bit_length())


def _rows(shape: Ints) -> tuple[int, int]:
    """Scores (C,) or (N, C, …) as rows in channels-last memory."""
    classes = shape[min(1, len(shape) - 1)]
    return (math.prod(shape) // classes if classes else 0, classes)


def label_cross_entropy(
    arrays: Arrays, x: Any, labels: Any, *, ignore_index: int, reduction: str
) -> Any:
    out = arrays.xp.empty(labels.shape if reduction == "none" else (), x.dtype)
    how = {"ignore_index": ignore_index, "reduction": reduction}
    _label_loss(arrays, x, labels, how, losses=out)
    return out


def label_cross_entropy_input(
    arrays: Arrays, g: Any, x: Any, labels: Any, *, ignore_index: int, reduction: str
) -> Any:
    out = arrays.empty(x.shape, x.dtype)
    how = {"ignore_index": ignore_index, "reduction": reduction}
    _label_loss(arrays, x, labels, how, g=arrays.xp.ascontiguousarray(g), gradient=out)
    return out


def _label_loss(arrays: Arrays, x: Any, labels: Any, how: dict[str, Any], **wanted: Any) -> None:
    """``wanted``: the arrays that ``label_loss`` names."""
    x, labels = arrays.channels_last(x), arrays.xp.ascontiguousarray(labels)  # one for each row
    sizes, given = _rows(x.shape), (arrays.address(x), arrays.address(labels))
    how = {**how, **{name: arrays.address(array) for name, array in wanted.items()}}
    label_loss(arrays.device, "float32", sizes, *given, workspace=arrays.workspace, **how)


def softmax_array(arrays: Arrays, x: Any, *, axis: int) -> Any:
    return _along(arrays, x, axis, False)


def log_softmax_array(arrays: Arrays, x: Any, *, axis: int) -> Any:
    return _along(arrays, x, axis, True)


def _along(arrays: Arrays, x: Any, axis: int, logarithm: bool) -> Any:
    xp = arrays.xp
    x = xp.ascontiguousarray(xp.moveaxis(x, axis, -1))
    out = xp.empty(x.shape, x.dtype)
    sizes = (math.prod(x.shape[:-1]), x.shape[-1])
    addresses = arrays.address(x), arrays.address(out)
    softmax(arrays.device, "float32", sizes, *addresses, logarithm)
    return xp.moveaxis(out, -1, axis)
