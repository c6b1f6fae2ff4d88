"""The masks of ReLUs, backward: applied where that takes the fewest bytes.

After batch norm, where a ReLU's result is above 0 is known from what batch norm read, which its own
gradient reads anyway. So the result is not read, and the masked gradient, which both halves of that
gradient need, is computed by both and stored by none: of seven passes over a layer's memory five
are left.

Before a pool of maxima a ReLU's result is above 0 where the gradient goes if and only if the
maximum is. So the mask is applied to the gradient of the maxima, which is smaller, and what is
summed up of it for a bias is summed up there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from tensorgraph.program import Call, Program, Value

SUMS = {"sum_to", "standardize_weight"}
WHOLE = "standardize_input"


def masked(program: Program, numbers: Mapping[Value, Any]) -> Program:
    """The program with its masks there; ``numbers``: scalar constants."""
    for rule in (_after_batch_norm, _before_pools):
        known = _Known(program, numbers)
        program = dataclasses.replace(program, calls=list(rule(known)))
    return program


class _Known:
    """A program's calls, their makers and readers."""

    def __init__(self, program: Program, numbers: Mapping[Value, Any]) -> None:
        self.calls = program.calls
        self.numbers = numbers
        self.maker = {call.out: call for call in program.calls}
        self.readers: dict[Value, list[Call]] = {}
        for call in program.calls:
            for x in call.inputs:
                self.readers.setdefault(x, []).append(call)
        self.results = set(program.results())

    def made(self, value: Value, name: str) -> Call | None:
        call = self.maker.get(value)
        return call if call is not None and call.op.name == name else None

    def mask(self, product: Call) -> tuple[Value, Call, Call, Call] | None:
        """Of g * (relu(x) > 0): g, the ReLU, the comparison and its cast; nobody else reads
        these two."""
        for g, x in (product.inputs, product.inputs[::-1]) if product.op.name == "multiply" else ():
            cast = self.made(x, "cast")
            above = cast and self.made(cast.inputs[0], "greater")
            relu = above and self.made(above.inputs[0], "relu")
            if cast is None or above is None or relu is None:
                continue
            alone = all(self.only(made.out) is not None for made in (cast, above))
            return (
                (g, relu, above, cast) if alone and self.numbers.get(above.inputs[1]) == 0 else None
            )
        return None

    def only(self, value: Value) -> Call | None:
        """The one call that reads a value."""
        found = self.readers.get(value, [])
        return found[0] if len(found) == 1 and value not in self.results else None


def _after_batch_norm(known: _Known) -> Iterator[Call]:
    chains: dict[Value, list[Call]] = {}  # a mask, or a gradient → what computes it
    for product in known.calls:
        found = known.mask(product)
        norm = found and known.made(found[1].inputs[0], "standardize")
        if found is None or norm is None or product.out in known.results:
            continue
        _, _, above, cast = found
        names = [call.op.name for call in known.readers.get(product.out, [])]
        whole = [c for c in known.readers.get(product.out, []) if c.op.name == WHOLE]
        if len(whole) == 1 and {*names} - {WHOLE} <= SUMS and whole[0].inputs[1] is norm.inputs[0]:
            chains[above.out] = [norm, above]
            chains[product.out] = [norm, above, cast, product]
    for call in known.calls:
        if call.out in chains and call.op.name == "greater":
            yield from _again(chains[call.out], call.out)
        elif call.op.name == WHOLE and call.inputs[0] in chains:
            own = Value(call.inputs[0].spec)
            yield from _again(chains[call.inputs[0]], own)
            yield dataclasses.replace(call, inputs=(own, *call.inputs[1:]))
        else:
            yield call


def _again(chain: list[Call], out: Value) -> Iterator[Call]:
    """A batch norm, what compares its ReLU's result, and what follows, with results of their own;
    the last one is ``out``."""
    norm, above, *_ = chain
    made = {above.inputs[0]: Value(norm.out.spec)}
    yield dataclasses.replace(norm, out=made[above.inputs[0]])
    for call in chain[1:]:
        inputs = tuple(made.get(x, x) for x in call.inputs)
        made[call.out] = out if call is chain[-1] else Value(call.out.spec)
        yield dataclasses.replace(call, inputs=inputs, out=made[call.out])


def _before_pools(known: _Known) -> Iterator[Call]:
    moved: dict[Value, list[Call]] = {}  # the masked gradient → the calls that make it now
    small: dict[Value, Value] = {}  # → what is spread over its places
    gone: set[Value] = set()
    for product in known.calls:
        found = known.mask(product)
        back = found and known.made(found[0], "max_pool_input")
        if found is None or back is None or known.only(back.out) is None:
            continue
        _, relu, above, cast = found
        g, x, maxima = back.inputs
        if x is not relu.out:
            continue
        compared, share, kept = (
            Value(maxima.spec._replace(dtype=value.spec.dtype))
            for value in (above.out, cast.out, product.out)
        )
        moved[product.out] = [
            dataclasses.replace(above, inputs=(maxima, above.inputs[1]), out=compared),
            dataclasses.replace(cast, inputs=(compared,), out=share),
            dataclasses.replace(product, inputs=(g, share), out=kept),
            dataclasses.replace(back, inputs=(kept, x, maxima), out=product.out),
        ]
        small[product.out] = kept
        gone.update((back.out, above.out, cast.out))
    for call in known.calls:
        if call.out in moved:
            yield from moved[call.out]
        elif call.op.name == "sum_to" and call.inputs[0] in small and _over_places(call):
            yield dataclasses.replace(call, inputs=(small[call.inputs[0]],))
        elif call.out not in gone:
            yield call


def _over_places(call: Call) -> bool:
    """Whether all places of an image are summed up."""
    places = call.inputs[0].spec.ndim - 2
    return all(n == 1 for n in call.out.spec.shape[-places:])
