"""The kernels that a GPU runs better than the portable ones, or that CuPy spells otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

from tensorgraph import Kernel
from tensorgraph.spec import Shaped
from tensorgraph_cupy.kernels import conv, im2col, loss, matmul, norm, pool, random, resample
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.lib import MissingError


def kernels_for(arrays: Arrays) -> list[Kernel]:
    """The kernels, bound to the array module and the device."""
    xp = arrays.xp
    return [
        *_of_libraries(arrays),
        Kernel("conv", "im2col", partial(im2col.conv, xp)),
        Kernel("conv_input", "im2col", partial(im2col.conv_input, xp)),
        Kernel("conv_weight", "im2col", partial(im2col.conv_weight, xp)),
        Kernel("argsort", "stable", lambda x, *, axis: xp.argsort(x, axis=axis)),  # it always is
        Kernel("random_bits", "philox", partial(random.random_bits, arrays)),
        Kernel("random_bits_each", "philox", partial(random.random_bits_each, arrays)),
        Kernel("drop", "philox", partial(random.drop_array, arrays), _single),
        Kernel("label_cross_entropy", "cuda", partial(loss.label_cross_entropy, arrays), _single),
        Kernel(
            "label_cross_entropy_input",
            "cuda",
            partial(loss.label_cross_entropy_input, arrays),
            _single,
        ),
        Kernel("softmax", "cuda", partial(loss.softmax_array, arrays), _single),
        Kernel("log_softmax", "cuda", partial(loss.log_softmax_array, arrays), _single),
        Kernel("resample", "cuda", partial(resample.resample_array, arrays), resample.supports),
        *[Kernel(op, "cuda", partial(run, arrays), _single) for op, run in pool.KERNELS.items()],
        *[
            Kernel(op, "cuda", partial(run, arrays), supports)
            for op, (run, supports) in norm.KERNELS.items()
        ],
    ]


def _single(x: Shaped, *_: Shaped, **__: object) -> bool:
    """Whether the kernels apply that are made for float32 alone."""
    return x.dtype == "float32"


def _of_libraries(arrays: Arrays) -> Iterator[Kernel]:
    """Those of the libraries that are here: `tensorgraph doctor` says what is missing."""
    with contextlib.suppress(MissingError):
        arrays.device.library("cublaslt")
        yield Kernel("matmul", "cublaslt", partial(matmul.matmul, arrays), matmul.supports)
        name = "windows"
        with contextlib.suppress(MissingError):
            arrays.device.library("cudnn")
            name = "cudnn"
        for run in (conv.conv, conv.conv_input, conv.conv_weight):
            yield Kernel(run.__name__, name, partial(run, arrays), conv.supports)
