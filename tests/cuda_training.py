"""Small networks in training, eagerly or compiled, from fixed weights and on fixed batches."""

import numpy as np

import tensorgraph as tg

BATCH = 4
HE = 2.0


def normed(classes):
    layers = tg.layers
    return layers.sequential(
        layers.conv2d(8, 3, padding=1),
        layers.batch_norm2d(),
        tg.activations.relu,
        layers.dropout(0.3),
        layers.conv2d(12, 1),
        layers.batch_norm2d(),
        tg.activations.relu,
        layers.avg_pool2d(2),
        layers.flatten(),
        layers.linear(classes),
    )


class Training:
    """A model with fixed weights, and steps on fixed batches."""

    def __init__(self, make, shape, optimizer, options, compiled):
        tg.seed(3)
        self.random = np.random.default_rng(0)
        self.shape = (BATCH, *shape)
        self.model = make(10)
        self.model(tg.tensor(np.zeros(self.shape, np.float32)))
        weights = np.random.default_rng(5)
        for x in self.model.state().values():
            if x.dtype == "float32" and x.ndim > 1:
                scale = np.sqrt(HE / np.prod(x.shape[1:]))
                drawn = weights.normal(size=x.shape) * scale
                x.data = x.backend.asarray(drawn.astype(np.float32), None)
        self.optimizer = tg.optimizers[optimizer](self.model.parameters(), **options)
        self.model.train()
        self.step = tg.compile(self._step) if compiled else self._step

    def _step(self, x, y):
        loss = tg.ops.cross_entropy(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def batch(self):
        x = self.random.normal(size=self.shape).astype(np.float32)
        return tg.tensor(x), tg.tensor(self.random.integers(0, 10, BATCH))

    def run(self, steps):
        losses = []
        for i in range(steps):
            self.optimizer.lr *= 1 - 0.1 * i  # a plan reads it anew
            losses.append(self.step(*self.batch()).item())
        return losses

    def weights(self):
        return {name: np.array(x.numpy()) for name, x in self.model.state().items()}


SGD = "sgd", {"lr": 0.02, "momentum": 0.9}
ADAM = "adam", {"lr": 1e-3}
WORKLOADS = {
    "mlp": (tg.models.mlp, (1, 6, 6), *SGD),
    "lenet5": (tg.models.lenet5, (1, 28, 28), *ADAM),
    "simple_cnn": (tg.models.simple_cnn, (1, 28, 28), *SGD),
    "normed": (normed, (3, 8, 8), *SGD),
}
