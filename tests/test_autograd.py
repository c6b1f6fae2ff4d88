"""The engine of differentiation: orders, depth, memory, and what is refused."""

import gc
import time
import weakref

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.errors import GradientError
from tensorgraph.testing import gradcheck


def test_the_chain_rule_on_a_worked_example():
    """f = (x y + sin x)², at x=2, y=3: df/dx = 2 f' (y + cos x), df/dy = 2 f' x."""
    x, y = tg.tensor(2.0, dtype="float64"), tg.tensor(3.0, dtype="float64")
    x.requires_grad = y.requires_grad = True
    f = (x * y + tg.ops.sin(x)) ** 2.0
    f.backward()
    inner = 6 + np.sin(2)
    assert x.grad.item() == pytest.approx(2 * inner * (3 + np.cos(2)), rel=1e-12)
    assert y.grad.item() == pytest.approx(2 * inner * 2, rel=1e-12)


def test_derivatives_of_every_order():
    x = tg.tensor(0.7, dtype="float64", requires_grad=True)
    f = tg.ops.sin(x * x)
    found = []
    for _ in range(4):
        (f,) = tg.grad(f, [x], create_graph=True)
        found.append(f.item())
    a, s, c = 0.7, np.sin(0.49), np.cos(0.49)
    want = [
        2 * a * c,
        2 * c - 4 * a**2 * s,
        -12 * a * s - 8 * a**3 * c,
        -12 * s - 48 * a**2 * c + 16 * a**4 * s,
    ]
    np.testing.assert_allclose(found, want, rtol=1e-12)


def test_gradients_add_up_in_grad_until_it_is_cleared():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.numpy().tolist() == [5, 7]


def test_a_gradient_may_be_asked_for_in_the_middle():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    h = x * x
    gh, gx = tg.grad((h * h).sum(), [h, x])
    assert gh.numpy().tolist() == [2, 8] and gx.numpy().tolist() == [4, 32]


def test_an_input_that_does_not_matter_has_gradient_zero():
    x, z = (tg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    assert tg.grad((x * x).sum(), [z])[0].numpy().tolist() == [0, 0]


def test_a_seed_weighs_the_outputs():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).backward(tg.tensor([10.0, 100.0]))
    assert x.grad.numpy().tolist() == [20, 400]


def test_nothing_is_remembered_under_no_grad_or_after_detach():
    x = tg.tensor([1.0], requires_grad=True)
    with tg.no_grad():
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad and not x.detach().requires_grad
    assert tg.grad((x.detach() * x).sum(), [x])[0].numpy().tolist() == [1]


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            lambda x: (x * x).backward(),
            r"float32\[2\] is not a scalar; reduce it .* or give a seed",
        ),
        (lambda x: (x * x).backward(tg.tensor([1.0])), r"the seed float32\[1\] does not fit"),
        (lambda x: tg.tensor([1.0]).sum().backward(), "nothing that .* requires a gradient"),
        (lambda x: tg.grad(x.sum(), [tg.tensor([1.0])]), "input 0, .* does not require a gradient"),
        (lambda x: setattr(x * 2, "requires_grad", True), r"made by op 'multiply'; x.detach\(\)"),
    ],
)
def test_gradients_that_cannot_be_computed_say_why(mistake, message):
    with pytest.raises(GradientError, match=message):
        mistake(tg.tensor([1.0, 2.0], requires_grad=True))


def test_a_tensor_assigned_after_its_use_is_noticed_in_backward():
    x, w = tg.tensor([2.0], requires_grad=True), tg.tensor([3.0], requires_grad=True)
    loss = (x * w).sum()
    w.assign(tg.tensor([5.0]))
    with pytest.raises(
        GradientError, match="multiply: a tensor that its gradient needs was assigned"
    ):
        loss.backward()
    loss = (x + w).sum()  # the rule of add reads no value, so nothing is stale here
    w.assign(tg.tensor([7.0]))
    loss.backward()
    assert w.grad.item() == 1


def chain(n):
    x = tg.tensor(1.0, dtype="float64", requires_grad=True)
    y = x
    for _ in range(n):
        y = y + x
    return x, y


def test_a_chain_of_100000_ops_without_recursion():
    x, y = chain(100_000)
    y.backward()
    assert x.grad.item() == 100_001
    del y  # the graph's end must not recurse either


def test_time_is_linear_in_the_length():
    """Processor time without the garbage collector, whose passes grow with all that is alive."""

    def seconds(n):
        best = float("inf")
        for _ in range(5):
            _, y = chain(n)
            start = time.process_time()
            y.backward()
            best = min(best, time.process_time() - start)
        return best

    gc.collect()
    gc.disable()
    try:
        ratio = seconds(40_000) / seconds(5_000)
    finally:
        gc.enable()
    assert ratio < 24, f"eight times the length took {ratio:.1f} times as long"


