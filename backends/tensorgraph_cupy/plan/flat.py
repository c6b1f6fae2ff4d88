"""Feature maps flattened for a linear layer, without moving them.

Memory is channels last, and a flattened map counts channel by channel: to flatten is to copy. But
the weights that multiply it may lie in any order that the map has too. So such weights, and all
that goes along with them element by element (their gradient, an optimizer's memory), are held as if
they were maps, (outputs, C, H, W); a product takes both as they lie, and nothing is copied.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tensorgraph import Op, Spec, ops
from tensorgraph.program import Call, Program, Value
from tensorgraph_cupy.kernels.space import order_of
from tensorgraph_cupy.plan.chains import group_of
from tensorgraph_cupy.plan.layout import Ints

Map = Ints  # the sizes of a map: (C, H, W)
_RESHAPE: Any = ops.reshape
_PERMUTE: Any = ops.permute_dims


def unflattened(program: Program) -> Program:
    """The program, with maps and what goes along with them as they lie."""
    found = _Found(program)
    return _Maps(program, found).program if found.maps else program


class _Found:
    """maps  the matrices whose rows are to be maps: those that are flattened, the weights that
    they are multiplied with, and what is made of these element by element → the maps' sizes"""

    def __init__(self, program: Program) -> None:
        self.maps: dict[Value, Map] = {}
        self.turned = {call.out: call.inputs[0] for call in program.calls if _turns(call)}
        self.states = set(program.state)
        self.free = self.states | {call.out for call in program.calls if _along(call)}
        for call in program.calls:
            if call.op.name == "reshape" and _flattens(call):
                self.maps[call.out] = call.inputs[0].spec.shape[1:]
        before = 0
        while self.maps and len(self.maps) != before:
            before = len(self.maps)
            for call in program.calls:
                self._look_at(call)

    def _look_at(self, call: Call) -> None:
        maps = self.maps
        if call.op.name == "matmul" and call.out.spec.ndim == 2:
            (x, across), (y, turned) = map(self.base, call.inputs)
            if turned and not across and x in maps and y in self.states:
                maps[y] = maps[x]  # x @ w.T
            elif not turned and y in maps:
                maps[call.out] = maps[y]  # g.T @ x, g @ w
        elif _along(call):
            alike = [x for x in (*call.inputs, call.out) if x.spec.shape == call.out.spec.shape]
            sizes = {maps[x] for x in alike if x in maps}
            if len(sizes) == 1:
                size = sizes.pop()
                maps |= {x: size for x in alike if x in self.free}

    def base(self, x: Value) -> tuple[Value, bool]:
        """What a matrix is, but for being transposed, and whether it is."""
        odd = False
        while x in self.turned:
            x, odd = self.turned[x], not odd
        return x, odd


def _flattens(call: Call) -> bool:
    (x,), out = call.inputs, call.out.spec.shape
    n, *sizes = x.spec.shape or (0,)
    several = len(sizes) > 1 and sizes[0] > 1 and math.prod(sizes[1:]) > 1
    return several and out == (n, math.prod(sizes))


def _turns(call: Call) -> bool:
    return call.op.name == "permute_dims" and call.params["axes"] == (1, 0)


def _along(call: Call) -> bool:
    """Whether it goes element by element over matrices and numbers."""
    group, shape = group_of(call), call.out.spec.shape
    drops = call.op.name == "drop"
    plain = drops or (group is not None and group.kept is None)
    read = call.inputs[:1] if drops else call.inputs
    return plain and len(shape) == 2 and all(x.spec.shape in (shape, ()) for x in read)


