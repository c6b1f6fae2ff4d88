"""3x3 convolutions of a layer and their gradients as sums over the nine taps: an oracle.

A layer has ``channels``, ``filters``, ``height``, ``width``, ``padding``, and ``out``: height and
width of its output.
"""

import numpy as np


def taps(layer):
    """Which slices of the padded input each weight meets."""
    height, width = layer.out
    for i in range(3):
        for j in range(3):
            yield i, j, (..., slice(i, i + height), slice(j, j + width))


def padded(x, layer):
    return np.pad(x, ((0, 0), (0, 0), *layer.padding))


def forward(layer, x, w):
    x = padded(x, layer)
    return sum(np.einsum("nchw,kc->nkhw", x[s], w[..., i, j]) for i, j, s in taps(layer))


def input_gradient(layer, g, w):
    out = np.zeros((len(g), layer.channels, layer.height, layer.width))
    whole = padded(out, layer)
    for i, j, s in taps(layer):
        whole[s] += np.einsum("nkhw,kc->nchw", g, w[..., i, j])
    (top, _), (left, _) = layer.padding
    return whole[:, :, top : top + layer.height, left : left + layer.width]


def weight_gradient(layer, x, g):
    out = np.zeros((layer.filters, layer.channels, 3, 3))
    x = padded(x, layer)
    for i, j, s in taps(layer):
        out[..., i, j] = np.einsum("nchw,nkhw->kc", x[s], g)
    return out
