"""Matrix products and convolutions by the libraries, with what these do to a result besides."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from tensorgraph.program import Call, Value
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels import conv, matmul
from tensorgraph_cupy.kernels.spelling import SIZES
from tensorgraph_cupy.kernels.view import View
from tensorgraph_cupy.lib import UnsupportedError
from tensorgraph_cupy.lib.choices import wanted
from tensorgraph_cupy.lib.convolution import Convolution
from tensorgraph_cupy.plan.layout import reshaped
from tensorgraph_cupy.plan.setting import Make, Setting
from tensorgraph_cupy.plan.tasks import Launch, Places


class Besides(NamedTuple):
    """What is done to a result besides, as ``lib.cublaslt.EPILOGUES`` names it; of convolutions,
    only "bias" and "bias_relu" are."""

    name: str = "none"
    vector: Value | None = None  # a bias, or where sums go
    mask: Value | None = None


PLAIN = Besides()


def product(
    call: Call, setting: Setting, besides: Besides = PLAIN, out: Value | None = None
) -> Make | None:
    """What binds a matmul; None where the library has nothing for it. ``out``: where the result
    goes, if what is done besides makes another value of it."""
    x, y = call.inputs
    if x.spec.dtype not in matmul.DTYPES or not setting.has("cublaslt"):
        return None
    values = (x, y, call.out if out is None else out)
    how = "float64" if x.spec.dtype == "float64" else setting.arithmetic
    if not _supported(values, setting, how, besides):
        return None

    def make(places: Places) -> Launch:
        given = _matrices(*map(places.view, values))
        extra = (0 if v is None else places.address(v) for v in besides[1:])
        more = {"how": how, "epilogue": matmul.Epilogue(besides.name, *extra)}
        tune, launch = (
            lambda device, run=run: run(device, *given, **more)
            for run in (matmul.tune, matmul.launch)
        )
        return _tuned(tune, launch)

    return make


def _tuned(tune: Launch, launch: Launch) -> Launch:
    """A launch that looks for its fastest way on its first run, which is not captured, where that
    is asked for."""
    if not wanted():
        return launch
    first = [tune]

    def run(device: Device) -> None:
        if first:
            first.pop()(device)
        launch(device)

    return run


def _matrices(x: View, y: View, out: View) -> tuple[View, View, View]:
    """With an axis of one element for each that a vector lacks."""
    axes = max(len(x.shape), len(y.shape))
    if axes > 3:  # the result lies as one batch
        batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        shape = (*batch, *out.shape[-2:])
        strides = reshaped(out.shape, out.strides, shape)
        assert strides is not None
        out = out._replace(shape=shape, strides=strides)
    row, column = len(x.shape) == 1, len(y.shape) == 1
    if row:
        x = x._replace(shape=(1, *x.shape), strides=(0, *x.strides))
        at = len(out.shape) - (not column)
        out = out._replace(shape=_put(out.shape, at, 1), strides=_put(out.strides, at, 0))
    if column:
        y = y._replace(shape=(*y.shape, 1), strides=(*y.strides, 0))
        out = out._replace(shape=(*out.shape, 1), strides=(*out.strides, 1))
    if out.strides[-1] != 1 and out.shape[-1] != 1:
        return y.turned, x.turned, out.turned  # of three axes and more, the product lies turned
    return x, y, out


def _put(numbers: tuple[int, ...], at: int, number: int) -> tuple[int, ...]:
    return (*numbers[:at], number, *numbers[at:])


def _supported(
    values: tuple[Value, Value, Value], setting: Setting, how: str, besides: Besides
) -> bool:
    """Whether the library has an algorithm for it, with what is done besides."""
    if besides is not PLAIN and any(v.spec.ndim != 2 for v in values):
        return False
    x, y, out = (_imagined(value, setting) for value in values)
    dtypes = {setting.stored(v) for v in besides[1:2] if v is not None}
    if not dtypes <= {out.dtype}:  # cublasLt.h: its vector has the result's dtype
        return False
    extra = (0 if v is None else _imagined(v, setting).address for v in besides[1:])
    epilogue = matmul.Epilogue(besides.name, *extra)
    library = setting.device.library("cublaslt")
    try:
        for needed, _ in matmul.products(*_matrices(x, y, out), how, epilogue):
            library.plan(needed)
    except (UnsupportedError, ValueError):
        return False
    return True


def _imagined(value: Value, setting: Setting) -> View:
    """As it will lie, but for the address, which is as well aligned."""
    seen, dtype = setting.layout[value], setting.stored(value)
    return View(conv.ALIGNED + seen.offset * SIZES[dtype], value.spec.shape, seen.strides, dtype)


def convolution(
    call: Call, setting: Setting, besides: Besides = PLAIN, out: Value | None = None
) -> Make | None:
    """What binds a convolution or one of its gradients; where cuDNN has no plan, by gathered
    windows, or None where these need a library that is not here."""
    first, second = call.inputs
    kind = {"conv": "y", "conv_input": "x", "conv_weight": "w"}[call.op.name]
    names = {"y": ("x", "w"), "x": ("y", "w"), "w": ("x", "y")}[kind]
    held = {names[0]: first, names[1]: second, kind: call.out if out is None else out}
    if besides.vector is not None:
        held["bias"] = besides.vector
    dtype = setting.floating(*held.values())
    if dtype is None:
        return None
    x, w, y = (held[name].spec.shape for name in ("x", "w", "y"))
    p = call.params
    geometry = (p["stride"], p["padding"], p["dilation"], p["groups"])
    sizes = (x[0], x[1], y[1], x[2:], w[2:])
    problem = Convolution(kind, *sizes, *geometry, dtype, setting.arithmetic, besides.name)
    needed = conv.scratch(setting.device, problem)
    if needed and (besides is not PLAIN or not setting.has("cublaslt")):
        return None

    def make(places: Places) -> Launch:
        where = {name: places.address(value) for name, value in held.items()}

        def run(device: Device) -> None:
            conv.launch(device, problem, **where, scratch=places.scratch(device, needed))

        return _tuned(partial(conv.tune, problem=problem, **where), run)

    return make
