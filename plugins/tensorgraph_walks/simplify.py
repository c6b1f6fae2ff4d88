"""Less work for the same results: nothing is computed twice, nothing that nobody reads, and no
arithmetic that changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tensorgraph.program import Call, Program, Value
from tensorgraph.spec import Spec
from tensorgraph.tensor import Number, Tensor
from tensorgraph_walks.elementwise import is_elementwise
from tensorgraph_walks.trim import trimmed


def simplified(program: Program) -> Program:
    """The same program without what is computed twice, and without what nobody reads. Calls of
    constants have been computed when they were recorded, and are constants."""
    return trimmed(_without_unread(_without_repeated(program)))


def _without_repeated(program: Program) -> Program:
    """Each call once, and constants that are the same all over as numbers."""
    kept: dict[Any, Value] = {}  # what a call computes → its first result
    same: dict[Value, Value] = {}
    constants = _Constants(program)
    results = set(program.results())
    calls = []
    for call in program.calls:
        inputs = tuple(same.get(x, x) for x in call.inputs)
        call = constants.as_numbers(dataclasses.replace(call, inputs=inputs))
        unchanged = constants.unchanged(call)
        if unchanged is not None and call.out not in results:
            same[call.out] = unchanged
            continue
        key = (call.op, call.inputs, _key(call.params))
        if key in kept:
            same[call.out] = kept[key]
            continue
        kept[key] = call.out
        calls.append(call)
    return dataclasses.replace(
        program,
        constants=constants.all,
        calls=calls,
        assigned={tensor: same.get(x, x) for tensor, x in program.assigned.items()},
        gradients={leaf: same.get(x, x) for leaf, x in program.gradients.items()},
        outputs=[same.get(x, x) for x in program.outputs],
    )


def _without_unread(program: Program) -> Program:
    read = set(program.results())
    calls = []
    for call in reversed(program.calls):
        if call.out in read:
            calls.append(call)
            read.update(call.inputs)
    return dataclasses.replace(
        program,
        calls=calls[::-1],
        constants={value: x for value, x in program.constants.items() if value in read},
        state={value: x for value, x in program.state.items() if value in read},
    )


class _Constants:
    """The constants of a program: ``all`` of them, and numbers in their place."""

    def __init__(self, program: Program) -> None:
        self.all = dict(program.constants)
        self._numbers: dict[Any, Value] = {}  # what a number is → its first value
        self._uniform: dict[Value, Value | None] = {}  # constants → the number they are all over

    def _number(self, value: Value, x: Tensor) -> Value:
        """The first value of an equal number."""
        return self._numbers.setdefault((x.spec, x.backend, repr(x.data)), value)

    def _of(self, value: Value) -> Value | None:
        """The number that a constant is all over."""
        if value not in self._uniform:
            x = self.all.get(value)
            self._uniform[value] = None if x is None or not x.size else self._uniform_of(value, x)
        return self._uniform[value]

    def _uniform_of(self, value: Value, x: Tensor) -> Value | None:
        if x.shape == ():
            return self._number(value, x)
        host = x.backend.to_host(x.data)
        host = host[tuple(slice(None) if step else slice(1) for step in host.strides)]
        if host.tobytes() != host.flat[0].tobytes() * host.size:
            return None
        spec = Spec((), x.dtype)
        number = Number(x.backend.asarray(host.flat[0], x.dtype), x.backend, spec)
        made = self._number(Value(spec), number)
        self.all.setdefault(made, number)
        return made

    def as_numbers(self, call: Call) -> Call:
        """The call with numbers in the place of constants that are the same all over, such as what
        a gradient starts from; those that give the output its shape stay."""
        numbers = [self._of(x) for x in call.inputs]
        if not any(numbers):
            return call
        wide = any(
            number is None and x.spec.shape == call.out.spec.shape
            for x, number in zip(call.inputs, numbers)
        )
        wide = wide and is_elementwise(call.op)
        inputs = [
            number if number is not None and (wide or x.spec.shape == ()) else x
            for x, number in zip(call.inputs, numbers)
        ]
        return dataclasses.replace(call, inputs=tuple(inputs))

    def unchanged(self, call: Call) -> Value | None:
        """The input that is the output too: times one, or cast to the dtype that it has."""
        if call.op.name == "cast" or (call.op.name == "divide" and self._is_one(call.inputs[1])):
            x = call.inputs[0]
        elif call.op.name == "multiply" and any(map(self._is_one, call.inputs)):
            x = call.inputs[self._is_one(call.inputs[0])]
        else:
            return None
        return x if x.spec == call.out.spec else None

    def _is_one(self, value: Value) -> bool:
        number = self._of(value)
        if number is None:
            return False
        x = self.all[number]
        return x.dtype != "bool" and bool(x.backend.to_host(x.data) == 1)


def _key(params: Mapping[str, Any]) -> Any:
    """Parameters to compare calls by; those that cannot be hashed are equal only to themselves."""
    key = tuple((name, type(value), value) for name, value in params.items())
    try:
        hash(key)
    except TypeError:
        return id(params)
    return key
