"""What elementwise ops, reductions, activations and losses refuse, and what they say."""

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import DtypeError, ShapeError

ops = tg.ops


def of(dtype, *shape):
    """A tensor of that dtype without values: errors are found before there are any."""
    return tg.Tensor(None, ABSTRACT, tg.Spec(shape, dtype))


X, Y = of("float32", 2, 3), of("float32", 4)
LABELS, INTEGERS, BITS = of("int64", 2), of("int32", 3), of("bool", 3)

REFUSED = [
    (
        lambda: ops.add(X, Y),
        ShapeError,
        "add: cannot broadcast float32[2,3] with float32[4]",
    ),
    (
        lambda: X * of("float64", 3),
        DtypeError,
        "multiply: dtypes differ: float32[2,3] and float64[3]; cast one: "
        "tg.ops.cast(x, dtype='float32')",
    ),
    (
        lambda: ops.cross_entropy(X, [0, 1]),
        TypeError,
        "cross_entropy: takes tensors, not list; wrap it: tg.tensor(…)",
    ),
    (
        lambda: ops.mse_loss(X, 1.0),
        TypeError,
        "mse_loss: takes tensors, not float; wrap it: tg.tensor(…)",
    ),
    (
        lambda: ops.exp(INTEGERS),
        DtypeError,
        "exp: needs floating point, not int32[3]; cast it: tg.ops.cast(x, dtype='float32')",
    ),
    (
        lambda: INTEGERS / INTEGERS,
        DtypeError,
        "divide: needs floating point, not int32[3]; cast it: tg.ops.cast(x, dtype='float32')",
    ),
    (
        lambda: -BITS,
        DtypeError,
        "negative: needs numbers, not bool[3]; cast it: tg.ops.cast(x, dtype='float32')",
    ),
    (
        lambda: ops.logical_and(BITS, INTEGERS),
        DtypeError,
        "logical_and: needs bool, not bool[3] and int32[3]; compare first: x != 0",
    ),
    (
        lambda: ops.where(X, X, X),
        DtypeError,
        "where: needs bool, not float32[2,3]; compare first: x != 0",
    ),
    (
        lambda: ops.clip(X, min=2, max=1),
        ShapeError,
        "clip: min 2.0 and max 1.0 bound nothing; give min <= max, or one",
    ),
    (
        lambda: ops.clip(INTEGERS, max=1.5),
        DtypeError,
        "clip: int32[3] cannot be held between None and 1.5; cast it: "
        "tg.ops.cast(x, dtype='float32')",
    ),
    (
        lambda: ops.cast(X, dtype="float23"),
        DtypeError,
        "cast: dtype 'float23' is not one of bool, int8, int16, int32, int64, uint8, uint16, "
        "uint32, uint64, float16, float32, float64",
    ),
    (lambda: ops.sum(X, axis=2), ShapeError, "sum: axis 2 does not fit float32[2,3]"),
    (lambda: ops.max(X, axis=(0, -2)), ShapeError, "max: axis (0, -2) does not fit float32[2,3]"),
    (
        lambda: ops.max(of("float32", 0, 3), axis=0),
        ShapeError,
        "max: float32[0,3] has no elements along axis 0, and the max of nothing is undefined",
    ),
    (
        lambda: ops.argmin(of("float32", 0)),
        ShapeError,
        "argmin: float32[0] has no elements along axis 0, and the argmin of nothing is undefined",
    ),
    (
        lambda: ops.mean(INTEGERS),
        DtypeError,
        "mean: needs floating point, not int32[3]; cast it: tg.ops.cast(x, dtype='float32')",
    ),
    (
        lambda: ops.all(X),
        DtypeError,
        "all: needs bool, not float32[2,3]; compare first: x != 0",
    ),
    (
        lambda: ops.cumsum(X, axis=5),
        ShapeError,
        "cumsum: axis 5 does not fit float32[2,3]",
    ),
    (
        lambda: ops.softmax(X, axis=2),
        ShapeError,
        "softmax: axis 2 does not fit float32[2,3]",
    ),
    (
        lambda: ops.gelu(X, approximate="erf"),
        ShapeError,
        "gelu: approximate 'erf' is neither 'none' nor 'tanh'",
    ),
    (
        lambda: ops.mse_loss(of("float32", 8, 1), of("float32", 8)),
        ShapeError,
        "mse_loss: predictions float32[8,1] and targets float32[8] differ in shape; reshape one: "
        "tg.ops.reshape(target, shape=(8, 1))",
    ),
    (
        lambda: ops.binary_cross_entropy_with_logits(INTEGERS, INTEGERS),
        DtypeError,
        "binary_cross_entropy_with_logits: needs floating point, not int32[3]; cast it: "
        "tg.ops.cast(x, dtype='float32')",
    ),
    (
        lambda: ops.l1_loss(X, X, reduction="average"),
        ShapeError,
        "l1_loss: reduction 'average' is not one of mean, sum, none",
    ),
    (
        lambda: ops.cross_entropy(X, of("float32", 2)),
        DtypeError,
        "cross_entropy: class labels are integers, not float32[2]; cast them: "
        "tg.ops.cast(target, dtype='int64'); probabilities have the shape of the scores, "
        "float32[2,3]",
    ),
    (
        lambda: ops.nll_loss(X, X),
        DtypeError,
        "nll_loss: class labels are integers, not float32[2,3]; cast them: "
        "tg.ops.cast(target, dtype='int64')",
    ),
    (
        lambda: ops.cross_entropy(X, of("int64", 2, 1)),
        ShapeError,
        "cross_entropy: scores float32[2,3] need labels of shape [2], not int64[2,1]; reshape "
        "them: tg.ops.reshape(target, shape=(2,))",
    ),
    (
        lambda: ops.cross_entropy(X, LABELS, weight=Y),
        ShapeError,
        "cross_entropy: weight float32[4] is not one number for each of the 3 classes of "
        "float32[2,3]",
    ),
    (
        lambda: ops.cross_entropy(of("float32"), of("int64")),
        ShapeError,
        "cross_entropy: the scores float32[] have no classes; give (C,) or (N, C, …)",
    ),
    (
        lambda: ops.cross_entropy(X, LABELS, label_smoothing=1.5),
        ShapeError,
        "cross_entropy: label_smoothing 1.5 is not within 0 … 1",
    ),
]


