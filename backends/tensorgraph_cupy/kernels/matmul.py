"""Matrix products by cuBLASLt: from strides to the fewest products of matrices that give them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from tensorgraph.spec import Shaped
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.kernels.precision import arithmetic, factor
from tensorgraph_cupy.kernels.spelling import SIZES
from tensorgraph_cupy.kernels.view import View, view
from tensorgraph_cupy.lib import UnsupportedError
from tensorgraph_cupy.lib.choices import fastest
from tensorgraph_cupy.lib.cublaslt import Cublaslt, Matrix, Product

DTYPES = ("float32", "float64")  # of the op; its factors may be rounded to bfloat16 on the way
Three = tuple[int, int, int]  # of x, y and out


class Epilogue(NamedTuple):
    """What a product does besides: ``lib.cublaslt.EPILOGUES`` says which, and what they take."""

    name: str = "none"
    vector: int = 0  # addresses
    mask: int = 0


PLAIN = Epilogue()


def launch(
    device: Any, x: View, y: View, out: View, *, how: str = "float32", epilogue: Epilogue = PLAIN
) -> None:
    """``out = x @ y`` of matrices or broadcast batches of them, all of which hold something.

    Raises ``UnsupportedError`` where cuBLASLt has no algorithm, and ``ValueError`` where the
    elements of a row and those of a column of a matrix both lie apart (``is_matrix`` says so).
    """
    library: Cublaslt = device.library("cublaslt")
    vector, mask = epilogue.vector, epilogue.mask
    for product, addresses in products(x, y, out, how, epilogue):
        plan = library.plan(product)
        library.run(plan, *addresses, vector=vector, mask=mask)


def tune(
    device: Any, x: View, y: View, out: View, *, how: str = "float32", epilogue: Epilogue = PLAIN
) -> None:
    """Find the fastest algorithm on these addresses, whose results are overwritten; it is taken
    from then on. It takes a moment, unless it was found before."""
    library: Cublaslt = device.library("cublaslt")
    vector, mask = epilogue.vector, epilogue.mask
    for product, addresses in products(x, y, out, how, epilogue):
        if library.choices.get(product) is None:
            plan = library.plan(product)
            run = partial(library.run, plan, *addresses, vector=vector, mask=mask)
            plan.chosen = fastest(device, [partial(run, choice=i) for i in range(len(plan.found))])
            library.choices.put(product, plan.chosen)


def products(
    x: View, y: View, out: View, how: str, epilogue: Epilogue = PLAIN
) -> Iterator[tuple[Product, Three]]:
    """The products, each a matrix or a batch of them at equal distances, and their addresses."""
    (*batch, rows, columns), inner = out.shape, x.shape[-1]
    views = (x, y, out)
    matrices = [_matrix(v.shape[-2:], v.strides[-2:]) for v in views]
    if matrices[2].turned:  # the transposed product writes rows
        raise ValueError(f"matmul: the rows of out lie apart: strides {out.strides}")
    axes = _merged(batch, [_batch_strides(v, len(batch)) for v in views])
    if len(axes) == 1:
        (count, (x_apart, y_apart, out_apart)) = axes[0]
        tall = (rows * matrices[0].leading, 0, rows * matrices[2].leading)
        if not matrices[0].turned and (x_apart, y_apart, out_apart) == tall:
            axes, rows = [], rows * count  # one y for all, and the x are one tall matrix
    *outer, (count, apart) = axes or [(1, (0, 0, 0))]
    of_x, of_y, of_out = (m._replace(apart=step) for m, step in zip(matrices, apart))
    sizes = [SIZES[v.dtype] for v in views]
    steps = [step * size for step, size in zip(apart, sizes)]
    for at in itertools.product(*[range(length) for length, _ in outer]):
        starts = [sum(i * far[n] for i, (_, far) in zip(at, outer)) for n in range(3)]
        addresses = [v.address + start * size for v, start, size in zip(views, starts, sizes)]
        product = Product(
            rows,
            columns,
            inner,
            of_x,
            of_y,
            of_out,
            batch=count,
            dtype=x.dtype,
            out_dtype=out.dtype,
            arithmetic=how,
            epilogue=epilogue.name,
            alignment=math.gcd(256, *addresses, *steps, epilogue.vector, epilogue.mask),
        )
        yield product, (addresses[0], addresses[1], addresses[2])


def is_matrix(view: View) -> bool:
    """Whether each matrix of it lies row after row or column after column."""
    try:
        _matrix(view.shape[-2:], view.strides[-2:])
    except ValueError:
        return False
    return True


def _matrix(shape: tuple[int, ...], strides: tuple[int, ...]) -> Matrix:
    (rows, columns), (down, along) = shape, strides
    if (along == 1 or columns == 1) and (rows == 1 or down >= columns):
        return Matrix(columns if rows == 1 else down)
    if (down == 1 or rows == 1) and (columns == 1 or along >= rows):
        return Matrix(rows if columns == 1 else along, turned=True)
    raise ValueError(f"matmul: no matrix in memory: shape {shape}, strides {strides}")


def _batch_strides(view: View, axes: int) -> list[int]:
    """The stride along each axis of the batch: 0 where it is broadcast."""
    own = [0 if n == 1 else s for n, s in zip(view.shape[:-2], view.strides[:-2])]
    return [0] * (axes - len(own)) + own


def _merged(batch: list[int], strides: list[list[int]]) -> list[tuple[int, Three]]:
    """The axes of the batch with their strides in x, y and out; those that continue each other in
    all three are one."""
    merged: list[tuple[int, Three]] = []
    for length, *steps in zip(batch, *strides):
        if length == 1:
            continue
        if merged and all(wide == length * s for wide, s in zip(merged[-1][1], steps)):
            length *= merged.pop()[0]
        merged.append((length, (steps[0], steps[1], steps[2])))
    return merged


def matmul(arrays: Arrays, x: Any, y: Any) -> Any:
    """The op, on arrays; as CuPy does it where cuBLASLt has no algorithm."""
    given, row, column = (x, y), x.ndim == 1, y.ndim == 1
    x, y = x[None] if row else x, y[:, None] if column else y
    shape = (*_broadcast(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])
    out = arrays.xp.empty(shape, x.dtype)
    how = "float64" if str(x.dtype) == "float64" else arithmetic()
    x, y = (factor(z) for z in (x, y))
    x, y = (z if is_matrix(view(arrays, z)) else arrays.xp.ascontiguousarray(z) for z in (x, y))
    try:
        launch(arrays.device, *(view(arrays, z) for z in (x, y, out)), how=how)
    except UnsupportedError:
        return arrays.xp.matmul(*given)
    out = out[..., 0, :] if row else out
    return out[..., 0] if column else out


def supports(x: Shaped, y: Shaped) -> bool:
    return x.dtype in DTYPES and 0 not in (*x.shape, *y.shape)


def _broadcast(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
    axes = max(len(x), len(y))
    pairs = zip((1,) * (axes - len(x)) + x, (1,) * (axes - len(y)) + y)
    return tuple(b if a == 1 else a for a, b in pairs)
