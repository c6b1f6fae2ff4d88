"""The kernel ``plugin_name``: it imports NumPy, so nothing imports it before it runs."""

from typing import Any

import numpy


def logsumexp(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """``log(sum(exp(x)))``. The exponentials take the memory of the differences; the portable
    kernel makes an array of ``x``'s size for each."""
    top = numpy.max(x, axis=axis, keepdims=True)
    top[~numpy.isfinite(top)] = 0  # infinities have no differences
    powers = numpy.subtract(x, top)
    numpy.exp(powers, out=powers)
    with numpy.errstate(divide="ignore"):  # where all are -inf, so is the result
        out = numpy.log(numpy.sum(powers, axis=axis, keepdims=True))
    out += top
    return out if keepdims else numpy.squeeze(out, axis=axis)


def logsumexp_reference(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """As it is defined: ``tensorgraph check`` compares the two, and the portable kernel."""
    return numpy.log(numpy.sum(numpy.exp(x), axis=axis, keepdims=keepdims))
