"""Schedules against PyTorch's and by hand; regularizers against NumPy."""

import math

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.errors import ConfigError

try:
    import torch
    from torch.optim import lr_scheduler as peer
except ImportError:
    torch = None
live = pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")
EPOCHS = 20

# name, options, PyTorch's schedule for an optimizer with the learning rate 1
PEERS = [
    ("constant", {}, lambda o: peer.ConstantLR(o, factor=1.0)),
    ("step", {"every": 3, "gamma": 0.5}, lambda o: peer.StepLR(o, 3, 0.5)),
    ("multi_step", {"milestones": (2, 9, 9, 15)}, lambda o: peer.MultiStepLR(o, [2, 9, 9, 15])),
    ("exponential", {"gamma": 0.8}, lambda o: peer.ExponentialLR(o, 0.8)),
    ("cosine", {}, lambda o: peer.CosineAnnealingLR(o, EPOCHS)),
    ("cosine", {"final": 0.1}, lambda o: peer.CosineAnnealingLR(o, EPOCHS, eta_min=0.1)),
    # PyTorch counts its last step too: 21 steps, of which the one at 0.3 * 20 is the highest
    ("one_cycle", {}, lambda o: peer.OneCycleLR(o, 1.0, total_steps=21, pct_start=7 / 21)),
    (
        "one_cycle",
        {"pct_start": 0.5, "div_factor": 10.0, "final_div_factor": 100.0},
        lambda o: peer.OneCycleLR(
            o, 1.0, total_steps=21, pct_start=11 / 21, div_factor=10.0, final_div_factor=100.0
        ),
    ),
]


@live
@pytest.mark.parametrize("warmup", [0, 4])
@pytest.mark.parametrize(("name", "options", "scheduler"), PEERS)
def test_whole_epochs_are_pytorchs(name, options, scheduler, warmup):
    def theirs(make):
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        schedule = make(optimizer)
        rates = []
        for _ in range(EPOCHS):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return np.array(rates)

    want = theirs(scheduler)
    if warmup:
        want *= theirs(lambda o: peer.LinearLR(o, start_factor=0.25, total_iters=warmup))
        options = {**options, "warmup": warmup, "warmup_start": 0.25}
    factor = tg.schedules[name](**options)
    got = [factor(epoch, EPOCHS) for epoch in range(EPOCHS)]
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_between_and_at_the_ends_of_epochs():
    half = tg.schedules.cosine()
    assert half(5, 10) == pytest.approx(0.5) and half(10, 10) == pytest.approx(0)
    assert half(2.5, 10) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert half(11, 10) == pytest.approx(0), "beyond the end it stays"
    step = tg.schedules.step(every=2)
    assert [step(e, 9) for e in (1.99, 2.0, 4.5)] == pytest.approx([1, 0.1, 0.01])
    ramp = tg.schedules.constant(warmup=2)
    assert [ramp(e, 9) for e in (0, 1, 2, 3)] == pytest.approx([0.1, 0.55, 1, 1])
    cycle = tg.schedules.one_cycle()
    ends = [1 / 25, 1, 1 / 25e4]
    assert [cycle(e, 10) for e in (0, 3, 10)] == pytest.approx(ends)


