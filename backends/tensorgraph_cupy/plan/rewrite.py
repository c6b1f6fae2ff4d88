"""A recorded program in calls that launch functions take: views where strides can say it, copies
where elements have to be moved, results that nobody else writes to."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

from tensorgraph import Op, Shaped, Spec, ops
from tensorgraph.op import op
from tensorgraph.program import Call, Program, Value
from tensorgraph_cupy.kernels.matmul import is_matrix
from tensorgraph_cupy.kernels.view import View
from tensorgraph_cupy.plan.chains import Group, group_of, summable
from tensorgraph_cupy.plan.halves import ALIKE, FACTORS, HALF, Halves
from tensorgraph_cupy.plan.layout import Ints, Layout, same_order

COPIES = ("concatenate", "pad_constant")  # from one dtype of storage to another too
STRIDED = frozenset(("matmul", "laid", "reshape", "concatenate", "pad_constant", "scatter_add"))


@op
def laid(x: Shaped) -> Spec:
    """The same values in memory of their own, in the usual order of axes."""
    return Spec(x.shape, x.dtype)


laid.flops(lambda *_: 0)


@laid.kernel
def _(xp: Any, x: Any) -> Any:
    return xp.array(x)


class Rewriting:
    """The program as it becomes, how its values lie, and which calls chains may take."""

    def __init__(self, program: Program, *, halves: Halves | None) -> None:
        """``halves`` says what is stored as bfloat16."""
        self.program = dataclasses.replace(
            program,
            calls=[],
            outputs=list(program.outputs),
            assigned=dict(program.assigned),
            gradients=dict(program.gradients),
        )
        self.layout = Layout()
        self.groups: dict[Value, Group] = {}  # the result of a call → what chain may take it
        self.halves = halves
        self.storage: dict[Value, str] = {}  # where it is not the value's own dtype
        self._copies: dict[tuple[Value, str], Value] = {}
        self._views: dict[Value, Call] = {}  # views → what makes them
        self._first: list[Call] = []
        if halves is not None:
            self.storage |= dict.fromkeys(halves.arguments, HALF)
        self._scalars = {x for x in program.constants if x.spec.shape == ()}
        for call in program.calls:
            self._add(call)
        self._keep_results(program)
        self.program.calls[:0] = self._first

    def _call(self, op: Op[...], *inputs: Value, **params: Any) -> Value:
        made = Value(op.shape_rule(*[x.spec for x in inputs], **params))
        self.program.calls.append(Call(op, inputs, params, made))
        return made

    def _add(self, call: Call) -> None:
        if self.halves is not None:
            self.halves.follow(call)
        if self.layout.view(call):
            base = self.layout[call.out].root
            if base in self.storage:
                self.storage[call.out] = self.storage[base]
            self._views[call.out] = call
            self.program.calls.append(call)
            return
        group = group_of(call)
        if group is not None:
            axes = len(group.shape)
            inputs = tuple(self._operand(x, axes) for x in call.inputs)
            if group.kept is not None and not summable(group.shape, inputs, group.kept):
                inputs = tuple(self._operand(x, axes, spread=True) for x in call.inputs)
            call = dataclasses.replace(call, inputs=inputs)
            self.groups[call.out] = group
        else:
            inputs = self._stored(call)
            if call.op.name == "matmul":
                inputs = tuple(self._matrix(x) for x in inputs)
            elif call.op.name not in STRIDED:
                inputs = tuple(self._plain(x) for x in inputs)
            call = dataclasses.replace(call, inputs=inputs)
        if self.halves is not None and (kind := self.halves.stored(call)):
            self.storage[call.out] = kind
        elif self.halves is not None and HALF in map(self._kind, call.inputs) and _is_conv(call):
            made = Value(call.out.spec)  # the library's dtype is one for all three
            self.storage[made] = HALF
            self.program.calls.append(dataclasses.replace(call, out=made))
            call = Call(laid, (made,), {}, call.out)
        if call.op.name == "matmul" and call.out.spec.ndim > 3:
            self._add_batches(call)
            return
        self.program.calls.append(call)

    def _matrix(self, x: Value) -> Value:
        """What a product takes for a value: rows or columns that lie one after the other."""
        shape = x.spec.shape
        if len(shape) < 2 or is_matrix(View(0, shape, self.layout[x].strides, x.spec.dtype)):
            return x
        if len(shape) < 4:
            return self._copy(x, self._kind(x))
        one_batch = self._plain(self._reshape(x, (math.prod(shape[:-2]), *shape[-2:])))
        return self._reshape(one_batch, shape)

    def _add_batches(self, call: Call) -> None:
        """A product of four axes or more lies as one batch, of which its result is a view."""
        shape = call.out.spec.shape
        spec = Spec((math.prod(shape[:-2]), *shape[-2:]), call.out.spec.dtype)
        made = Value(spec)
        if call.out in self.storage:
            self.storage[made] = self.storage.pop(call.out)
        self.program.calls.append(dataclasses.replace(call, out=made))
        self._add(Call(ops.reshape, (made,), {"shape": shape}, call.out))

    def _reshape(self, x: Value, shape: Ints) -> Value:
        made = Value(Spec(shape, x.spec.dtype))
        if x in self.storage:
            self.storage[made] = self.storage[x]
        self._add(Call(ops.reshape, (x,), {"shape": shape}, made))
        return made

    def _stored(self, call: Call) -> tuple[Value, ...]:
        """The inputs of a call that is no chain's, stored in the dtype that its kernel takes."""
        if self.halves is None or call.op.name not in FACTORS + ALIKE or call.op.name in COPIES:
            return call.inputs
        kind = HALF if call.op.name in FACTORS else self.halves.stored(call) or "float32"
        return tuple(
            self._copy(x, kind) if x.spec.dtype == "float32" and self._kind(x) != kind else x
            for x in call.inputs
        )

    def _kind(self, x: Value) -> str:
        return self.storage.get(x, x.spec.dtype)

    def _plain(self, x: Value) -> Value:
        """A value, or a copy of it that lies as if its memory were its own."""
        return x if self.layout.is_plain(x) else self._copy(x, self._kind(x))

    def _copy(self, x: Value, kind: str) -> Value:
        """The value in memory of its own; in another storage, what it is seen in is, once for all
        that see the same."""
        key = x, kind
        if key not in self._copies:
            self._copies[key] = self._seen_again(x, kind) or self._stored_as(x, kind)
        return self._copies[key]

    def _stored_as(self, x: Value, kind: str) -> Value:
        chained = kind != self._kind(x) and self.layout.is_plain(x)
        made = self._call(ops.cast, x, dtype=x.spec.dtype) if chained else self._call(laid, x)
        if chained:
            self.groups[made] = Group(made.spec.shape)
        if kind != made.spec.dtype:
            self.storage[made] = kind
        return made

    def _seen_again(self, x: Value, kind: str) -> Value | None:
        """The same view of what it is a view of, in another storage."""
        call = self._views.get(x)
        if call is None or kind == self._kind(x) or call.inputs[0].spec.size != x.spec.size:
            return None
        made = Value(x.spec)
        again = dataclasses.replace(call, inputs=(self._copy(call.inputs[0], kind),), out=made)
        if not self.layout.view(again):
            return None
        self._views[made] = again
        self.program.calls.append(again)
        if kind != made.spec.dtype:
            self.storage[made] = kind
        return made

    def _operand(self, x: Value, axes: int, *, spread: bool = False) -> Value:
        """What a chain over so many axes reads for a value; ``spread``: with all elements that
        it is broadcast to."""
        if x in self._scalars:
            return x
        base = None if spread else self._before_broadcast(x)
        if base is not None and self.layout.is_plain(base) and same_order(base.spec.shape, axes):
            return base
        if not same_order(x.spec.shape, axes):
            x = self._reshape(x, (1,) * (axes - x.spec.ndim) + x.spec.shape)
        return self._plain(x)

    def _before_broadcast(self, x: Value) -> Value | None:
        for call in reversed(self.program.calls):
            if call.out is x:
                return call.inputs[0] if call.op.name == "broadcast_to" else None
        return None

    def _keep_results(self, program: Program) -> None:
        """Results lie plainly; what is returned is not where a tensor's new values go, and each
        assigned value is computed, for one tensor alone."""
        target = self.program
        made = {call.out for call in target.calls}
        written = {x for x, tensor in program.state.items() if tensor in program.assigned}

        def kept(x: Value, wrong: Callable[[Value], bool]) -> Value:
            root = self.layout.root(x)
            if not wrong(root) and self.layout.is_plain(x):
                return x
            count = len(target.calls)
            copied = self._call(laid, x)
            if root not in made:  # before anybody writes there
                self._first += [*self._views_to(x), *target.calls[count:]]
                del target.calls[count:]
            return copied

        target.outputs = [kept(x, lambda root: root in written) for x in program.outputs]
        target.gradients = {
            leaf: kept(x, lambda root: root in written) for leaf, x in program.gradients.items()
        }
        taken: set[Value] = set()
        for tensor, x in program.assigned.items():
            x = kept(x, lambda root: root not in made or root in taken)
            x = x if x not in self.layout.views else self._call(laid, x)
            taken.add(x)
            target.assigned[tensor] = x

    def _views_to(self, x: Value) -> Iterable[Call]:
        """Takes the calls out that make a view."""
        chain: list[Call] = []
        while x in self.layout.views:
            call = next(c for c in self.program.calls if c.out is x)
            self.program.calls.remove(call)
            chain.insert(0, call)
            (x,) = call.inputs
        return chain


