"""Convolutions of the Numba kernels and both their gradients against float64 loops over taps."""

import itertools

import numpy as np
import pytest
from numba_memory import Memory

pytest.importorskip("numba")

from tensorgraph_numba.kernels.conv import (
    conv,
    conv_count,
    conv_input,
    conv_input_count,
    conv_input_weights,
    conv_weights,
)
from tensorgraph_numba.kernels.conv_weight import conv_weight
from tensorgraph_numba.native import run
from tensorgraph_numba.vector import why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

CASES = {  # samples, channels, filters, size, taps, stride, padding, dilation, groups
    "one of everything": (1, 1, 1, (1, 1), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1), 1),
    "lenet": (3, 1, 6, (28, 28), (5, 5), (1, 1), ((2, 2),) * 2, (1, 1), 1),
    "lenet 2": (2, 6, 16, (14, 14), (5, 5), (1, 1), ((0, 0),) * 2, (1, 1), 1),
    "first layer": (2, 3, 33, (17, 15), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), 1),
    "stem": (1, 3, 64, (29, 30), (7, 7), (2, 2), ((3, 3),) * 2, (1, 1), 1),
    "1x1": (2, 17, 40, (9, 7), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1), 1),
    "1x1 strided": (2, 5, 33, (8, 7), (1, 1), (2, 2), ((0, 0),) * 2, (1, 1), 1),
    "strided": (2, 33, 17, (9, 8), (3, 3), (2, 2), ((1, 1),) * 2, (1, 1), 1),
    "asymmetric": (2, 5, 20, (9, 7), (4, 3), (3, 2), ((0, 2), (1, 0)), (2, 1), 1),
    "stride above taps": (2, 3, 5, (11, 10), (2, 2), (3, 4), ((1, 0), (0, 3)), (1, 1), 1),
    "dilation and stride": (1, 6, 9, (13, 12), (3, 3), (2, 4), ((2, 2),) * 2, (4, 2), 3),
    "few channels": (2, 3, 40, (9, 8), (3, 3), (2, 1), ((1, 1),) * 2, (1, 1), 1),
    "one filter": (2, 37, 1, (9, 8), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), 1),
    "few of both by groups": (2, 99, 6, (9, 8), (1, 2), (1, 1), ((0, 0),) * 2, (1, 1), 3),
    "groups": (2, 12, 18, (6, 7), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), 6),
    "depthwise": (2, 33, 33, (9, 8), (5, 3), (2, 1), ((2, 2), (1, 1)), (1, 2), 33),
    "depthwise in large steps": (1, 18, 18, (19, 40), (3, 7), (1, 3), ((1, 1), (3, 3)), (1, 1), 18),
    "depthwise times 3": (2, 5, 15, (9, 8), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), 5),
    "more padding than taps": (2, 4, 8, (2, 2), (3, 3), (1, 1), ((5, 4), (3, 3)), (1, 1), 1),
    "no tap meets the image": (2, 3, 4, (1, 5), (2, 1), (3, 1), ((1, 2), (0, 0)), (3, 1), 1),
    "small and many": (19, 20, 35, (2, 2), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), 1),
    "wide": (3, 130, 300, (4, 4), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), 1),
    "1 axis": (3, 7, 20, (33,), (5,), (2,), ((2, 1),), (2,), 1),
    "1 axis depthwise": (3, 20, 20, (33,), (5,), (1,), ((2, 2),), (1,), 20),
    "3 axes": (2, 4, 9, (5, 6, 7), (3, 3, 3), (1, 1, 1), ((1, 1),) * 3, (1, 1, 1), 1),
    "3 axes, all at once": (
        2, 6, 8, (7, 6, 9), (3, 2, 3), (2, 1, 3), ((1, 1), (0, 1), (2, 0)), (1, 3, 2), 2
    ),
    "3 axes depthwise": (2, 5, 5, (4, 6, 5), (2, 3, 3), (1, 2, 1), ((1, 1),) * 3, (1, 1, 1), 5),
}  # fmt: skip


