"""The mean and the variance of each channel in one pass over the data: batch norm's statistics.

Sums of squares cancel where the mean is large beside the deviation. So what is summed are
deviations from the channel's first value, and their squares: with s and q the means of these, the
mean is first + s and the variance q - s². The first value is some deviations away from the mean,
not many, so hardly any digits of q are lost, and the data is read once instead of twice.
"""

from __future__ import annotations

from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.chain import Chain, Operand, Reduction, Step, Steps
from tensorgraph_cupy.kernels.reduce import reduce

SINGLE = "float32"
# of x and the first: what is summed up
TERMS = (Step("subtract", (0, 1), SINGLE), Step("square", (2,), SINGLE))
REDUCTIONS = (Reduction(2, "sum", SINGLE), Reduction(3, "sum", SINGLE))


def moments(
    device: Device,
    dtype: str,
    rows: int,
    channels: int,
    x: int,
    mean: int,
    variance: int,
    workspace: int,
) -> None:
    """Of (rows, channels), at least one row: the mean and the biased variance of each channel, in
    float32."""
    sizes, scales = (1, rows, channels), (1 / rows, 1 / rows)
    reduce(device, summed(dtype), sizes, [x, x], [], [mean, variance], scales, workspace, [x])


def summed(dtype: str) -> Chain:
    """The means of x - first and of its square, and from these the mean and the variance; ``first``
    is the first row of x itself."""
    inputs = (Operand(dtype, (True,) * 3), Operand(dtype, (False, False, True)))
    steps = Steps(3)
    found = finished(steps, 0, 1, 2)
    sums = (Operand(SINGLE, (True,)), Operand(SINGLE, (True,)), Operand(dtype, (True,)))
    after = Chain(sums, steps.all, tuple((number, SINGLE) for number in found))
    return Chain(inputs, TERMS, (), REDUCTIONS, after)


def finished(steps: Steps, deviation: int, square: int, first: int) -> tuple[int, int]:
    """The mean and the variance from the two sums and the first value."""
    rest = steps("subtract", [square, steps("square", [deviation])])
    # not below 0 by rounding; NaN stays NaN
    return steps("add", [deviation, first]), steps("relu", [rest])