class _Maps:
    """The program as it becomes."""

    def __init__(self, program: Program, found: _Found) -> None:
        self.found = found
        self.maps: dict[Value, Value] = {}  # matrices → the maps that they are
        self._flat: dict[Value, Value] = {}  # → their elements in the usual order
        self.calls: list[Call] = []
        state = {self._state(x): tensor for x, tensor in program.state.items()}
        for call in program.calls:
            self._add(call)
        held = {t: found.maps[x] for x, t in program.state.items() if x in found.maps}
        self.program = dataclasses.replace(
            program,
            state=state,
            calls=self.calls,
            assigned={
                tensor: self.map(x, held[tensor]) if tensor in held else self.flat(x)
                for tensor, x in program.assigned.items()
            },
            outputs=[self.flat(x) for x in program.outputs],
            gradients={leaf: self.flat(x) for leaf, x in program.gradients.items()},
        )

    def _call(self, op: Op[...], *inputs: Value, **params: Any) -> Value:
        made = Value(op.shape_rule(*[x.spec for x in inputs], **params))
        self.calls.append(Call(op, inputs, params, made))
        return made

    def _state(self, x: Value) -> Value:
        size = self.found.maps.get(x)
        if size is None:
            return x
        self.maps[x] = Value(Spec((x.spec.shape[0], *size), x.spec.dtype))
        return self.maps[x]

    def map(self, x: Value, size: Map) -> Value:
        """A matrix as maps."""
        if x not in self.maps:
            shape = (x.spec.shape[0], *size)
            self.maps[x] = self._call(_RESHAPE, self.flat(x), shape=shape)
        return self.maps[x]

    def rows(self, x: Value) -> Value:
        """A matrix with the elements of each row in the order in which those of a map lie."""
        made = self.map(x, self.found.maps[x])
        last = self._call(_PERMUTE, made, axes=order_of(made.spec.ndim))
        return self._call(_RESHAPE, last, shape=x.spec.shape)

    def flat(self, x: Value) -> Value:
        """A value in the usual order."""
        if x not in self._flat and x in self.maps:
            self._flat[x] = self._call(_RESHAPE, self.maps[x], shape=x.spec.shape)
        elif x not in self._flat and x in self.found.turned and self._is_map(x):
            self._flat[x] = self._call(_PERMUTE, self.flat(self.found.turned[x]), axes=(1, 0))
        return self._flat.get(x, x)

    def _is_map(self, x: Value) -> bool:
        return self.found.base(x)[0] in self.found.maps

    def _add(self, call: Call) -> None:
        name, maps = call.op.name, self.found.maps
        if name == "reshape" and call.out in maps:
            self.maps[call.out] = self.flat(call.inputs[0])
        elif name == "reshape" and call.inputs[0] in self.maps:
            made = self.maps[call.inputs[0]]
            same = made.spec.shape == call.out.spec.shape
            self._put(call, made if same else self.flat(call.inputs[0]))
        elif name == "matmul" and call.out in maps:
            left, (right, _) = self.flat(call.inputs[0]), self.found.base(call.inputs[1])
            made = self._call(call.op, left, self.rows(right))
            channels, *places = maps[call.out]
            shape = (made.spec.shape[0], *places, channels)
            back = (0, len(shape) - 1, *range(1, len(shape) - 1))
            lies = self._call(_RESHAPE, made, shape=shape)
            self.maps[call.out] = self._call(_PERMUTE, lies, axes=back)
        elif name == "matmul" and self._contracts(call):
            x, w = (self.rows(self.found.base(x)[0]) for x in call.inputs)
            self._put(call, x, self._call(_PERMUTE, w, axes=(1, 0)))
        elif call.out in maps:
            inputs = [
                self.map(x, maps[call.out]) if x.spec.shape == call.out.spec.shape else x
                for x in call.inputs
            ]
            self.maps[call.out] = self._call(call.op, *inputs, **call.params)
        elif name == "sum" and call.inputs[0] in self.maps and call.params["axis"] == (0, 1):
            x = self.maps[call.inputs[0]]
            made = self._call(call.op, x, axis=tuple(range(x.spec.ndim)), keepdims=False)
            self._put(
                dataclasses.replace(call, op=_RESHAPE, params={"shape": call.out.spec.shape}), made
            )
        elif not (_turns(call) and self._is_map(call.inputs[0])):
            self._put(call, *map(self.flat, call.inputs))

    def _put(self, call: Call, *inputs: Value) -> None:
        self.calls.append(dataclasses.replace(call, inputs=inputs))

    def _contracts(self, call: Call) -> bool:
        """x @ w.T of maps of the same size."""
        (x, across), (y, turned) = map(self.found.base, call.inputs)
        maps = self.found.maps
        return turned and not across and x in maps and maps[x] == maps.get(y)
