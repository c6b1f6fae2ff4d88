"""The mean and the variance of each channel in one pass over the data: batch norm's statistics.

Sums of squares cancel where the mean is large beside the deviation. So what is summed are
deviations from the channel's first value, and their squares: with s and q the means of these, the
mean is first + s and the variance q - s². The first value is some deviations away from the mean,
not many, so hardly any digits of q are lost, and the data is read once instead of twice.
"""

from __future__ import annotations

from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.chain import Chain, Operand, Reduction, Step
from tensorgraph_cupy.kernels.elementwise import elementwise
from tensorgraph_cupy.kernels.reduce import reduce

SINGLE = "float32"


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
    reduce(device, summed(dtype), sizes, [x, x], [], [mean, variance], scales, workspace)
    given = [mean, variance, x]
    elementwise(device, finished(dtype), (channels,), given, [mean, variance])


def summed(dtype: str) -> Chain:
    """The means of x - first and of its square; ``first`` is the first row of x itself."""
    inputs = (Operand(dtype, (True,) * 3), Operand(dtype, (False, False, True)))
    steps = (Step("subtract", (0, 1), SINGLE), Step("square", (2,), SINGLE))
    return Chain(inputs, steps, (), (Reduction(2, "sum", SINGLE), Reduction(3, "sum", SINGLE)))


def finished(dtype: str) -> Chain:
    """From these two the mean and the variance, in their place."""
    inputs = (Operand(SINGLE, (True,)), Operand(SINGLE, (True,)), Operand(dtype, (True,)))
    steps = (
        Step("add", (0, 2), SINGLE),
        Step("square", (0,), SINGLE),
        Step("subtract", (1, 4), SINGLE),
        Step("relu", (5,), SINGLE),  # not below 0 by rounding; NaN stays NaN
    )
    return Chain(inputs, steps, ((3, SINGLE), (6, SINGLE)))
