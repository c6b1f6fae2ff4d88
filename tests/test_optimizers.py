"""Optimizers against PyTorch, live and recorded; their state; what they refuse."""

import math

import numpy as np
import pytest
from recorded.cases import FROZEN, HALVED_AT, OPTIMIZERS, RUNS, STEPS, gradient, load, starts
from tensorgraph_walks.record import record

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.errors import ConfigError, GradientError, ShapeError

try:
    import torch
    from recorded.record import run_optimizer
except ImportError:
    torch = None
live = pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")

SLOTS = {
    "sgd": {"momentum": 0.9},
    "adam": {"amsgrad": True},
    "adamw": {},
    "rmsprop": {"momentum": 0.5, "centered": True},
    "adagrad": {"initial_accumulator_value": 0.1},
}


def parameters(dtype="float64"):
    return [tg.tensor(x, requires_grad=True) for x in starts(dtype)]


def take_step(optimizer, step):
    for i, p in enumerate(optimizer.parameters):
        missing = FROZEN.get(step) == i
        p.grad = None if missing else tg.tensor(gradient(step, i, p.numpy()))
    optimizer.step()


def compare_with(path, name, options, dtype, tolerance):
    optimizer = tg.optimizers[name](parameters(dtype), **options)
    for step in range(STEPS):
        if step == HALVED_AT:
            optimizer.lr /= 2
        take_step(optimizer, step)
        for i, p in enumerate(optimizer.parameters):
            want = path[f"{step}:{i}"]
            assert p.dtype == dtype
            np.testing.assert_allclose(p.numpy(), want, tolerance, tolerance, err_msg=f"{step}")


@pytest.mark.parametrize(("name", "i"), RUNS)
def test_recorded(backend, name, i):
    path = load("optimizers.npz")[0][f"{name}/{i}"]
    compare_with(path, name, OPTIMIZERS[name][1][i], "float64", 1e-10)


@live
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "i"), RUNS)
def test_live(backend, name, i, dtype):
    kind, cases = OPTIMIZERS[name]
    tolerance = 2e-5 if dtype == "float32" else 1e-11
    compare_with(run_optimizer(kind, cases[i], dtype), name, cases[i], dtype, tolerance)


@live
@pytest.mark.parametrize(("name", "kind"), [(n, kind) for n, (kind, _) in OPTIMIZERS.items()])
def test_defaults_are_pytorchs(name, kind):
    theirs = getattr(torch.optim, kind)([torch.zeros(1)]).defaults
    ours = vars(tg.optimizers[name](parameters()))
    for option, value in theirs.items():
        if option in ours:
            assert ours[option] == value, option
    own = {"foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"}
    assert theirs.keys() - ours.keys() <= own


@live
@pytest.mark.parametrize(("value", "norm"), [(0.5, None), (None, 1.5), (0.7, 1.1), (None, 1e3)])
def test_clipping_is_pytorchs(value, norm):
    ours = tg.optimizers.sgd(parameters(), lr=1.0, clip_value=value, clip_norm=norm)
    theirs = [torch.tensor(x, requires_grad=True) for x in starts("float64")]
    for i, (p, q) in enumerate(zip(ours.parameters, theirs, strict=True)):
        p.grad, q.grad = (f(gradient(1, i, p.numpy())) for f in (tg.tensor, torch.tensor))
    if value is not None:
        torch.nn.utils.clip_grad_value_(theirs, value)
    if norm is not None:
        torch.nn.utils.clip_grad_norm_(theirs, norm)
    torch.optim.SGD(theirs, lr=1.0).step()
    ours.step()
    for p, q in zip(ours.parameters, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-12)


def test_clipping_by_norm_scales_all_gradients_together():
    """Gradients 3 and 4 have the common norm 5; clipped to 1 they are 0.6 and 0.8."""
    a, b = tg.tensor(0.0, requires_grad=True), tg.tensor([0.0], requires_grad=True)
    a.grad, b.grad = tg.tensor(3.0), tg.tensor([4.0])
    tg.optimizers.sgd([a, b], lr=1.0, clip_norm=1.0).step()
    assert [-a.item(), -b.item()] == pytest.approx([0.6, 0.8], rel=1e-5)
    assert (a.grad.item(), b.grad.item()) == (3.0, 4.0), "the gradients themselves stay"


