"""A small training to compile, and what compares it with the same training run eagerly."""

import numpy as np

import tensorgraph as tg


def batch(n=6, seed=0):
    rng = np.random.default_rng(seed)
    return tg.tensor(rng.standard_normal((n, 4)).astype("float32")), tg.tensor(np.arange(n) % 3)


class Training:
    """A small network with batch norm and dropout, its optimizer, and a step of both.

    A bias before a batch norm would have no gradient but rounding errors, which Adam amplifies.
    """

    def __init__(self, compiled=True, optimizer="adam", p=0.5, **options):
        layers = tg.layers
        tg.seed(0)
        self.norm, self.dropout = layers.batch_norm1d(), layers.dropout(p)
        first = layers.linear(5, bias=False)
        self.model = layers.sequential(
            first, self.norm, tg.activations.relu, self.dropout, layers.linear(3)
        )
        self.model.infer_shape(tg.Spec((2, 4), "float32"))
        self.optimizer = tg.optimizers[optimizer](self.model.parameters(), lr=0.05, **options)
        self.step, self.infer = self._step, self._infer
        if compiled:
            self.step, self.infer = tg.compile(self._step), tg.compile(self._infer)

    def _step(self, x, y):
        loss = tg.ops.cross_entropy(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def _infer(self, x):
        return tg.ops.softmax(self.model(x), axis=1)

    def weights(self):
        return {name: x.numpy() for name, x in self.model.state().items()}


def assert_same(got, want, tolerance=2e-5):
    assert got.keys() == want.keys()
    for name, x in want.items():
        np.testing.assert_allclose(got[name], x, rtol=tolerance, atol=tolerance, err_msg=name)


def both(script, **options):
    """What a script does compiled, after it was checked to be what it does eagerly."""
    eager, compiled = Training(False, **options), Training(**options)
    tg.seed(1)
    want = script(eager)
    tg.seed(1)
    found = script(compiled)
    np.testing.assert_allclose(found, want, rtol=2e-5)
    assert_same(compiled.weights(), eager.weights())
    return compiled


def plans(compiled):
    return sum(map(len, compiled.plans.values()))
