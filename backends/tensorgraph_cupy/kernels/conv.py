"""Convolution by cuDNN, or as a product of matrices where that is all it is, or all there is."""

from __future__ import annotations

import contextlib
import math
from functools import partial
from typing import Any

from tensorgraph.spec import Shaped
from tensorgraph_cupy.kernels import matmul, windows
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.kernels.precision import arithmetic, factor
from tensorgraph_cupy.kernels.view import View
from tensorgraph_cupy.lib import MissingError, UnsupportedError
from tensorgraph_cupy.lib.choices import fastest
from tensorgraph_cupy.lib.convolution import Convolution, Ints, Pairs
from tensorgraph_cupy.lib.cublaslt import Cublaslt
from tensorgraph_cupy.lib.cudnn import Cudnn, Plan

ALIGNED = 256  # an address that stands for all that are as well aligned
PRODUCT = -1  # among the numbers of cuDNN's plans: as a product, which was faster than those


def scratch(device: Any, problem: Convolution) -> int:
    """The bytes that ``launch`` needs besides: where cuDNN has no plan, or is not here."""
    has = _is_product(device, problem) or _plan(device, problem) is not None
    return 0 if has else windows.scratch(problem)


def launch(
    device: Any, problem: Convolution, *, x: int, w: int, y: int, bias: int = 0, scratch: int = 0
) -> None:
    """Compute the one of x, w and y that ``problem.kind`` names from the others, by addresses;
    ``scratch`` is that of as many bytes as the function of that name says."""
    given = {"x": x, "w": w, "y": y, "bias": bias}
    if _is_product(device, problem):
        _multiply(device, problem, given)
    elif (plan := _plan(device, problem)) is not None:
        device.library("cudnn").run(plan, given)
    else:
        windows.launch(device, problem, scratch=scratch, **given)


def _cudnn(device: Any) -> Cudnn | None:
    try:
        library: Cudnn = device.library("cudnn")
    except MissingError:
        return None
    return library


def _plan(device: Any, problem: Convolution) -> Plan | None:
    """cuDNN's plan; None where it has none or is not here."""
    try:
        library = _cudnn(device)
        return None if library is None else library.plan(problem)
    except UnsupportedError:
        return None


def _is_product(device: Any, problem: Convolution) -> bool:
    """Whether it is a product that cuBLASLt has, and was not measured to be slower than a plan of
    cuDNN's, which there still is."""
    if not problem.is_product():
        return False
    aligned = matmul.Epilogue(problem.epilogue, ALIGNED)
    operands = _matrices(problem, dict.fromkeys("xwy", ALIGNED))
    try:
        library: Cublaslt = device.library("cublaslt")
        for needed, _ in matmul.products(*operands, problem.arithmetic, aligned):
            library.plan(needed)
    except (MissingError, UnsupportedError):
        return False
    plans = _cudnn(device)
    if plans is None or plans.choices.get(problem) in (None, PRODUCT):
        return True
    return _plan(device, problem) is None


def tune(device: Any, problem: Convolution, *, x: int, w: int, y: int, bias: int = 0) -> None:
    """Find the fastest way on these addresses, whose results are overwritten; it is taken from
    then on. It takes a second or so, unless it was found before."""
    given = {"x": x, "w": w, "y": y, "bias": bias}
    product = _is_product(device, problem)
    if product:
        _multiply(device, problem, given, tuned=True)
    library = _cudnn(device)
    if library is None or library.choices.get(problem) is not None:
        return
    numbers, ways = [], []
    with contextlib.suppress(UnsupportedError):
        numbers += library.candidates(problem)
        ways += [partial(library.run, library.plan(problem, n), given) for n in numbers]
    if product:
        numbers.append(PRODUCT)
        ways.append(partial(_multiply, device, problem, given))
    if len(ways) > 0:
        library.choices.put(problem, numbers[fastest(device, ways)])


def _multiply(
    device: Any, problem: Convolution, given: dict[str, int], *, tuned: bool = False
) -> None:
    epilogue = matmul.Epilogue(problem.epilogue, given["bias"])
    run = matmul.tune if tuned else matmul.launch
    run(device, *_matrices(problem, given), how=problem.arithmetic, epilogue=epilogue)


def _matrices(problem: Convolution, addresses: dict[str, int]) -> tuple[View, View, View]:
    """Of a convolution that is a product: with channels last, images are (pixels, channels), and
    the filters (F, C)."""
    pixels, c, f = problem.images * math.prod(problem.size), problem.channels, problem.filters
    images = View(addresses["x"], (pixels, c), (c, 1), problem.dtype)
    filters = View(addresses["w"], (f, c), (c, 1), problem.dtype)
    outputs = View(addresses["y"], (pixels, f), (f, 1), problem.dtype)
    operands = {
        "y": (images, filters.turned, outputs),
        "x": (outputs, filters, images),
        "w": (outputs.turned, images, filters),
    }
    return operands[problem.kind]


def conv(
    arrays: Arrays, x: Any, w: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    sizes = (x.shape[0], x.shape[1], w.shape[0], x.shape[2:], w.shape[2:])
    return _run(arrays, Convolution("y", *sizes, stride, padding, dilation, groups), x=x, w=w)


def conv_input(
    arrays: Arrays,
    y: Any,
    w: Any,
    *,
    size: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> Any:
    sizes = (y.shape[0], w.shape[1] * groups, w.shape[0], size, w.shape[2:])
    return _run(arrays, Convolution("x", *sizes, stride, padding, dilation, groups), y=y, w=w)


def conv_weight(
    arrays: Arrays,
    x: Any,
    y: Any,
    *,
    size: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> Any:
    sizes = (x.shape[0], x.shape[1], y.shape[1], x.shape[2:], size)
    return _run(arrays, Convolution("w", *sizes, stride, padding, dilation, groups), x=x, y=y)


def _run(arrays: Arrays, problem: Convolution, **operands: Any) -> Any:
    """The op on arrays: their factors rounded as the precision says, their channels last."""
    held = {name: arrays.channels_last(factor(x)) for name, x in operands.items()}
    (dtype,) = {x.dtype for x in held.values()}
    problem = problem._replace(dtype=str(dtype), arithmetic=arithmetic())
    out = held[problem.kind] = arrays.empty(problem.shapes()[problem.kind], dtype)
    held["scratch"] = arrays.xp.empty(scratch(arrays.device, problem), "uint8")
    launch(arrays.device, problem, **{name: arrays.address(x) for name, x in held.items()})
    return out if problem.dtype == "float32" else out.astype("float32")


def supports(*specs: Shaped, **geometry: Any) -> bool:
    return all(s.dtype == "float32" and 0 not in s.shape for s in specs)