@pytest.mark.parametrize("name", SLOTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_restored_optimizer_goes_on_bit_for_bit(backend, name, dtype):
    optimizer = tg.optimizers[name](parameters(dtype), **SLOTS[name], clip_norm=5.0)
    for step in range(5):
        take_step(optimizer, step)
    optimizer.lr *= 0.5
    state = {k: x.numpy() if isinstance(x, tg.Tensor) else x for k, x in optimizer.state().items()}
    kept = {k: np.copy(x) for k, x in state.items()}
    copies = [tg.tensor(p.numpy(), requires_grad=True) for p in optimizer.parameters]
    resumed = tg.optimizers[name](copies, **SLOTS[name], clip_norm=5.0)
    resumed.load_state(state)
    for step in range(5, 9):
        take_step(optimizer, step)
        take_step(resumed, step)
    for p, q in zip(optimizer.parameters, resumed.parameters, strict=True):
        assert p.numpy().tobytes() == q.numpy().tobytes()
    assert optimizer.steps == resumed.steps == 9
    for key, value in kept.items():
        np.testing.assert_array_equal(state[key], value, err_msg="later steps wrote into a state")


def test_slots_have_memory_of_their_own():
    class Rests(tg.Optimizer):
        slots = ("rest",)

        def update(self, p, g, memory, scalars):
            return p, memory

    optimizer = Rests(parameters(), lr=0.0)
    take_step(optimizer, 0)
    assert optimizer.memory[0]["rest"].data.flags.writeable


def test_the_state_is_a_snapshot():
    optimizer = tg.optimizers.sgd(parameters(), lr=0.1, momentum=0.9)
    take_step(optimizer, 0)
    state = optimizer.state()
    before = state["0.momentum_buffer"].numpy()
    take_step(optimizer, 1)
    np.testing.assert_array_equal(state["0.momentum_buffer"].numpy(), before)


def test_a_gradient_that_is_not_finite_does_not_spoil_the_slots_start():
    p = tg.tensor([1.0], requires_grad=True)
    optimizer = tg.optimizers.adagrad([p], initial_accumulator_value=2.0)
    p.grad = tg.tensor([math.inf])
    with np.errstate(invalid="ignore"):
        optimizer.step()
    assert optimizer.memory[0]["sum"].item() == math.inf, "inf * 0 would have been NaN"


def test_frozen_parameters_stay_and_the_updates_of_each_are_counted():
    model = tg.layers.sequential(tg.layers.linear(3), tg.layers.linear(2))
    x = tg.tensor(np.ones((4, 5), "float32"))
    model(x)
    model[0].freeze()
    before = model[0].weight.numpy()
    optimizer = tg.optimizers.adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()
    np.testing.assert_array_equal(model[0].weight.numpy(), before)
    assert optimizer.updates == [0, 0, 3, 3]
    model[0].unfreeze()
    optimizer.zero_grad()
    model(x).sum().backward()
    optimizer.step()
    moved = np.abs(model[0].weight.numpy() - before)
    np.testing.assert_allclose(moved[moved > 0], 0.1, rtol=1e-4)  # Adam's first step is lr
    assert moved.max() > 0


def test_a_step_is_made_of_ops_and_leaves_no_graph():
    optimizer = tg.optimizers.adamw(parameters(), lr=0.1, clip_norm=1.0)
    take_step(optimizer, 0)
    for p in optimizer.parameters:
        p.grad = tg.tensor(gradient(1, 0, p.numpy()))
    record(optimizer.step)  # reading a value would be an error
    assert all(isinstance(p.requires_grad, bool) and p.requires_grad for p in optimizer.parameters)
    assert not any(x.requires_grad for memory in optimizer.memory for x in memory.values())


def test_a_strangers_optimizer_needs_only_update():
    class Signs(tg.Optimizer):
        slots = ("calls",)

        def update(self, p, g, memory, scalars):
            return p - tg.ops.sign(g) * scalars["lr"], {"calls": memory["calls"] + 1.0}

    p = tg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = Signs([p], lr=0.25)
    for lr in (0.25, 0.5):
        optimizer.lr = lr
        p.grad = tg.tensor([3.0, -4.0])
        optimizer.step()
    assert p.numpy().tolist() == [0.25, 2.75]
    assert optimizer.memory[0]["calls"].numpy().tolist() == [2.0, 2.0]


def test_it_trains():
    """Least squares: the solution is known to NumPy."""
    tg.seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 1))
    for name, lr in [("sgd", 0.5), ("adam", 0.05), ("rmsprop", 0.004), ("adagrad", 0.5)]:
        layer = tg.layers.linear(1, bias=False)
        optimizer = tg.optimizers[name](layer.parameters(), lr=lr)
        for _ in range(800):
            loss = tg.ops.mse_loss(layer(tg.tensor(x)), tg.tensor(y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        want = np.linalg.lstsq(x, y)[0].T
        np.testing.assert_allclose(layer.weight.numpy(), want, atol=2e-3, err_msg=name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sgd", {"lr": -1.0}, r"SGD: lr=-1.0 is not a number from 0 on"),
        ("sgd", {"lr": math.nan}, r"SGD: lr=nan is not a number from 0 on"),
        ("adam", {"clip_norm": -2.0}, r"Adam: clip_norm=-2.0 is not"),
        ("sgd", {"momentum": -0.1}, r"SGD: momentum=-0.1 is not"),
        ("sgd", {"nesterov": True}, r"SGD: nesterov needs momentum and no dampening, not"),
        ("adamw", {"betas": (0.9, 1.0)}, r"AdamW: betas=\(0.9, 1.0\) are not two numbers"),
        ("adam", {"eps": -1.0}, r"Adam: eps=-1.0 is not"),
        ("rmsprop", {"alpha": 2.0}, r"RMSprop: alpha=2.0 is not a number from 0 to 1"),
        ("adagrad", {"weight_decay": -1.0}, r"Adagrad: weight_decay=-1.0 is not"),
        ("adagrad", {"lr_decay": -1.0}, r"Adagrad: lr_decay=-1.0 is not"),
    ],
)
def test_settings_out_of_range(name, options, message):
    with pytest.raises(ConfigError, match=message):
        tg.optimizers[name](parameters(), **options)


def test_what_is_not_parameters():
    model = tg.layers.sequential(tg.layers.linear(2))
    with pytest.raises(ConfigError, match="SGD: there are no parameters to train"):
        tg.optimizers.sgd([], lr=0.1)
    for wrong in (model, model.named_parameters(), 3, [1.0]):
        with pytest.raises(TypeError, match=r"SGD: takes tensors, not \w+; give it model.par"):
            tg.optimizers.sgd(wrong, lr=0.1)
    with pytest.raises(ConfigError, match="a parameter is given twice and would be moved twice"):
        tg.optimizers.sgd(model.parameters() * 2, lr=0.1)


def test_a_step_without_gradients():
    optimizer = tg.optimizers.sgd(parameters(), lr=0.1)
    with pytest.raises(GradientError, match=r"SGD: no parameter has a gradient; call loss.backw"):
        optimizer.step()
    assert optimizer.steps == 0


def test_a_state_that_does_not_fit_changes_nothing():
    optimizer = tg.optimizers.sgd(parameters(), lr=0.1, momentum=0.9)
    take_step(optimizer, 0)
    good = optimizer.state()
    with pytest.raises(ConfigError, match=r"is that of 3 parameters, and this is for 2 "):
        tg.optimizers.sgd(parameters()[:2], momentum=0.9).load_state(good)
    with pytest.raises(ConfigError, match=r"with the slots exp_avg, exp_avg_sq; missing or not ex"):
        tg.optimizers.adam(parameters()).load_state(good)
    wrong = {**good, "1.momentum_buffer": np.zeros(7)}
    with pytest.raises(ShapeError, match=r"1.momentum_buffer .* is float64\[7\], its parameter"):
        optimizer.load_state(wrong)
    with pytest.raises(ConfigError, match="missing or not expected: lr"):
        optimizer.load_state({k: v for k, v in good.items() if k != "lr"})
    with pytest.raises(ConfigError, match=r"missing or not expected: 2.momentum_buffer"):
        optimizer.load_state({k: v for k, v in good.items() if k != "2.momentum_buffer"})
    assert optimizer.steps == 1 and len(optimizer.memory[0]) == 1


def test_the_recorded_cases_say_where_they_come_from():
    assert load("optimizers.npz")[1] == "2.13.0" == load("layers.npz")[1]
    assert config.current().grad
