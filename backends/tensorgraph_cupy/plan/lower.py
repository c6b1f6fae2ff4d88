"""Which launches stand for a call: a table from an op's name to a function that binds its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tensorgraph.program import Call, Value
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels import loss, move, pool, random, resample
from tensorgraph_cupy.kernels.space import order_of
from tensorgraph_cupy.kernels.spelling import SIZES
from tensorgraph_cupy.kernels.view import View
from tensorgraph_cupy.plan import picking
from tensorgraph_cupy.plan.layout import own_strides, reshaped, sliced
from tensorgraph_cupy.plan.products import convolution, product
from tensorgraph_cupy.plan.setting import Make, Setting
from tensorgraph_cupy.plan.tasks import Launch, Places, flat

Rule = Callable[[Call, Setting], Make | None]


def lowered(call: Call, setting: Setting) -> Make | None:
    """What binds a call to memory; None where it is left to its own kernel."""
    rule = RULES.get(call.op.name)
    specs = [call.out.spec, *(x.spec for x in call.inputs)]
    return None if rule is None or any(s.size == 0 for s in specs) else rule(call, setting)


def _copied(call: Call, setting: Setting) -> Make | None:
    (x,), out = call.inputs, call.out

    def make(places: Places) -> Launch:
        given, made = places.view(x), places.view(out)
        return lambda device: move.copy(device, x.spec.shape, flat(given), flat(made))

    return make


def _reshaped(call: Call, setting: Setting) -> Make | None:
    """A reshape for which elements have to be moved: one of the two sides seen as the other."""
    (x,), out = call.inputs, call.out
    if reshaped(out.spec.shape, own_strides(out.spec.shape), x.spec.shape) is not None:
        shape = x.spec.shape
    else:
        shape = out.spec.shape

    def make(places: Places) -> Launch:
        sides = []
        for view in (places.view(x), places.view(out)):
            strides = reshaped(view.shape, view.strides, shape)
            assert strides is not None
            sides.append(move.Flat(view.address, view.dtype, strides))
        return lambda device: move.copy(device, shape, *sides)

    return make if shape == x.spec.shape else None


def _pooled(call: Call, setting: Setting) -> Make | None:
    name, params, dtype = call.op.name, call.params, setting.floating(*call.inputs, call.out)
    if dtype is None:
        return None
    if "windows" in params:
        windows = pool.Windows(*params["windows"][:4])
    else:
        size = params["kernel_size"]
        dilation = params.get("dilation", (1,) * len(size))
        windows = pool.Windows(size, params["stride"], params["padding"], dilation)
    if "count_include_pad" in params:
        ones = (1,) * len(windows.k)
        windows = windows._replace(dilation=ones, count_padding=params["count_include_pad"])
    first, *others = [v.spec.shape for v in call.inputs]
    if name in ("max_pool", "avg_pool"):
        x, y = first, call.out.spec.shape
    elif name == "avg_pool_input":
        x, y = call.out.spec.shape, first
    else:  # of max_pool: what is added up or picked, images, maxima
        x, y = others

    def make(places: Places) -> Launch:
        given, out = [places.address(v) for v in call.inputs], places.address(call.out)
        return lambda device: pool.pool(device, name, dtype, windows, given, out, x, y)

    return make


def _dropped(call: Call, setting: Setting) -> Make | None:
    x, key = call.inputs
    shape, p = x.spec.shape, call.params["p"]
    dtype = setting.floating(x, call.out)
    if dtype is None:
        return None
    spread = len(shape) > 2
    sizes = (shape[0], shape[1], math.prod(shape[2:])) if spread else (x.spec.size, 1, 1)

    def make(places: Places) -> Launch:
        given, drawn, out = (places.address(v) for v in (x, key, call.out))
        return lambda device: random.drop(device, dtype, given, drawn, out, sizes, p)

    return make


def _words(call: Call, setting: Setting) -> Make | None:
    (key,), shape = call.inputs, call.out.spec.shape
    each = call.op.name == "random_bits_each"
    rows = shape[0] if each else 1

    def make(places: Places) -> Launch:
        where = places.address(key), places.address(call.out)
        return lambda device: random.words(device, *where, rows, call.out.spec.size // rows)

    return make


def _softmax(call: Call, setting: Setting) -> Make | None:
    (x,), axes = call.inputs, call.out.spec.ndim
    dtype = setting.floating(x, call.out)
    if dtype is None or call.params["axis"] % axes != order_of(axes)[-1]:
        return None
    classes = x.spec.shape[call.params["axis"]]
    sizes, logarithm = (x.spec.size // classes, classes), call.op.name == "log_softmax"

    def make(places: Places) -> Launch:
        where = places.address(x), places.address(call.out)
        return lambda device: loss.softmax(device, dtype, sizes, *where, logarithm)

    return make


def _label_loss(call: Call, setting: Setting) -> Make | None:
    backwards = call.op.name == "label_cross_entropy_input"
    x, labels = call.inputs[-2:]
    if setting.floating(x) is None:
        return None
    if backwards:
        return label_loss(setting, x, labels, call.params, g=call.inputs[0], gradient=call.out)
    return label_loss(setting, x, labels, call.params, losses=call.out)


def label_loss(
    setting: Setting, x: Value, labels: Value, params: Mapping[str, Any], **wanted: Value
) -> Make | None:
    """The losses, the gradient for that of the losses, or both, as `kernels.loss.label_loss`
    names them."""
    dtype, shape = setting.stored(x), x.spec.shape
    gradient = setting.stored(wanted["gradient"]) if "gradient" in wanted else None
    classes = shape[min(1, len(shape) - 1)]
    sizes = (x.spec.size // classes, classes)

    def make(places: Places) -> Launch:
        where: dict[str, Any] = {name: places.address(x) for name, x in wanted.items()}
        scores, named = places.address(x), places.address(labels)

        def run(device: Device) -> None:
            more = {**params, **where, "stored": gradient, "workspace": places.workspace(device)}
            loss.label_loss(device, dtype, sizes, scores, named, **more)

        return run

    return make


def _joined(call: Call, setting: Setting) -> Make | None:
    axis = call.params["axis"] % call.out.spec.ndim

    def make(places: Places) -> Launch:
        copies, at, out = [], 0, places.view(call.out)
        for x in call.inputs:
            copies.append((x.spec.shape, flat(places.view(x)), flat(_from(out, {axis: at}))))
            at += x.spec.shape[axis]

        def run(device: Device) -> None:
            for copy in copies:
                move.copy(device, *copy)

        return run

    return make


def _padded(call: Call, setting: Setting) -> Make | None:
    (x,), out, params = call.inputs, call.out, call.params
    if params["constant_values"] != 0 or any(n < 0 for pair in params["pad_width"] for n in pair):
        return None
    starts = {axis: before for axis, (before, _) in enumerate(params["pad_width"])}

    def make(places: Places) -> Launch:
        given, whole = places.view(x), places.view(out)
        size = math.prod(whole.shape) * SIZES[whole.dtype]

        def run(device: Device) -> None:
            device.fill(whole.address, size)
            move.copy(device, given.shape, flat(given), flat(_from(whole, starts)))

        return run

    return make


def _spread(call: Call, setting: Setting) -> Make | None:
    """The adjoint of slices: zeros, and there what was sliced."""
    (x,), out, key = call.inputs[:1], call.out, call.params["key"]
    if len(call.inputs) > 1:
        return None
    offset, strides = sliced(out.spec.shape, own_strides(out.spec.shape), key)

    def make(places: Places) -> Launch:
        given, whole = places.view(x), places.view(out)
        size = math.prod(whole.shape) * SIZES[whole.dtype]
        part = move.Flat(whole.address + offset * SIZES[whole.dtype], whole.dtype, strides)

        def run(device: Device) -> None:
            device.fill(whole.address, size)
            move.copy(device, given.shape, flat(given), part)

        return run

    return make


def _normals(call: Call, setting: Setting) -> Make | None:
    (u,), out = call.inputs, call.out
    if setting.stored(u) != "float32" or setting.stored(out) != "float32":
        return None

    def make(places: Places) -> Launch:
        where = places.address(u), places.address(out)
        return lambda device: random.normals(device, *where, out.spec.size)

    return make


def _resampled(call: Call, setting: Setting) -> Make | None:
    images, *along = call.inputs
    dtype = setting.floating(images, call.out)
    if dtype is None or any(setting.stored(x) != "float32" for x in along):
        return None
    n, channels, *size = images.spec.shape

    def make(places: Places) -> Launch:
        given, out = places.address(images), places.address(call.out)
        rows, columns = (resample.repeated(places.view(x)) for x in along)
        sizes, wanted = (n, *size, channels), call.out.spec.shape[2:]
        return lambda device: resample.resample(
            device, dtype, sizes, wanted, given, out, rows, columns
        )

    return make


def _from(view: View, starts: dict[int, int]) -> View:
    """The part of a view that begins at these places of axes."""
    offset = sum(view.strides[axis] * at for axis, at in starts.items())
    return view._replace(address=view.address + offset * SIZES[view.dtype])


RULES: dict[str, Rule] = {
    "laid": _copied,
    "reshape": _reshaped,
    "matmul": product,
    "conv": convolution,
    "conv_input": convolution,
    "conv_weight": convolution,
    **dict.fromkeys(pool.KERNELS, _pooled),
    "drop": _dropped,
    "random_bits": _words,
    "random_bits_each": _words,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "label_cross_entropy": _label_loss,
    "label_cross_entropy_input": _label_loss,
    "concatenate": _joined,
    "pad_constant": _padded,
    "scatter_add": _spread,
    "box_muller": _normals,
    "resample": _resampled,
    **picking.RULES,
}
