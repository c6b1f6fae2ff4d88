"""What a recorded step is spared before it is planned: repetitions, unread values, constants."""

import numpy as np
import pytest
from tensorgraph_numpy.plan.split import ELEMENTWISE
from tensorgraph_walks.elementwise import is_elementwise
from tensorgraph_walks.record import record
from tensorgraph_walks.simplify import simplified

import tensorgraph as tg

ops = tg.ops


def leaf(*shape):
    x = np.random.default_rng(0).standard_normal(shape)
    return tg.tensor(x, dtype="float64", requires_grad=True)


def calls(step, *arguments):
    return [call.op.name for call in simplified(record(step, *arguments)).calls]


def test_calls_of_constants_are_computed_when_they_are_recorded():
    """The gradient of a sum begins with a matrix of ones, of which nothing is left."""
    w = leaf(300, 200)

    def step(x):
        loss = ops.sum((x * w) * 3.0, axis=(0, 1))
        return loss, *tg.grad(loss, [w])

    x = leaf(300, 200).detach()
    program = simplified(record(step, x))
    assert [call.op.name for call in program.calls] == ["multiply", "multiply", "sum", "multiply"]
    assert {c.spec.shape for c in program.constants} == {()}
    for got, want in zip(tg.compile(step)(x), step(x), strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())


def test_a_constant_that_gives_its_shape_to_a_result_stays():
    def step(x):
        return x + ops.broadcast_to(ops.literal(values=2.0, dtype="float32"), shape=(3,))

    np.testing.assert_array_equal(tg.compile(step)(tg.tensor(1.0)).numpy(), [3.0, 3.0, 3.0])


@pytest.mark.parametrize("name", ["multiply", "divide", "cast"])
def test_arithmetic_that_changes_nothing(name, compiler):
    def step(x):
        y = ops.cast(x, dtype="float64") if name == "cast" else getattr(ops, name)(x, 1.0)
        return ops.exp(y), y

    def inner(x):
        return step(x)[0]

    x = tg.tensor([[1.0, -0.0, np.nan, np.inf]], dtype="float64")
    assert calls(inner, x) == ["exp"]
    assert calls(step, x) == [name, "exp"]  # a result of its own
    for got, want in zip(tg.compile(step)(x), step(x), strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())


def test_arithmetic_that_gives_another_shape_dtype_or_number_stays():
    x, row = tg.tensor([[1.0], [2.0]]), tg.tensor([1.0, 1.0])
    assert calls(lambda x: ops.exp(x * row), x) == ["multiply", "exp"]  # state, which may change
    assert calls(lambda x: ops.exp(ops.cast(x, dtype="float64")), x) == ["cast", "exp"]
    assert calls(lambda x: ops.exp(1.0 / x), x) == ["divide", "exp"]
    assert calls(lambda x: ops.exp(x + 0.0), x) == ["add", "exp"]  # -0.0 + 0.0 is 0.0


def test_a_tensor_that_may_change_is_no_constant(compiler):
    scale = tg.tensor(1.0)
    step = tg.compile(lambda x: ops.exp(x * scale))
    x = tg.tensor([0.0, 1.0])
    step(x)
    scale.data = tg.tensor(2.0).data
    np.testing.assert_allclose(step(x).numpy(), np.exp([0.0, 2.0]), rtol=1e-6)


def test_the_same_call_runs_once():
    assert calls(lambda x: ops.exp(x) * 2.0 + ops.exp(x) * 2.0, leaf(3)) == [
        "exp",
        "multiply",
        "add",
    ]


def test_elementwise_ops_are_known_by_their_declaration():
    all_ops = [x for x in (getattr(ops, name) for name in dir(ops)) if isinstance(x, tg.Op)]
    known = {op.name for op in all_ops if is_elementwise(op)}
    assert {"add", "relu", "erf", "where", "clip", "cast", "isfinite", "atan"} <= known
    assert not known & {"sum", "matmul", "softmax", "cumsum", "drop", "conv", "reshape", "flip"}
    assert known == ({op.name for op in all_ops} & ELEMENTWISE) - {
        "standardize",  # of whole images: ``average`` is that of ``x``
        "standardize_input",
    }
