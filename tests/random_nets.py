"""Networks of convolutions and pools drawn by a seed, for tests of compiled steps."""

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ShapeError

ops = tg.ops
ACTIVATIONS = (ops.relu, ops.leaky_relu, ops.tanh, ops.sigmoid, ops.gelu, ops.silu)


class RandomNet:
    """Convolutions, what stands between them, and pools, over images of odd and even sizes in 1 to
    3 dimensions. Some values before a pool also go to the loss, or around a convolution."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.axes = int(self.rng.choice([1, 2, 2, 2, 3]))
        high = {1: 40, 2: 30, 3: 16}[self.axes]
        size = self.rng.integers(13, high, self.axes)
        self.images = tg.tensor(self.rng.standard_normal((5, 4, *size)))
        self.weights, self.stages = [], []
        x = self.images
        for _ in range(self.draw(2, 3)):
            for make in self.block():
                x = self.added(make, x)

    def step(self, x):
        """The loss, its gradients in all weights, and sometimes what a stage has made."""
        self.aside = []
        for stage in self.stages:
            x = stage(x)
        loss = ops.mean(ops.square(x))
        for y in self.aside:
            loss = loss + ops.mean(ops.square(y))
        return loss, *tg.grad(loss, self.weights), *self.aside

    def draw(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def often(self, share=0.5):
        return bool(self.rng.random() < share)

    def weight(self, *shape):
        x = tg.tensor(self.rng.standard_normal(shape) * 0.5, requires_grad=True)
        self.weights.append(x)
        return x

    def added(self, make, x):
        """What a new stage makes of ``x``; if images are too small for it there is none."""
        before = len(self.weights)
        stage = make()
        self.aside = []
        try:
            y = stage(x)
        except ShapeError:
            del self.weights[before:]
            return x
        self.stages.append(stage)
        return y

    def block(self):
        """Makers of stages."""
        yield self.conv
        if self.often():
            yield self.bias
        if self.often(0.1):
            yield self.normalized
        yield lambda: ACTIVATIONS[self.draw(0, 5)]
        if self.often(0.1):
            yield lambda: lambda x: ops.dropout(x, p=0.3)
        if self.often(0.1):
            yield lambda: self.shown
        if self.often(0.9):
            yield self.pool

    def conv(self):
        groups, k = self.draw(1, 2), self.draw(1, 3)
        w = self.weight(4, 4 // groups, *[k] * self.axes)
        if self.often(0.2):
            return lambda x: x + ops.conv(x, w, groups=groups, padding="same")
        given = {
            "stride": self.draw(1, 2),
            "dilation": self.draw(1, 2),
            "groups": groups,
            "padding": tuple((self.draw(0, 2), self.draw(0, 2)) for _ in range(self.axes)),
        }
        return lambda x: ops.conv(x, w, **given)

    def bias(self):
        b = self.weight(4, *[1] * self.axes)
        return lambda x: x + b

    def normalized(self):
        w, b = self.weight(4), self.weight(4)
        return lambda x: ops.batch_norm(x, weight=w, bias=b, training=True)[0]

    def shown(self, x):
        self.aside.append(x)
        return x

    def pool(self):
        k = self.draw(2, 3)
        given = {
            "kernel_size": k,
            "stride": self.draw(1, 3),
            "padding": int(self.often(0.2)),
            "ceil_mode": self.often(0.3),
        }
        if self.often():
            dilation = self.draw(1, 2)
            return lambda x: ops.max_pool(x, dilation=dilation, **given)
        inside = self.often()
        return lambda x: ops.avg_pool(x, count_include_pad=inside, **given)
