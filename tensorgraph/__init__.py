"""A small autograd engine that grows by plugins."""

from tensorgraph import config, errors, ops
from tensorgraph.autograd import grad
from tensorgraph.backend import Backend, Kernel
from tensorgraph.config import no_grad, seed, use
from tensorgraph.creation import tensor
from tensorgraph.data import Dataset
from tensorgraph.discovery import PLUGINS
from tensorgraph.execute import run
from tensorgraph.hookspecs import hookimpl
from tensorgraph.layer import Buffer, Layer, Parameter
from tensorgraph.op import Op, op
from tensorgraph.optimizer import Optimizer
from tensorgraph.program import compile  # noqa: A004  the field's word
from tensorgraph.spec import Shaped, Spec
from tensorgraph.tensor import Tensor

plugins = PLUGINS
layers = plugins.layers
activations = plugins.activations
losses = plugins.losses
initializers = plugins.initializers
optimizers = plugins.optimizers
regularizers = plugins.regularizers
schedules = plugins.schedules
datasets = plugins.datasets
augmentations = plugins.augmentations
models = plugins.models
metrics = plugins.metrics
callbacks = plugins.callbacks
commands = plugins.commands
walks = plugins.walks

__all__ = [
    "Backend",
    "Buffer",
    "Dataset",
    "Kernel",
    "Layer",
    "Op",
    "Optimizer",
    "Parameter",
    "Shaped",
    "Spec",
    "Tensor",
    "activations",
    "augmentations",
    "callbacks",
    "commands",
    "compile",
    "config",
    "datasets",
    "errors",
    "grad",
    "hookimpl",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "no_grad",
    "op",
    "ops",
    "optimizers",
    "plugins",
    "regularizers",
    "run",
    "schedules",
    "seed",
    "tensor",
    "use",
    "walks",
]
