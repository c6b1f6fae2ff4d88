"""Losses, dropout and normalisation are recorded as few ops, and these are right at their edges."""

import warnings

import numpy as np
import pytest
from tensorgraph_walks.record import record

import tensorgraph as tg
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import DtypeError, ShapeError

try:
    import torch
except ImportError:
    torch = None


def of(dtype, *shape):
    return tg.Tensor(None, ABSTRACT, tg.Spec(shape, dtype))


def names(step, *arguments, over=0):
    """The ops of a step, in order: those that read or make a tensor of at least so many elements.
    What only names the same values in another shape is none."""
    calls = record(step, *arguments).calls
    return [
        c.op.name
        for c in calls
        if c.op.name != "reshape" and max(v.spec.size for v in (*c.inputs, c.out)) >= over
    ]


def leaf(*shape):
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    return tg.tensor(x, requires_grad=True)


@pytest.mark.parametrize(("dtype", "more"), [("int64", []), ("uint8", ["cast"])])
def test_a_loss_of_labels_and_its_gradient_are_two_ops(dtype, more):
    x, labels = leaf(4, 3), tg.tensor(np.array([0, 2, 1, 1], dtype))
    found = names(lambda y: tg.ops.cross_entropy(x, y).backward(), labels)
    assert found == [*more, "label_cross_entropy", "label_cross_entropy_input"]


def test_dropout_and_its_gradient_are_one_op_each():
    x = leaf(4, 3)
    seed = tg.tensor(np.ones((4, 3), "float32"))
    assert names(lambda g: tg.ops.dropout(x).backward(g), seed) == ["drop", "drop"]


def test_batch_norm_goes_over_its_input_three_times_forward_and_three_times_backward():
    x, w, b = leaf(4, 3, 2, 2), leaf(3), leaf(3)
    seed = tg.tensor(np.ones(x.shape, "float32"))

    def step(g):
        tg.ops.batch_norm(x, None, None, w, b, training=True)[0].backward(g)

    assert names(step, seed, over=x.size) == [
        "axis_mean",
        "axis_variance",
        "standardize",
        "sum_to",
        "standardize_weight",
        "standardize_input",
    ]


def test_batch_norm_in_evaluation_is_a_product_and_a_sum():
    x, w, b = leaf(4, 3, 2, 2), leaf(3), leaf(3)
    mean, var = tg.tensor(np.zeros(3, "float32")), tg.tensor(np.ones(3, "float32"))
    found = names(lambda x: tg.ops.batch_norm(x, mean, var, w, b)[0], x, over=x.size)
    assert found == ["multiply", "add"]


def test_dropout_keeps_where_bernoulli_of_its_key_holds(backend):
    key = tg.tensor(np.array([1, 2, 3, 4], np.uint32))
    x = leaf(50, 3)
    for p in (0.1, 0.5, 0.999):
        kept = tg.ops.bernoulli(x.shape, p=1 - p, key=key).numpy()
        out = tg.ops.dropout(x, p=p, key=key).numpy()
        np.testing.assert_array_equal(out, np.where(kept, x.numpy() * np.float32(1 / (1 - p)), 0))


def test_a_replayed_step_draws_on_where_a_plain_one_would(backend):
    x = leaf(2, 40)

    def step(x):
        return tg.ops.dropout(x), tg.ops.uniform((3,)), tg.ops.normal((3,))

    def run(step):
        tg.seed(3)
        return [[out.numpy() for out in step(x)] for _ in range(3)]

    plain, replayed = run(step), run(tg.compile(step))
    assert not np.array_equal(plain[0][0], plain[1][0])
    for want, got in zip(plain, replayed, strict=True):
        for a, b in zip(want, got, strict=True):
            np.testing.assert_array_equal(b, a)


