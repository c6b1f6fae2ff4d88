"""Linear layers on flattened maps, whose weights plans hold as maps: nothing is copied, and to all
others the weights are what they were."""

import numpy as np
import pytest
from cuda_plans import planned
from test_cuda_plan import available, emulated  # noqa: F401
from test_cuda_plan_whole import IMAGES, LABELS, check, training

import tensorgraph as tg

layers = tg.layers
pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")


def net(*between):
    return layers.sequential(
        layers.conv2d(4, 3),
        tg.activations.relu,
        layers.max_pool2d(2),
        layers.flatten(),
        *between,
        layers.linear(10),
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9}, {"clip_norm": 1.0, "clip_value": 0.5, "weight_decay": 0.1}],
    ids=str,
)
def test_nothing_is_copied(options):
    for between in ((), (layers.dropout(0.3), tg.activations.tanh)):
        plan = planned(*training(net(*between), IMAGES, LABELS, **options))
        names = {task.name for task in plan.tasks}
        assert not names & {"laid", "reshape"}, names
        held = {x.spec.shape for x in plan.program.state}
        assert (10, 4, 3, 3) in held and (10, 36) not in held


def test_a_layer_that_looks_across_the_map_has_it_flat():
    """A bias for each element, a norm over all: they want the usual order."""
    check(*training(net(layers.layer_norm(), layers.linear(7)), IMAGES, LABELS))


class Both:
    """A training step, and a step that takes the weights as they are known to it."""

    def __init__(self, compiled):
        tg.seed(3)
        self.model = net()
        self.model.infer_shape(tg.Spec((5, 2, 8, 8), "float32"))
        self.weight = dict(self.model.named_parameters().items())["4.weight"]
        optimizer = tg.optimizers["adam"](self.model.parameters(), lr=0.01, clip_norm=0.5)
        penalty = tg.regularizers["elastic_net"]()

        def train(x, y):
            loss = tg.ops.cross_entropy(self.model(x), y)
            loss = loss + penalty(self.model.named_parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        def look(x):
            return tg.ops.sum(self.weight * x, axis=1), self.weight[2, 5:9]

        wrap = tg.compile if compiled else lambda step: step
        self.train, self.look = wrap(train), wrap(look)

    def run(self):
        random, found = np.random.default_rng(0), []
        for _ in range(3):
            x = tg.tensor(random.standard_normal((5, 2, 8, 8)).astype(np.float32))
            found.append(self.train(x, tg.tensor(np.arange(5))).numpy())
            given = tg.tensor(random.standard_normal((10, 36)).astype(np.float32))
            found += [y.numpy() for y in self.look(given)]
            found.append(self.weight.numpy())
            self.weight.data = self.weight.backend.asarray(self.weight.numpy() * 0.9, "float32")
        return found


def test_plans_that_hold_a_weight_otherwise(emulated):  # noqa: F811
    with tg.use(backend="numpy"):
        want = Both(False).run()
    with tg.use(backend="cupy"):
        found = Both(True).run()
    for x, y in zip(want, found, strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-5)
