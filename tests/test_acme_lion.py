"""tests/acme/lion: the optimizer against its paper's algorithm in NumPy, and in a training run."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from strangers import ACME, install_acme
from training_help import command, train

import tensorgraph as tg
from tensorgraph.discovery import Plugins
from tensorgraph.errors import ConfigError


@pytest.fixture
def lion(monkeypatch):
    """The class, as the plugin registers it."""
    monkeypatch.syspath_prepend(ACME / "lion")
    plugins = Plugins()
    plugins.register(importlib.import_module("acme_lion"), "acme_lion")
    yield plugins.optimizers.lion
    sys.modules.pop("acme_lion")


def algorithm(p, gradients, lr, betas, weight_decay):
    """Chen et al. 2023, algorithm 2, line by line and one element at a time."""
    p = p.astype(np.float64)
    for i in range(p.size):
        momentum = 0.0
        for gradient in gradients:
            g = gradient.flat[i]
            blend = betas[0] * momentum + (1.0 - betas[0]) * g
            sign = 1.0 if blend > 0 else -1.0 if blend < 0 else 0.0
            p.flat[i] -= lr * (sign + weight_decay * p.flat[i])
            momentum = betas[1] * momentum + (1.0 - betas[1]) * g
    return p


@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.95, 0.98), (0.0, 0.5)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_it_is_the_papers_algorithm(lion, betas, weight_decay):
    random = np.random.default_rng(0)
    start = random.standard_normal((3, 4))
    gradients = [random.standard_normal((3, 4)) for _ in range(30)]
    gradients[5][0, 0] = gradients[0][0, 0] = 0.0
    p = tg.tensor(start, requires_grad=True)
    optimizer = lion([p], lr=0.01, betas=betas, weight_decay=weight_decay)
    for g in gradients:
        p.grad = tg.tensor(g)
        optimizer.step()
    want = algorithm(start, gradients, 0.01, betas, weight_decay)
    np.testing.assert_allclose(p.numpy(), want, rtol=1e-12)
    assert abs(want - start).max() > 0.05


def test_it_comes_to_the_least_of_a_convex_function(lion):
    least = np.array([1.0, -2.0, 0.5])
    x = tg.tensor(np.zeros(3), requires_grad=True)
    optimizer = lion([x], lr=0.05)

    @tg.compile
    def step():
        loss = tg.ops.sum(tg.ops.square(x - least_there))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    least_there = tg.tensor(least)
    for i in range(300):
        optimizer.lr = 0.05 * (1 - i / 300)
        step()
    np.testing.assert_allclose(x.numpy(), least, atol=0.02)


def test_it_goes_on_from_its_state(lion):
    def run(steps, optimizer, x):
        for i in range(steps.start, steps.stop):
            x.grad = tg.tensor(np.cos(np.arange(3) + i))
            optimizer.step()

    whole, first = (tg.tensor(np.ones(3), requires_grad=True) for _ in range(2))
    run(range(10), lion([whole], lr=0.1), whole)
    before = lion([first], lr=0.1)
    run(range(4), before, first)
    after = lion([first], lr=1.0)
    after.load_state(before.state())
    run(range(4, 10), after, first)
    np.testing.assert_array_equal(first.numpy(), whole.numpy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": (0.9, 1.0)}, r"Lion: betas=\(0.9, 1.0\) are not two numbers from 0 up to, but"),
        ({"weight_decay": -1.0}, "Lion: weight_decay=-1.0 is not a number from 0 on"),
        ({"lr": -1.0}, "Lion: lr=-1.0 is not a number from 0 on"),
    ],
)
def test_what_it_refuses(lion, options, message):
    with pytest.raises(ConfigError, match=message):
        lion([tg.tensor([1.0], requires_grad=True)], **options)


def test_it_trains(lion, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(tg.plugins.optimizers._things, "lion", lion)
    monkeypatch.setitem(tg.plugins.optimizers._plugins, "lion", "acme_lion")
    lion_of = "train.optimizer={name = 'lion', lr = 0.003, weight_decay = 0.1}"
    assert command(*train("--data", "digits", "--epochs", "4", "--set", lion_of)) == 0
    found = json.loads(Path("out/evaluation.json").read_text())
    assert found["metrics"]["accuracy"]["value"] > 0.3


def test_installed_it_is_found(tmp_path, monkeypatch):
    from tensorgraph.discovery import load_entry_points

    monkeypatch.syspath_prepend(tmp_path)
    install_acme(tmp_path, "lion")
    plugins = Plugins(load_entry_points)
    info = len(plugins.optimizers) and plugins.infos["acme_lion"]
    assert (info.distribution, info.version, info.registered) == (
        "acme-lion",
        "1.0",
        (("optimizer", "lion"),),
    )
    sys.modules.pop("acme_lion")
