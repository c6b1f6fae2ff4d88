"""The backward pass of linear layers, done by their products: a ReLU's mask, which the forward
product leaves in bits, is applied to the gradient where that is computed, and a bias' gradient is
summed up by a product that reads or writes what is summed.
"""

from __future__ import annotations

from typing import Any

from tensorgraph import Shaped, Spec
from tensorgraph.op import op
from tensorgraph.program import Call, Value
from tensorgraph_cupy.lib.cublaslt import MASK_BITS, mask_bytes
from tensorgraph_cupy.plan.chains import Chained
from tensorgraph_cupy.plan.fusion import Fusion
from tensorgraph_cupy.plan.layout import Ints
from tensorgraph_cupy.plan.products import Besides
from tensorgraph_cupy.plan.tasks import Task

SUMMED: tuple[list[str], ...] = ([], ["sum_to"], ["sum"])
MASKED = ["greater", "cast", "multiply"]  # a gradient where a ReLU's result is above 0, else 0


@op
def relu_bits(x: Shaped) -> Spec:
    """A bit for each element of a matrix: whether it is above 0. The first is the lowest of a byte,
    and a row takes whole groups of bits."""
    return Spec((mask_bytes(*x.shape),), "uint8")


@relu_bits.kernel
def _(xp: Any, x: Any) -> Any:
    rows, columns = x.shape
    bits = xp.zeros((rows, -(-columns // MASK_BITS) * MASK_BITS), bool)
    bits[:, :columns] = x > 0
    return xp.packbits(bits, bitorder="little")


@op
def where_bits(x: Shaped, bits: Shaped) -> Spec:
    """A matrix where its bit is set, and 0 elsewhere."""
    return Spec(x.shape, x.dtype)


@where_bits.kernel
def _(xp: Any, x: Any, bits: Any) -> Any:
    rows, columns = x.shape
    return x * xp.unpackbits(bits, bitorder="little").reshape(rows, -1)[:, :columns]


def with_mask(work: Fusion, chain: Task) -> None:
    """(x @ y) * (h > 0), for the h = relu(a @ b + bias) of another product, and its sums."""
    names = [call.op.name for call in chain.calls]
    if not isinstance(chain, Chained) or names[:3] != MASKED or names[3:] not in SUMMED:
        return
    above, cast, product, *summing = chain.calls
    if product.inputs[0] is product.inputs[1]:
        return
    (g,), h, out = [x for x in product.inputs if x is not cast.out], above.inputs[0], product.out
    forward, back = work.maker(h), work.maker(g)
    whole = not {h, g} & work.layout.views.keys() and out in chain.outputs
    if not whole or work.readers[g] != 1 or work.numbers.get(above.inputs[1]) != 0:
        return
    if summing and summing[0].inputs != (out,):
        return
    if forward is None or not work.is_multiplied(forward, ["matmul"], "bias_relu"):
        return
    if back is None or not work.is_multiplied(back, ["matmul"], "none"):
        return
    bits = Value(relu_bits.shape_rule(h.spec))
    leave = [*forward.calls[1:], Call(relu_bits, (h,), {}, bits)]
    besides = Besides("bias_relu_mask", work.besides[forward].vector, bits)
    leaving = work.multiplied(forward, leave, [h, bits], besides)
    apply = Call(where_bits, (g, bits), {}, out)
    applying = None
    if summing and chain.kept == (1, out.spec.shape[1]):
        (sums,) = summing
        besides = Besides("masked_sums", sums.out, bits)
        applying = work.multiplied(back, [apply, sums], [out, sums.out], besides)
    both = applying is not None
    applying = applying or work.multiplied(back, [apply], [out], Besides("masked", mask=bits))
    if leaving is None or applying is None:
        return
    work.tasks[work.tasks.index(forward)] = leaving
    work.replace(back, chain, applying, at=chain)
    if summing and not both:  # with_sums may take it
        alone = work.chained(summing, chain.outputs)
        work.tasks.insert(work.tasks.index(applying) + 1, alone)


def with_sums(work: Fusion, chain: Task) -> None:
    """The sum over the rows of a matrix by a product that goes along them: gᵀ @ x or x @ g."""
    names = [call.op.name for call in chain.calls]
    if not isinstance(chain, Chained) or names not in (["sum_to"], ["sum"]):
        return
    (call,), ((g,), sums) = chain.calls, (chain.calls[0].inputs, chain.calls[0].out)
    if g.spec.ndim != 2 or chain.kept != (1, g.spec.shape[1]):
        return
    as_is = root, shape, strides = _lies(work, g)
    turned = root, shape[::-1], strides[::-1]
    for task in work.tasks:
        if not work.is_multiplied(task, ["matmul"], "none"):
            continue
        x, y = task.calls[0].inputs
        if _lies(work, x) == turned:
            name = "x_sums"
        elif _lies(work, y) == as_is:
            name = "y_sums"
        else:
            continue
        at = work.meet(chain, task)
        made = work.multiplied(task, [call], [task.outputs[0], sums], Besides(name, sums))
        if at is not None and made is not None:
            work.replace(chain, task, made, at=at)
            return


def _lies(work: Fusion, value: Value) -> tuple[Value, Ints, Ints]:
    """Whose memory it is, all of it, and how it goes through that."""
    seen = work.layout[value]
    return seen.root, value.spec.shape, seen.strides