@pytest.mark.parametrize(
    ("mistake", "error", "message"), REFUSED, ids=[m[:40] for *_, m in REFUSED]
)
def test_a_mistake_is_named_with_its_values_and_the_way_out(mistake, error, message):
    with pytest.raises(error) as caught:
        mistake()
    assert str(caught.value) == message


def test_a_label_that_is_no_class_makes_the_loss_nan(backend):
    x = tg.tensor(np.zeros((3, 2), "float32"))
    for bad in (2, -1):
        loss = ops.cross_entropy(x, tg.tensor([0, bad, -100]), reduction="none").numpy()
        np.testing.assert_allclose(loss, [np.log(2), np.nan, 0], rtol=1e-6)


def test_the_gradient_of_logsumexp_of_minus_infinity_is_zero(backend):
    x = tg.tensor(np.full((2, 2), -np.inf), requires_grad=True)
    with tg.no_grad():
        seed = ops.exp(ops.logsumexp(x, axis=1)) + 1.0
    ops.logsumexp(x, axis=1).backward(seed)
    assert (x.grad.numpy() == 0).all()


def test_a_numpy_scalar_as_bound_does_not_widen_the_dtype(backend):
    x = tg.tensor(np.ones(3, "float32"))
    for out in (ops.clip(x, max=np.float64(0.5)), ops.hardtanh(x, max_val=np.float64(0.5))):
        assert out.dtype == str(out.numpy().dtype) == "float32"


@pytest.mark.parametrize("axis", [None, (0, 1), (1,)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "cumsum", "argsort"])
def test_ops_along_one_axis_take_no_other_number_of_them(name, axis):
    with pytest.raises(ShapeError, match=rf"{name}: axis .* does not fit float32\[2,3\]"):
        getattr(ops, name)(X, axis=axis)