class Layer:
    """A convolution and its gradients in float64, tap by tap."""

    def __init__(self, n, c, f, size, k, stride, padding, dilation, groups):
        self.k, self.groups, self.padding = k, groups, padding
        self.params = {
            "stride": stride, "padding": padding, "dilation": dilation, "groups": groups
        }  # fmt: skip
        self.out = tuple(
            (m + sum(p) - (q - 1) * d - 1) // s + 1
            for m, p, q, d, s in zip(size, padding, k, dilation, stride)
        )
        random = np.random.default_rng(len(size) + c)
        self.x = random.standard_normal((n, c, *size))
        self.w = random.standard_normal((f, c // groups, *k))
        self.g = random.standard_normal((n, f, *self.out))
        self.b = random.standard_normal(f)
        self.y = np.zeros(self.g.shape) + self.b.reshape(-1, *[1] * len(k))
        self.gw = np.zeros(self.w.shape)
        padded = np.pad(self.x, ((0, 0), (0, 0), *padding))
        gx = np.zeros(padded.shape)
        per = c // groups, f // groups
        for tap in itertools.product(*map(range, k)):
            at = tuple(
                slice(t * d, t * d + (o - 1) * s + 1, s)
                for t, d, o, s in zip(tap, dilation, self.out, stride)
            )
            for i in range(groups):
                of_x = (slice(None), slice(i * per[0], (i + 1) * per[0]), *at)
                of_y = (slice(None), slice(i * per[1], (i + 1) * per[1]))
                of_w = (of_y[1], slice(None), *tap)
                w = self.w[of_w]
                self.y[of_y] += np.einsum("nc...,fc->nf...", padded[of_x], w)
                gx[of_x] += np.einsum("nf...,fc->nc...", self.g[of_y], w)
                axes = (0, *range(2, padded.ndim))
                self.gw[of_w] = np.tensordot(self.g[of_y], padded[of_x], (axes, axes))
        inner = (slice(p[0], p[0] + m) for p, m in zip(padding, size))
        self.gx = gx[(slice(None), slice(None), *inner)]


def close(made, expected, dtype):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(made, expected, 0, scale * (1e-5 if dtype == "float32" else 1e-13))


def filters_last(memory, w):
    return memory.array(w, (*range(2, w.ndim), 1, 0))


def nothing(shape):
    return np.full(shape, np.nan)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=list(CASES))
def layer(request):
    return Layer(*CASES[request.param])


@pytest.mark.parametrize("with_bias", [False, True])
def test_convolutions(layer, dtype, with_bias):
    memory = Memory(dtype)
    x, w = memory.images(layer.x, gap=5), filters_last(memory, layer.w)
    y, bias = memory.images(nothing(layer.y.shape), gap=3), memory.array(layer.b)
    given, count = bias if with_bias else None, conv_count(x, w, y, **layer.params)
    prepared = memory.array(nothing(count)) if count and with_bias else None
    for part in range(2 if prepared is not None else 0):
        run(conv_weights(x, w, y, prepared, part=(part, 2), **layer.params))
    run(conv(x, w, y, bias=given, prepared=prepared, scratch=memory.scratch, **layer.params))
    expected = layer.y if with_bias else layer.y - layer.b.reshape(-1, *[1] * len(layer.k))
    close(y, expected, dtype)
    memory.check()


def test_gradients_in_the_image(layer, dtype):
    memory = Memory(dtype)
    g, w = memory.images(layer.g, gap=5), filters_last(memory, layer.w)
    x = memory.images(nothing(layer.x.shape), gap=3)
    count = conv_input_count(x, w, g, **layer.params)
    prepared = memory.array(nothing(count)) if count else None
    for part in range(3 if count else 0):
        run(conv_input_weights(x, w, g, prepared, part=(part, 3), **layer.params))
    run(conv_input(g, w, x, prepared=prepared, scratch=memory.scratch, **layer.params))
    close(x, layer.gx, dtype)
    memory.check()


def test_gradients_in_the_weights(layer, dtype):
    memory = Memory(dtype)
    x, g = memory.images(layer.x, gap=5), memory.images(layer.g, gap=3)
    w = filters_last(memory, nothing(layer.w.shape))
    run(conv_weight(x, g, w, scratch=memory.scratch, **layer.params))
    close(w, layer.gw, dtype)
    run(conv_weight(x, g, w, accumulate=True, scratch=memory.scratch, **layer.params))
    close(w, 2 * layer.gw, dtype)
    memory.check()


@pytest.mark.parametrize("groups", [1, 2])
def test_prepared_weights_for_wide_layers(groups):
    layer = Layer(2, 160, 520, (5, 4), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), groups)
    memory = Memory("float32")
    x, w = memory.images(layer.x), filters_last(memory, layer.w)
    y = memory.images(nothing(layer.y.shape))
    count = conv_count(x, w, y, **layer.params)
    assert count
    prepared = memory.array(nothing(count))
    for part in range(2):
        run(conv_weights(x, w, y, prepared, part=(part, 2), **layer.params))
    run(conv(x, w, y, bias=memory.array(layer.b), prepared=prepared, **layer.params))
    close(y, layer.y, "float32")
    memory.check()


