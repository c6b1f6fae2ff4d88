"""What shape ops and matrix products say when shapes do not fit, and norms at 0."""

import math

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.errors import DtypeError, ShapeError

ops = tg.ops

WRONG = [
    (lambda x: ops.reshape(x, shape=(5, 2)), ["reshape", "float64[3,4]", "12 elements", "[5, 2]"]),
    (lambda x: ops.reshape(x, shape=(5, -1)), ["[5, -1]", "-1", "divide"]),
    (lambda x: ops.reshape(x, shape=(-1, -1)), ["[-1, -1]", "one size"]),
    (lambda x: ops.reshape(x[:0], shape=(0, -1)), ["[0, -1]", "0 elements"]),
    (lambda x: ops.permute_dims(x, axes=(0, 0)), ["permute_dims", "[0, 0]", "float64[3,4]"]),
    (lambda x: ops.broadcast_to(x, shape=(3, 3)), ["broadcast_to", "float64[3,4]", "[3, 3]"]),
    (lambda x: ops.broadcast_to(x, shape=(4,)), ["broadcast_to", "float64[3,4]", "[4]"]),
    (lambda x: ops.sum_to(x, shape=(2, 4)), ["sum_to", "[2, 4]", "float64[3,4]"]),
    (lambda x: ops.squeeze(x, axis=0), ["squeeze", "axis 0", "float64[3,4]", "size 1"]),
    (lambda x: ops.squeeze(x, axis=2), ["squeeze", "axis 2"]),
    (lambda x: ops.expand_dims(x, axis=4), ["expand_dims", "axis 4"]),
    (lambda x: ops.expand_dims(x, axis=(0, 0)), ["expand_dims", "(0, 0)", "twice"]),
    (lambda x: ops.concat([]), ["concat", "empty", "at least one"]),
    (lambda x: ops.concat([x, x[:, :2]]), ["concat", "axis 0", "float64[3,4], float64[3,2]"]),
    (lambda x: ops.concat([x, x[0]]), ["concat", "float64[3,4], float64[4]"]),
    (lambda x: ops.concat([x], axis=2), ["concat", "axis 2", "float64[3,4]"]),
    (lambda x: ops.stack([x, x[0]]), ["stack", "one shape", "float64[3,4], float64[4]"]),
    (lambda x: ops.stack([]), ["stack", "none"]),
    (lambda x: ops.pad(x, -1), ["pad", "pad_width -1", "float64[3,4]", "none of them negative"]),
    (lambda x: ops.pad(x, ((1, 1),) * 3), ["pad", "float64[3,4]", "pair for each axis"]),
    (lambda x: ops.pad(x, (1, 2, 3)), ["pad", "(1, 2, 3)"]),
    (lambda x: ops.pad(x, 1, mode="wrap"), ["pad", "'wrap'", "constant, edge, reflect"]),
    (lambda x: ops.pad(x[:0], 1, mode="edge"), ["pad", "axis 0", "float64[0,4]", "empty"]),
    (lambda x: ops.tile(x, (2, -1)), ["tile", "[2, -1]", "negative"]),
    (lambda x: ops.roll(x, (1, 2), axis=0), ["roll", "2 shifts", "1 axes"]),
    (lambda x: x @ x, ["matmul", "x has 4 columns", "y 3 rows", "x float64[3,4], y float64[3,4]"]),
    (lambda x: x @ x[0, 0], ["matmul", "x float64[3,4], y float64[]", "use *"]),
    (lambda x: ops.matmul(x[None][[0, 0]], x.T[None][[0, 0, 0]]), ["matmul", "cannot broadcast"]),
    (lambda x: ops.einsum("ij", x, x), ["einsum", "1 terms for 2 operands", "'ij'"]),
    (lambda x: ops.einsum("ijk", x), ["einsum", "'ijk'", "float64[3,4]"]),
    (lambda x: ops.einsum("i", x), ["einsum", "'i' does not fit", "float64[3,4]"]),
    (lambda x: ops.einsum("ij,ij", x, x.T), ["label 'i' has sizes 3 and 4", "float64[4,3]"]),
    (lambda x: ops.einsum("ij->ik", x), ["einsum", "'ij->ik'", "output"]),
    (lambda x: ops.einsum("ij->ii", x), ["einsum", "output"]),
    (lambda x: ops.einsum("...j->j", x), ["einsum", "output"]),
    (lambda x: ops.einsum("i1", x), ["einsum", "letters"]),
    (lambda x: ops.norm(x, ord=3), ["norm", "ord 3", "1, 2 or inf"]),
]


@pytest.mark.parametrize(("call", "words"), WRONG)
def test_errors_name_the_op_the_shapes_and_the_way_out(call, words):
    with pytest.raises(ShapeError) as caught:
        call(tg.tensor(np.zeros((3, 4))))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("call", [lambda x, y: ops.concat([x, y]), lambda x, y: x @ y])
def test_dtypes_do_not_mix(call):
    x = tg.tensor(np.zeros((2, 2)))
    with pytest.raises(DtypeError, match=r"float64\[2,2\] and float32\[2,2\]; cast one"):
        call(x, ops.cast(x, dtype="float32"))


def test_the_gradient_of_a_norm_at_zero_is_zero(backend):
    for order in (1, 2):
        x = tg.tensor(np.zeros((2, 3)), requires_grad=True)
        (g,) = tg.grad(ops.norm(x, ord=order), [x], create_graph=True)
        assert g.numpy().tolist() == np.zeros((2, 3)).tolist()
    rows = tg.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    out = ops.norm(rows, axis=1)
    assert out.numpy().tolist() == [0, 5]
    out.sum().backward()
    np.testing.assert_allclose(rows.grad.numpy(), [[0, 0], [0.6, 0.8]], rtol=1e-6)


def test_a_batch_times_one_matrix_is_one_product_in_the_gradient():
    """A gradient for each of the batch, summed afterwards, would take the memory of all."""
    x, w = (tg.tensor(np.ones(s), requires_grad=True) for s in [(5, 4, 3), (3, 2)])
    made = []

    class Sizes(tg.config.Listener):
        def op(self, op, inputs, params, out):
            made.append(out.shape)

    with tg.config.listen(Sizes()):
        (x @ w).backward(tg.tensor(np.ones((5, 4, 2))))
    assert (5, 3, 2) not in made
    np.testing.assert_allclose(w.grad.numpy(), np.full((3, 2), 20.0))


def test_flops_of_a_product_count_multiplications_and_additions():
    x, y = tg.Spec((5, 4, 3)), tg.Spec((3, 2))
    assert ops.matmul.count_flops(tg.Spec((5, 4, 2)), x, y) == 2 * 5 * 4 * 3 * 2


def test_einsum_works_on_specs_alone():
    x = tg.Tensor(None, tg.backend.ABSTRACT, tg.Spec((2, 8, 5, 4)))
    assert ops.einsum("bhqd,bhkd->bhqk", x, x).shape == (2, 8, 5, 5)
    assert ops.norm(x, axis=(1, 2), ord=math.inf).shape == (2, 4)


@pytest.mark.parametrize("correction", [0, 1])
def test_the_gradient_of_a_deviation_at_zero_is_zero_as_in_pytorch(correction):
    torch = pytest.importorskip("torch")
    rows = [[1.0, 1.0, 1.0], [1.0, 2.0, 4.0]]
    x, theirs = tg.tensor(rows, requires_grad=True), torch.tensor(rows, requires_grad=True)
    ops.std(x, axis=1, correction=correction).sum().backward()
    theirs.std(dim=1, correction=correction).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), theirs.grad.numpy(), rtol=1e-5)