@pytest.mark.parametrize("name", list(tg.schedules))
def test_every_schedule_is_positive_and_warms_up(name):
    options = {"milestones": (3,)} if name == "multi_step" else {}
    factor = tg.schedules[name](**options, warmup=1)
    plain = tg.schedules[name](**options)
    assert factor(0, 10) == pytest.approx(0.1 * plain(0, 10))
    assert factor(5.5, 10) == plain(5.5, 10)
    assert all(factor(e / 4, 10) > 0 for e in range(40))
    assert all(math.isfinite(plain(e, 0)) for e in (0, 1)), "a run of no epochs"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("step", {"every": 0}, "step: every=0 is not a number of epochs above 0"),
        ("step", {"gamma": -1.0}, "step: gamma=-1.0 is not a number above 0"),
        ("multi_step", {"milestones": (1,), "gamma": 0.0}, "multi_step: gamma=0.0 is not"),
        ("exponential", {"gamma": 0.0}, "exponential: gamma=0.0 is not"),
        ("cosine", {"final": -0.1}, "cosine: final=-0.1 is not a number from 0 on"),
        ("one_cycle", {"pct_start": 1.0}, "one_cycle: pct_start=1.0 is not between 0 and 1"),
        ("one_cycle", {"div_factor": 0.0}, "one_cycle: div_factor=0.0 is not a number above 0"),
        ("constant", {"warmup": -1}, "constant: warmup=-1 is not a number of epochs from 0 on"),
        ("cosine", {"warmup_start": 2.0}, "cosine: warmup_start=2.0 is not a share from 0 to 1"),
    ],
)
def test_schedules_that_cannot_be(name, options, message):
    with pytest.raises(ConfigError, match=message):
        tg.schedules[name](**options)


def model():
    nn = tg.layers
    made = nn.sequential(nn.conv2d(2, 3), nn.batch_norm2d(), nn.flatten(), nn.linear(3))
    made.infer_shape(tg.Spec((1, 1, 5, 5), "float64"))
    return made


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, ["0.weight", "3.weight"]),
        ({"where": "*"}, ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"]),
        ({"where": "3.*"}, ["3.weight", "3.bias"]),
        ({"where": ("0.bias", "?.weight")}, ["0.weight", "0.bias", "1.weight", "3.weight"]),
    ],
)
def test_penalties_are_numpys_and_so_are_their_gradients(backend, options, chosen):
    parameters = model().named_parameters()
    weights = {k: v.numpy() for k, v in parameters.items()}
    absolute = sum(np.abs(weights[k]).sum() for k in chosen)
    squared = sum((weights[k] ** 2).sum() for k in chosen)
    for penalty, want, slope in [
        (tg.regularizers.l1(0.3, **options), 0.3 * absolute, lambda w: 0.3 * np.sign(w)),
        (tg.regularizers.l2(0.2, **options), 0.2 * squared, lambda w: 0.4 * w),
        (
            tg.regularizers.elastic_net(0.3, 0.2, **options),
            0.3 * absolute + 0.2 * squared,
            lambda w: 0.3 * np.sign(w) + 0.4 * w,
        ),
    ]:
        for p in parameters.values():
            p.grad = None
        loss = penalty(parameters)
        loss.backward()
        assert loss.shape == () and loss.item() == pytest.approx(want, rel=1e-12)
        for name, p in parameters.items():
            if name in chosen:
                np.testing.assert_allclose(p.grad.numpy(), slope(weights[name]), rtol=1e-12)
            else:
                assert p.grad is None, name


@live
def test_l2_is_half_of_weight_decay():
    """The sum of squares with strength s moves SGD as weight_decay = 2 s does."""
    weight = torch.tensor([[1.0, -2.0]], dtype=torch.float64, requires_grad=True)
    weight.grad = torch.zeros_like(weight)
    torch.optim.SGD([weight], lr=0.1, weight_decay=0.4).step()
    layer = tg.layers.linear(1, bias=False, initializer=lambda spec: tg.tensor([[1.0, -2.0]]))
    layer.infer_shape(tg.Spec((1, 2)))
    tg.regularizers.l2(0.2)(layer.named_parameters()).backward()
    tg.optimizers.sgd(layer.parameters(), lr=0.1).step()
    np.testing.assert_allclose(layer.weight.numpy(), weight.detach().numpy(), rtol=1e-6)


def test_what_regularizers_refuse():
    with pytest.raises(ConfigError, match=r"l2: where='conv\*' chooses none of .*: 0.weight, 0.b"):
        tg.regularizers.l2(where="conv*")(model().named_parameters())
    with pytest.raises(ConfigError, match=r"l1: strength=-1 is not a number from 0 on"):
        tg.regularizers.l1(-1)
    with pytest.raises(ConfigError, match=r"elastic_net: l2=-0.5 is not a number from 0 on"):
        tg.regularizers.elastic_net(0.1, -0.5)