@pytest.mark.parametrize(
    "case",
    [
        (7, 40, 50, (40, 41), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), 1),
        (2, 36, 36, (70, 61), (3, 2), (1, 1), ((1, 1),) * 2, (1, 1), 9),
        (2, 40, 40, (70, 61), (3, 2), (1, 1), ((1, 1),) * 2, (1, 1), 40),
        (2, 24, 48, (90, 61), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1), 3),
    ],
    ids=str,
)
def test_parts_that_the_cache_holds(case):
    """Batches in turns, images in strips."""
    layer = Layer(*case)
    memory = Memory("float32")
    x, w, g = memory.images(layer.x), filters_last(memory, layer.w), memory.images(layer.g)
    y = memory.images(nothing(layer.y.shape))
    run(conv(x, w, y, bias=memory.array(layer.b), **layer.params))
    close(y, layer.y, "float32")
    count = conv_input_count(x, w, g, **layer.params)
    prepared = memory.array(nothing(count)) if count else None
    if count:
        run(conv_input_weights(x, w, g, prepared, **layer.params))
    gx = memory.images(nothing(x.shape))
    run(conv_input(g, w, gx, prepared=prepared, **layer.params))
    close(gx, layer.gx, "float32")
    run(conv_weight(x, g, w, **layer.params))
    np.testing.assert_allclose(w, layer.gw, 0, 1e-4 * np.abs(layer.gw).max())
    memory.check()


def test_what_does_not_fit_is_said():
    layer = Layer(*CASES["strided"])
    memory = Memory("float32")
    x, w = memory.images(layer.x), filters_last(memory, layer.w)
    y = memory.images(layer.y)
    with pytest.raises(ValueError, match=r"float32\[2, 33, 9, 8\], .* stride=\(1, 2\)"):
        conv(x, w, y, **{**layer.params, "stride": (1, 2)})
    with pytest.raises(ValueError, match=r"channels last, and those of shape \(2, 33, 9, 8\) have"):
        conv(memory.array(layer.x), w, y, **layer.params)
    with pytest.raises(ValueError, match="filters last, and those of shape"):
        conv(x, memory.array(layer.w), y, **layer.params)
    with pytest.raises(ValueError, match=r"a bias of shape \(3,\) does not fit 17 filters"):
        conv(x, w, y, bias=memory.array(np.zeros(3)), **layer.params)
    with pytest.raises(ValueError, match="takes weights prepared by conv_input_weights"):
        conv_input(y, w, x, **layer.params)
    with pytest.raises(ValueError, match=r"prepared weights have \d+ elements in one row"):
        conv_input(y, w, x, prepared=memory.array(np.zeros(7)), **layer.params)


@pytest.mark.parametrize("make", [conv, conv_input, conv_weight])
def test_channels_of_depthwise_convolutions_are_a_loop(make):
    """Steps do not grow with the channels; their number is what a plan takes its time to write."""

    def steps(channels):
        image = np.zeros((2, 9, 9, channels), np.float32).transpose(0, 3, 1, 2)
        w = np.zeros((5, 5, 1, channels), np.float32).transpose(3, 2, 0, 1)
        given = {
            conv: (image, w, image.copy("K")),
            conv_input: (image, w, image.copy("K")),
            conv_weight: (image, image.copy("K"), w),
        }
        sizes = {"stride": (1, 1), "padding": ((2, 2),) * 2, "dilation": (1, 1)}
        calls = make(*given[make], **sizes, groups=channels)
        return sum(len(places) for call in calls for _, _, places in call.inner)

    assert steps(64) == steps(256) > 0
