"""A small model for the tests of training, and a way to run the command in this process."""

from tensorgraph_cli import main

import tensorgraph as tg


class Small(tg.Layer):
    """Two layers of weights with dropout between; ``scale`` spoils the first on purpose."""

    def __init__(self, classes=10, hidden=24, scale=0.1, rate=0.0):
        def normal(spec):
            return tg.ops.normal(spec.shape, std=scale, dtype=spec.dtype)

        self.classes, self.hidden, self.rate = classes, hidden, rate
        self.inner = Product(hidden, normal)
        self.outer = Product(classes, normal)

    def forward(self, x):
        x = tg.ops.tanh(self.inner(x.reshape(x.shape[0], -1)))
        return self.outer(tg.ops.dropout(x, p=self.rate, training=self.training))


class Product(tg.Layer):
    def __init__(self, out, initializer):
        self.out = out
        self.weight = tg.Parameter(initializer)

    def build(self, x):
        self.weight.initialize((x.shape[1], self.out), x.dtype)

    def forward(self, x):
        return x @ self.weight


class Explodes(Small):
    def forward(self, x):
        return tg.ops.log(super().forward(x))


def falls(scores, labels):
    """A metric that gets worse with every call."""
    falls.calls += 1
    return 1.0 / falls.calls


falls.calls = 0


class Stops:
    """Ends the run, as Ctrl-C would, before batch ``at`` of epoch ``epoch``."""

    def __init__(self, epoch: int = 1, at: int = 5):
        self.epoch, self.at = epoch, at

    def on_batch(self, run):
        if (run.progress.epoch, run.progress.batch) == (self.epoch, self.at):
            raise KeyboardInterrupt


class Plugin:
    @staticmethod
    @tg.hookimpl
    def register_models(register):
        register("small", Small)
        register("explodes", Explodes)

    @staticmethod
    @tg.hookimpl
    def register_metrics(register):
        register("falls", falls)

    @staticmethod
    @tg.hookimpl
    def register_callbacks(register):
        register("stops", Stops)


def install():
    """Register the plugin, once a process."""
    if "small" not in tg.models:
        tg.plugins.register(Plugin, "training-help")


def command(*arguments):
    """``tensorgraph …``; returns the exit status."""
    install()
    return main(list(map(str, arguments)))


if __name__ == "__main__":
    import sys

    sys.exit(command(*sys.argv[1:]))
