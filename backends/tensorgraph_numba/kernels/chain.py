"""Chains of elementwise ops as one pass over memory, with no code compiled for a chain.

``chain`` turns the steps into a small program. Its kernel takes blocks of some hundred elements and
runs the program on each: an instruction is a loop over the block, what lies between two of them
stays in the first-level cache. Biases, activations and their masks, the passes of batch norm,
sums over samples and pixels, regularizers and the updates of optimizers are such chains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tensorgraph_numba.kernels.chain_build import Chain, Sum
from tensorgraph_numba.kernels.chain_kernel import run_chain
from tensorgraph_numba.kernels.chain_program import Step
from tensorgraph_numba.native import Call

__all__ = ["Step", "Sum", "chain", "supports"]


def chain(
    inputs: Sequence[Any],
    steps: Sequence[Step],
    outputs: Sequence[tuple[int, Any]],
    sums: Sequence[Sum] = (),
    *,
    scratch: Callable[[int], Any],
) -> list[Call]:
    """Calls that compute the steps for each element and write values to ``outputs`` and ``sums``.

    ``inputs`` are arrays that broadcast, of float32, float64 (one of the two) or bool, and numbers,
    which are constants; arrays are read when the calls run. Values are numbered, inputs first, then
    steps. Each of ``outputs`` has the shape that everything broadcasts to. It may be the very array
    of an input: it is written when nothing reads the input any more. Arrays may lie in any order;
    fast are those that are contiguous in the order of the first output (without outputs, the
    largest input), or repeat a row over and over (channels of channels-last images), or hold one
    number for everything or for long runs. The others are copied block by block.

    Comparisons give bool, as do ``logical_…`` of bool: such a value goes to a bool array, or as 0
    and 1 to one of numbers and into arithmetic; ``cast`` of it changes nothing. ``clip`` takes
    (x, low, high). NaN and infinities are as in NumPy. Division by what varies less than the
    dividend is multiplication by its reciprocal, and a product that is added may be rounded once:
    so results differ from NumPy's in the last bits.

    The largest errors of float32 functions, in units of the last place: sqrt 0.5; exp, log, and
    those of the system's library (sin, cos, …) 1; erf, expm1, log1p 1.5; tanh, sigmoid 2.5.
    Sums over everything, and over all but an axis that is contiguous, add some 64 numbers in the
    dtype and those sums in float64; others are added to the target block by block.

    ValueError where an array's strides, overlap or dtype cannot be served.
    """
    made = Chain(inputs, steps, outputs, sums)
    if not made.space.total and not sums:
        return []
    words, arrays = made.words(scratch)
    return [Call(run_chain, made.dtype, words, arrays)]


def supports(
    inputs: Sequence[Any],
    steps: Sequence[Step],
    outputs: Sequence[tuple[int, Any]],
    sums: Sequence[Sum] = (),
) -> bool:
    """Whether ``chain`` serves this."""
    try:
        Chain(inputs, steps, outputs, sums)
    except ValueError:
        return False
    return True
