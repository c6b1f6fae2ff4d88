"""What convolution, pooling and normalisation say when shapes and parameters do not fit."""

import re

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.errors import DtypeError, ShapeError

conv, conv_transpose = tg.ops.conv, tg.ops.conv_transpose


def zeros(*shape, dtype="float32"):
    return tg.tensor(np.zeros(shape, dtype))


X, W = zeros(8, 3, 32, 32), zeros(16, 3, 3, 3)

MISTAKES = {
    "channels": (
        lambda: conv(X, zeros(16, 4, 3, 3)),
        "conv: x has 3 channels and w expects 4: x float32[8,3,32,32], w float32[16,4,3,3]",
    ),
    "groups": (
        lambda: conv(X, zeros(16, 1, 3, 3), groups=2),
        "conv: x has 3 channels and w expects 1 in each of 2 groups: x float32[8,3,32,32], "
        "w float32[16,1,3,3]",
    ),
    "filters": (
        lambda: conv(zeros(1, 4, 5, 5), zeros(3, 2, 1, 1), groups=2),
        "conv: 3 filters do not divide into 2 groups: x float32[1,4,5,5], w float32[3,2,1,1]",
    ),
    "large filter": (
        lambda: conv(zeros(1, 3, 2, 9), zeros(4, 3, 5, 5)),
        "conv: the filter reaches over 5 and the padded input has only 2, 3 too few: x "
        "float32[1,3,2,9], w float32[4,3,5,5]; a padding of 2 or a smaller filter would fit",
    ),
    "dilated filter": (
        lambda: conv(zeros(1, 1, 4), zeros(1, 1, 3), dilation=3, padding=1),
        "conv: the filter reaches over 7 and the padded input has only 6, 1 too few: x "
        "float32[1,1,4], w float32[1,1,3]; a padding of 2 or a smaller filter would fit",
    ),
    "axes": (
        lambda: conv(X, zeros(16, 3, 3)),
        "conv: takes two tensors with 1 to 3 spatial axes each: x float32[8,3,32,32], "
        "w float32[16,3,3]",
    ),
    "no axes": (
        lambda: conv(zeros(2, 3), zeros(4, 3)),
        "conv: takes two tensors with 1 to 3 spatial axes each: x float32[2,3], w float32[4,3]",
    ),
    "stride": (
        lambda: conv(X, W, stride=0),
        "conv: stride=0 is neither an integer from 1 on, nor 2 such",
    ),
    "dilation": (
        lambda: conv(X, W, dilation=(1, 2, 3)),
        "conv: dilation=(1, 2, 3) is neither an integer from 1 on, nor 2 such",
    ),
    "padding": (
        lambda: conv(X, W, padding=-1),
        "conv: padding=-1 is neither 'same' nor 'valid', nor a number from 0 on, nor for each of "
        "2 spatial axes a number or a pair (before, after)",
    ),
    "padding by name": (
        lambda: conv(X, W, padding="full"),
        "conv: padding='full' is neither 'same' nor 'valid', nor a number from 0 on, nor for each "
        "of 2 spatial axes a number or a pair (before, after)",
    ),
    "output of conv_input": (
        lambda: tg.ops.conv_input(
            zeros(1, 16, 9, 9), W, size=(8, 8), stride=1, padding=0, dilation=1, groups=1
        ),
        "conv_input: x float32[1,3,8,8], w float32[16,3,3,3] would give an output [1, 16, 6, 6], "
        "not y float32[1,16,9,9]",
    ),
    "transposed channels": (
        lambda: conv_transpose(X, zeros(4, 3, 3, 3)),
        "conv_transpose: x has 3 channels and w expects 4: x float32[8,3,32,32], "
        "w float32[4,3,3,3]",
    ),
    "output_padding": (
        lambda: conv_transpose(X, W, output_padding=1),
        "conv_transpose: output_padding=1 must be smaller than stride=1 or dilation=1",
    ),
    "window": (
        lambda: tg.ops.max_pool(zeros(1, 1, 2, 9), kernel_size=3),
        "max_pool: the window reaches over 3 and the padded input has only 2, 1 too few: "
        "x float32[1,1,2,9]; use a smaller kernel_size, or pool less before",
    ),
    "pool padding": (
        lambda: tg.ops.avg_pool(X, kernel_size=3, padding=2),
        "avg_pool: padding=2 is over half of kernel_size=3: a window could lie in the padding "
        "alone",
    ),
    "pool axes": (
        lambda: tg.ops.max_pool(zeros(2, 3), kernel_size=2),
        "max_pool: takes x (N, C, spatial…) with 1 to 3 spatial axes, not 0",
    ),
    "output_size": (
        lambda: tg.ops.adaptive_avg_pool(X, output_size=(1, 2, 3)),
        "adaptive_avg_pool: output_size=(1, 2, 3) is neither an integer from 1 on, nor 2 such",
    ),
    "one value": (
        lambda: tg.ops.batch_norm(zeros(1, 3), training=True),
        "batch_norm: x float32[1,3] has 1 value for each channel, and a variance needs two; use a "
        "larger batch, or the running statistics (training=False)",
    ),
    "weight": (
        lambda: tg.ops.batch_norm(X, None, None, zeros(4)),
        "batch_norm: weight float32[4] does not fit x float32[8,3,32,32]: it needs (3,)",
    ),
    "normalized_shape": (
        lambda: tg.ops.layer_norm(X, normalized_shape=(32, 31)),
        "layer_norm: x float32[8,3,32,32] does not end in [32, 31]",
    ),
    "num_groups": (
        lambda: tg.ops.group_norm(X, num_groups=2),
        "group_norm: the channels of x float32[8,3,32,32] do not divide into 2 groups",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_a_mistake_says(mistake):
    call, says = MISTAKES[mistake]
    with pytest.raises(ShapeError, match=f"^{re.escape(says)}$"):
        call()


def test_the_padding_that_an_error_names_fits():
    for n in range(1, 6):
        for k in range(n + 1, 9):
            x, w = zeros(1, 1, n), zeros(1, 1, k)
            with pytest.raises(ShapeError) as caught:
                conv(x, w)
            padding = int(re.search(r"a padding of (\d+)", str(caught.value))[1])
            assert conv(x, w, padding=padding).shape[-1] >= 1
            with pytest.raises(ShapeError):
                conv(x, w, padding=padding - 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: conv(zeros(1, 1, 3, dtype="int64"), zeros(1, 1, 3, dtype="int64")),
        lambda: conv(zeros(1, 1, 3, dtype="float64"), zeros(1, 1, 3)),
        lambda: tg.ops.max_pool(zeros(1, 1, 3, dtype="int32"), kernel_size=2),
    ],
)
def test_dtypes_do_not_mix_and_are_floating(call):
    with pytest.raises(DtypeError, match=r"tg\.ops\.cast"):
        call()
