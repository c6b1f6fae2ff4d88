"""Less work for the same results: nothing is computed twice, and nothing that nobody reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tensorgraph.program import Program, Value


def simplified(program: Program) -> Program:
    """The same program without what is computed twice, and without what nobody reads."""
    kept: dict[Any, Value] = {}  # what a call computes → its first result
    same: dict[Value, Value] = {}
    numbers: dict[Any, Value] = {}
    for value, x in program.constants.items():
        if x.shape == ():
            same[value] = numbers.setdefault((x.spec, x.backend, repr(x.data)), value)
    calls = []
    for call in program.calls:
        inputs = tuple(same.get(x, x) for x in call.inputs)
        key = (call.op, inputs, _key(call.params))
        if key in kept:
            same[call.out] = kept[key]
            continue
        kept[key] = call.out
        calls.append(dataclasses.replace(call, inputs=inputs))
    new = dataclasses.replace(
        program,
        assigned={tensor: same.get(x, x) for tensor, x in program.assigned.items()},
        gradients={leaf: same.get(x, x) for leaf, x in program.gradients.items()},
        outputs=[same.get(x, x) for x in program.outputs],
    )
    read = set(new.results())
    new.calls = []
    for call in reversed(calls):
        if call.out in read:
            new.calls.append(call)
            read.update(call.inputs)
    new.calls.reverse()
    new.constants = {value: x for value, x in program.constants.items() if value in read}
    new.state = {value: x for value, x in program.state.items() if value in read}
    return new


def _key(params: Mapping[str, Any]) -> Any:
    """Parameters to compare calls by; those that cannot be hashed are equal only to themselves."""
    key = tuple((name, type(value), value) for name, value in params.items())
    try:
        hash(key)
    except TypeError:
        return id(params)
    return key
