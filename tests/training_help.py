"""A small model for the tests of training, and a way to run the command in this process."""

import os
import time
from pathlib import Path

import numpy
from PIL import Image
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


def normed(classes=10, dropout=0.3):
    """A small CNN without biases before its norms: they would have no gradient but rounding errors,
    which Adam makes large."""
    layers = tg.layers
    stages = []
    for count in (4, 6):
        conv = layers.conv2d(count, 3, padding=1, bias=False)
        stages += [conv, layers.batch_norm2d(), tg.activations.relu, layers.max_pool2d(2)]
    return layers.sequential(
        *stages, layers.flatten(), layers.dropout(dropout), layers.linear(classes)
    )


class Explodes(Small):
    def forward(self, x):
        return tg.ops.log(super().forward(x))


class Grows(Small):
    """Its logits grow faster than its weights, so that the loss is soon infinite."""

    def forward(self, x):
        out = super().forward(x)
        return out * out * out * 1e4


class Reads(Small):
    """Decides by a value, which no recording can repeat."""

    def forward(self, x):
        return super().forward(x) * (1.0 if x.backend.name == "abstract" or x.sum() < 1e9 else 2.0)


def doubt(scores, labels):
    """A metric that falls with every epoch: the mean entropy."""
    return float(-(scores * numpy.log(scores + 1e-12)).sum(1).mean())


class Stops:
    """Ends the run, as Ctrl-C would, before batch ``at`` of epoch ``epoch``."""

    def __init__(self, epoch: int = 1, at: int = 5):
        self.epoch, self.at = epoch, at

    def on_batch(self, run):
        if (run.progress.epoch, run.progress.batch) == (self.epoch, self.at):
            raise KeyboardInterrupt


class Waits:
    """Stands still in the middle of the second epoch, so that a signal comes there however busy
    the machine is; not in the run that resumes."""

    def on_batch(self, run):
        if (run.progress.epoch, run.progress.batch) == (1, 5) and "WAIT_FOR_SIGNAL" in os.environ:
            time.sleep(120)


class Plugin:
    @staticmethod
    @tg.hookimpl
    def register_models(register):
        register("small", Small)
        register("normed", normed)
        register("explodes", Explodes)
        register("grows", Grows)
        register("reads", Reads)

    @staticmethod
    @tg.hookimpl
    def register_metrics(register):
        register("doubt", doubt)

    @staticmethod
    @tg.hookimpl
    def register_callbacks(register):
        register("stops", Stops)
        register("waits", Waits)


def install():
    """Register the plugin, once a process."""
    if "small" not in tg.models:  # which loads the installed plugins first
        tg.plugins.register(Plugin, "training-help")


def command(*arguments):
    """``tensorgraph …``; returns the exit status."""
    install()
    return main(list(map(str, arguments)))


def pictures(folder, *classes, n=12, size=(8, 8)):
    """A folder of grey images, each class a little brighter than the one before."""
    for i, name in enumerate(classes):
        (Path(folder) / name).mkdir(parents=True)
        for j in range(n):
            grey = numpy.random.default_rng(100 * i + j).integers(0, 128, size) + 100 * i
            Image.fromarray(grey.astype(numpy.uint8)).save(Path(folder) / name / f"{j}.png")
    return folder


def archive(path, **changes):
    """A data set in MedMNIST's layout."""
    generator = numpy.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 20), ("val", 8), ("test", 8)):
        arrays[f"{part}_images"] = generator.integers(0, 255, (n, 8, 8)).astype(numpy.uint8)
        arrays[f"{part}_labels"] = (numpy.arange(n) % 2)[:, None]
    numpy.savez(path, **{**arrays, **changes})
    return path


def train(*arguments):
    """A short training run into the folder out."""
    return ("train", "--model", "small", "--epochs", "1", "--out", "out", *arguments)


if __name__ == "__main__":
    import sys

    sys.exit(command(*sys.argv[1:]))