@pytest.mark.parametrize("labels", [[-100, -100], []])
def test_the_mean_of_no_label_is_nan_without_a_warning_and_has_gradient_zero(backend, labels):
    x, y = leaf(len(labels), 3), tg.tensor(np.array(labels, "int64"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = tg.ops.cross_entropy(x, y)
        loss.backward()
    assert np.isnan(loss.item())
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros(x.shape))


def test_a_label_that_is_no_class_leaves_the_gradients_of_the_others(backend):
    x, y = leaf(3, 2), tg.tensor([0, 5, -100])
    tg.ops.cross_entropy(x, y, reduction="sum").backward()
    scores = x.numpy().astype("float64")
    want = np.zeros((3, 2))
    want[0] = np.exp(scores[0]) / np.exp(scores[0]).sum() - [1, 0]
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-5)


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")
@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "group_norm"])
@pytest.mark.parametrize("given", [(), ("weight",), ("bias",), ("weight", "bias")])
def test_normalisation_with_part_of_its_scale_and_shift_is_pytorchs(backend, name, given):
    rng = np.random.default_rng(1)
    x, seed = rng.standard_normal((2, 4, 3, 4)), rng.standard_normal((2, 4, 3, 4))
    own = {part: rng.standard_normal(4) for part in given}
    options = {
        "batch_norm": ({"training": True}, {"running_mean": None, "running_var": None}),
        "layer_norm": ({"normalized_shape": (4,)}, {}),
        "group_norm": ({"num_groups": 2}, {}),
    }[name]
    ours = {part: tg.tensor(value, requires_grad=True) for part, value in own.items()}
    # PyTorch's group norm with a bias alone does not differentiate: it is given a scale of one
    neutral = {"weight": np.ones(4), "bias": np.zeros(4)}
    theirs = {part: torch.tensor(v, requires_grad=True) for part, v in (neutral | own).items()}
    a, b = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out = getattr(tg.ops, name)(a, **ours, **options[0])
    out = out[0] if name == "batch_norm" else out
    want = getattr(torch.nn.functional, name)(b, **theirs, **options[0], **options[1])
    out.backward(tg.tensor(seed))
    want.backward(torch.tensor(seed))
    np.testing.assert_allclose(out.numpy(), want.detach().numpy(), rtol=1e-10, atol=1e-10)
    for mine, other in [(a, b), *((ours[part], theirs[part]) for part in given)]:
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-9, atol=1e-10)


def test_a_constant_far_from_zero_is_normalised_to_zero(backend):
    """Nothing cancels: of 1000 everywhere the deviations are 0 and not what rounding left."""
    x = tg.tensor(np.full((8, 2, 4, 4), 1000.0, "float32"))
    out, mean, var = tg.ops.batch_norm(x, training=True)
    assert (out.numpy() == 0).all() and (mean.numpy() == 1000).all() and (var.numpy() == 0).all()


X, KEY = of("float32", 2, 3), of("uint32", 4)
ONE, LABELS = of("float32", 2, 1), of("int64", 2)
LOSS = {"ignore_index": -100, "reduction": "mean"}


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (
            lambda: tg.ops.label_cross_entropy(X, of("int64", 3), **LOSS),
            ShapeError,
            "label_cross_entropy: scores float32[2,3] do not fit labels int64[3]; give (C,) and "
            "(), or (N, C, …) and (N, …)",
        ),
        (
            lambda: tg.ops.label_cross_entropy(X, of("int32", 2), **LOSS),
            DtypeError,
            "label_cross_entropy: labels are int64, not int32; cast them",
        ),
        (
            lambda: tg.ops.cross_entropy(X, LABELS, reduction="all"),
            ShapeError,
            "cross_entropy: reduction 'all' is not one of mean, sum, none",
        ),
        (
            lambda: tg.ops.cross_entropy(of("int64", 2, 3), LABELS),
            DtypeError,
            "cross_entropy: needs floating point, not int64[2,3]; cast it: "
            "tg.ops.cast(x, dtype='float32')",
        ),
        (
            lambda: tg.ops.label_cross_entropy_input(of("float32", 2), X, LABELS, **LOSS),
            ShapeError,
            "label_cross_entropy_input: g float32[2] is not the gradient of float32[]",
        ),
        (
            lambda: tg.ops.drop(X, of("uint32", 3), p=0.5),
            DtypeError,
            "random_bits: the key is uint32[3], not uint32[4]: seed low, seed high, stream low, "
            "stream high; leave it out for a fresh stream",
        ),
        (
            lambda: tg.ops.drop(LABELS, KEY, p=0.5),
            DtypeError,
            "drop: needs floating point, not int64[2]; cast it: tg.ops.cast(x, dtype='float32')",
        ),
        (
            lambda: tg.ops.axis_variance(X, of("float32", 2)),
            ShapeError,
            "axis_variance: float32[2] does not stand beside float32[2,3]: it needs as many axes, "
            "each of the same size or of size 1",
        ),
        (
            lambda: tg.ops.standardize(X, ONE, ONE, of("float32", 4, 1, 1), 0.0),
            ShapeError,
            "standardize: float32[4,1,1] does not broadcast to float32[2,3]",
        ),
        (
            lambda: tg.ops.standardize_weight(ONE, X, ONE, ONE, shape=(2, 1)),
            ShapeError,
            "standardize_weight: float32[2,1] times float32[2,3] does not sum to [2, 1]",
        ),
        (
            lambda: tg.ops.standardize_input(X, X, ONE, ONE, of("float32", 3), ONE, ONE),
            ShapeError,
            "standardize_input: g float32[2,3] needs the shape of x float32[2,3], and the weight "
            "float32[3] that of average float32[2,1]",
        ),
    ],
)
def test_a_mistake_is_named_with_its_values(mistake, error, message):
    with pytest.raises(error) as caught:
        mistake()
    assert str(caught.value) == message
