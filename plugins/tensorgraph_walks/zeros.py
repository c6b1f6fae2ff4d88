"""Which trailing part of each axis of a value is known to be zero: of gradients, where no window of
a pool or of a convolution has reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tensorgraph.program import Call, Program, Value
from tensorgraph.tensor import Tensor
from tensorgraph_walks.windows import windows_of

Along = list[int]  # for each input, up to where it may be other than zero along an axis
ZERO_OF_ZERO = frozenset(
    """
    abs asin atan cast ceil expm1 floor log1p negative relu round sign sin sinh sqrt square tan tanh
    """.split()  # noqa: SIM905
)
# A number times zero is taken to be zero, also where it is infinite or NaN.
RULES: dict[str, Callable[[Along], int]] = {
    "add": max,
    "divide": lambda sizes: sizes[0],
    "multiply": min,
    "subtract": max,
    "where": lambda sizes: max(sizes[1:]),
    **dict.fromkeys(ZERO_OF_ZERO, lambda sizes: sizes[0]),
}
FROM_RESULTS = ("avg_pool_input", "conv_input", "max_pool_input")


class Supports:
    """Up to where along each axis a value may be other than zero: ``supports[value][axis]``. What
    lies beyond on any axis is zero."""

    def __init__(self, program: Program) -> None:
        self._found: dict[Value, tuple[int, ...]] = {}
        self._zeros = {value for value, x in program.constants.items() if is_zero(x)}
        for call in program.calls:
            found = tuple(self._of(call))
            if found != call.out.spec.shape:
                self._found[call.out] = found

    def __getitem__(self, value: Value) -> tuple[int, ...]:
        return self._found.get(value, value.spec.shape)

    def _of(self, call: Call) -> Iterable[int]:
        shape = call.out.spec.shape
        rule = RULES.get(call.op.name)
        if rule is not None:
            if any(x in self._found or x in self._zeros for x in call.inputs):
                axes = range(call.out.spec.ndim)
                return [rule([self._along(x, call, i) for x in call.inputs]) for i in axes]
        elif call.op.name in FROM_RESULTS:
            windows = windows_of(call)
            assert windows is not None
            ends = zip(shape[2:], self[call.inputs[0]][2:], windows.slides)
            return (*shape[:2], *[min(n, max(0, w.reached(k))) if k else 0 for n, k, w in ends])
        return shape

    def _along(self, x: Value, call: Call, axis: int) -> int:
        """The support of an input along an axis of the output."""
        size = call.out.spec.shape[axis]
        own = axis - call.out.spec.ndim + x.spec.ndim
        if x in self._zeros:
            return 0
        return self[x][own] if own >= 0 and x.spec.shape[own] == size else size


def is_zero(x: Tensor) -> bool:
    """Whether a constant is the number 0."""
    return x.shape == () and float(x.backend.to_host(x.data)) == 0.0