def test_a_step_leaves_nothing_for_the_garbage_collector():
    w = tg.tensor(np.ones((4, 4)), requires_grad=True)

    def step():
        h = tg.ops.tanh(w @ w)  # tanh keeps its own output
        loss = tg.ops.sum(h * tg.ops.exp(h))
        loss.backward()
        w.grad = None
        return [weakref.ref(x) for x in (h, loss)], [weakref.ref(h.data)]

    step()
    gc.collect()
    gc.disable()
    try:
        tensors, arrays = step()
        assert all(ref() is None for ref in tensors + arrays)
        for _ in range(50):
            step()
        assert gc.collect() == 0, "objects in cycles were left by 50 steps"
    finally:
        gc.enable()


def test_a_node_keeps_only_what_its_rule_reads():
    big = np.zeros(250_000)

    def kept(make):
        x = tg.tensor(big, requires_grad=True) * 1.0
        ref = weakref.ref(x.data)
        out = make(x)
        del x
        alive = ref() is not None
        return alive, out

    assert not kept(lambda x: x + 1.0)[0]
    assert not kept(lambda x: x.sum())[0], "sum reads the shape of its input, not its values"
    assert not kept(tg.ops.exp)[0], "exp reads its output"
    assert kept(tg.ops.sin)[0]


def test_gradients_nobody_wants_are_not_computed():
    calls = []

    @tg.op
    def watched(x: tg.Shaped, y: tg.Shaped) -> tg.Spec:
        return tg.Spec(x.shape, x.dtype)

    watched.kernel(lambda xp, x, y: x * y)
    watched.vjp(
        lambda g, x, y: (lambda: calls.append("x") or g * y, lambda: calls.append("y") or g * x)
    )
    x, y = tg.tensor([1.0], requires_grad=True), tg.tensor([2.0])
    watched(x, y).sum().backward()
    assert calls == ["x"] and x.grad.item() == 2


def bad_op(rule):
    @tg.op
    def bad(x: tg.Shaped) -> tg.Spec:
        return tg.Spec(x.shape, x.dtype)

    bad.kernel(lambda xp, x: x * x)
    bad.vjp(rule)
    return bad


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda g, x: (g, g), "returned 2 gradients for 1 inputs"),
        (
            lambda g, x: tg.ops.cast(g, dtype="float32"),
            r"returned float32\[3\] for an input float64",
        ),
    ],
)
def test_a_wrong_rule_is_named(rule, message):
    x = tg.tensor(np.ones(3), requires_grad=True)
    with pytest.raises(GradientError, match=f"rule of op 'bad' {message}"):
        bad_op(rule)(x).sum().backward()


def test_a_rule_may_only_name_what_the_op_has():
    with pytest.raises(GradientError, match="names z; it may name out, x and, keyword-only"):
        bad_op(lambda g, z: g)


def test_gradcheck_catches_wrong_rules_and_never_passes_for_nothing():
    x = np.array([0.5, -1.2, 2.0])
    assert gradcheck(bad_op(lambda g, x: g * x * 2.0), [x]) < 1e-6
    for wrong in (lambda g, x: g * x, lambda g, x: x * 2.0, lambda g, x: None):
        with pytest.raises(GradientError, match="gradcheck: at order 1"):
            gradcheck(bad_op(wrong), [x])
    frozen = bad_op(lambda g, x: g * x.detach() * 2.0)  # right, but it cannot be differentiated
    gradcheck(frozen, [x], order=1)
    with pytest.raises(GradientError, match="gradcheck: at order 2"):
        gradcheck(frozen, [x], order=2)
    with pytest.raises(GradientError, match="no input is floating point"):
        gradcheck(lambda x: x, [np.arange(3)])


def test_asking_again_for_a_gradient_forgets_nothing():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    f = (x * x).sum()
    x.requires_grad = True
    assert tg.grad(f, [x])[0].numpy().tolist() == [2, 4]


def test_the_gradients_of_two_leaves_are_two_tensors():
    x, y = (tg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    seed = tg.tensor([4.0, 8.0])
    (x + y).backward(seed)
    for leaf in (x, y):
        leaf.grad.assign(leaf.grad * 0.5)
    assert x.grad.numpy().tolist() == y.grad.numpy().tolist() == [2, 4]
    assert seed.numpy().tolist() == [4, 8]


def test_one_tensor_in_place_of_a_list_is_refused():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"grad: takes a list of inputs, not one tensor: \[x\]"):
        tg.grad((x * x).sum(), x)