def _is_conv(call: Call) -> bool:
    return call.op.name in ("conv", "conv_input", "conv_weight")


def with_turned_products(program: Program) -> Program:
    """A product that is only read transposed is computed so: xᵀ @ yᵀ for (y @ x)ᵀ."""
    return dataclasses.replace(program, calls=list(_turned(program)))


def _turned(program: Program) -> Iterable[Call]:
    readers = collections.Counter(x for call in program.calls for x in call.inputs)
    readers.update(program.results())
    makers = {call.out: call for call in program.calls}
    turned: dict[Value, Call] = {}  # product → the call that turns it
    for call in program.calls:
        maker = makers.get(call.inputs[0]) if call.op.name == "permute_dims" else None
        if maker is None or maker.op.name != "matmul" or readers[maker.out] > 1:
            continue
        ndim = call.out.spec.ndim
        swapped = (*range(ndim - 2), ndim - 1, ndim - 2)
        if call.params["axes"] == swapped and all(x.spec.ndim == ndim for x in maker.inputs):
            turned[maker.out] = call
    gone = {call.out for call in turned.values()}
    for call in program.calls:
        if call.out in turned:
            swap = turned[call.out]
            sides = []
            for x in reversed(call.inputs):
                side = Value(ops.permute_dims.shape_rule(x.spec, **swap.params))  # type: ignore[attr-defined]
                yield Call(swap.op, (x,), swap.params, side)
                sides.append(side)
            yield Call(call.op, tuple(sides), call.params, swap.out)
        elif call.out not in gone:
            yield call
