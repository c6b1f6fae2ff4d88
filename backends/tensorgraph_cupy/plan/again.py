"""What is computed again where it is needed, rather than kept in memory and read.

Backward, a ReLU after batch norm needs to know where its result was above 0. That is known from
what batch norm read, which its own gradient reads anyway: so the result is not read, and the masked
gradient, which the two halves of that gradient need, is computed by both and stored by none. Of
seven passes over a layer's memory five are left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tensorgraph.program import Call, Program, Value

SUMS = {"sum_to", "standardize_weight"}
WHOLE = "standardize_input"


def recomputed(program: Program, numbers: Mapping[Value, Any]) -> Program:
    """The program with such masks computed again; ``numbers``: scalar constants."""
    work = _Masks(program, numbers)
    return dataclasses.replace(program, calls=[new for call in program.calls for new in work(call)])


class _Masks:
    """Called with each call, it gives what stands for it."""

    def __init__(self, program: Program, numbers: Mapping[Value, Any]) -> None:
        self.numbers = numbers
        self.maker = {call.out: call for call in program.calls}
        self.readers: dict[Value, list[Call | None]] = {}
        for call in program.calls:
            for x in call.inputs:
                self.readers.setdefault(x, []).append(call)
        for x in program.results():
            self.readers.setdefault(x, []).append(None)
        self.chains: dict[Value, list[Call]] = {}  # the mask, the gradient → what computes it
        for call in program.calls:
            self._look_at(call)

    def _look_at(self, product: Call) -> None:
        """Whether it masks the gradient of a ReLU after batch norm, for that alone."""
        if product.op.name != "multiply":
            return
        for x in product.inputs:
            cast = self._made(x, "cast")
            above = cast and self._made(cast.inputs[0], "greater")
            relu = above and self._made(above.inputs[0], "relu")
            norm = relu and self._made(relu.inputs[0], "standardize")
            if cast is None or above is None or norm is None:
                continue
            alone = all(len(self.readers[made.out]) == 1 for made in (cast, above))
            if alone and self.numbers.get(above.inputs[1]) == 0 and self._for(product, norm):
                self.chains[above.out] = [norm, above]
                self.chains[product.out] = [norm, above, cast, product]
            return

    def _made(self, value: Value, name: str) -> Call | None:
        call = self.maker.get(value)
        return call if call is not None and call.op.name == name else None

    def _for(self, product: Call, norm: Call) -> bool:
        """Whether only the gradient of this batch norm reads what is masked."""
        names = [None if call is None else call.op.name for call in self.readers[product.out]]
        if names.count(WHOLE) != 1 or not {*names} - {WHOLE} <= SUMS:
            return False
        whole = next(c for c in self.readers[product.out] if c is not None and c.op.name == WHOLE)
        return whole.inputs[1] is norm.inputs[0]

    def __call__(self, call: Call) -> list[Call]:
        if call.out in self.chains and call.op.name == "greater":
            return self._again(call.out, call.out)
        if call.op.name == WHOLE and call.inputs[0] in self.chains:
            masked = Value(call.inputs[0].spec)
            read = (masked, *call.inputs[1:])
            return [*self._again(call.inputs[0], masked), dataclasses.replace(call, inputs=read)]
        return [call]

    def _again(self, value: Value, out: Value) -> list[Call]:
        """The calls that compute a value, with results of their own, the last one ``out``."""
        norm, above, *rest = self.chains[value]
        made = {above.inputs[0]: Value(norm.out.spec)}  # instead of the ReLU's result
        calls = [dataclasses.replace(norm, out=made[above.inputs[0]])]
        for call in (above, *rest):
            made[call.out] = Value(call.out.spec)
            inputs = tuple(made.get(x, x) for x in call.inputs)
            calls.append(dataclasses.replace(call, inputs=inputs, out=made[call.out]))
        calls[-1].out = out
        return calls
