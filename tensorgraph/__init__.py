"""A small autograd engine that grows by plugins."""

from tensorgraph import config, errors, ops
from tensorgraph.autograd import grad
from tensorgraph.backend import Backend, Kernel
from tensorgraph.config import no_grad, seed, use
from tensorgraph.creation import tensor
from tensorgraph.discovery import PLUGINS as plugins
from tensorgraph.execute import run
from tensorgraph.hookspecs import hookimpl
from tensorgraph.layer import Buffer, Layer, Parameter
from tensorgraph.op import Op, op
from tensorgraph.optimizer import Optimizer
from tensorgraph.registry import Registry
from tensorgraph.spec import Shaped, Spec
from tensorgraph.tensor import Tensor

layers: Registry = plugins.layers
activations: Registry = plugins.activations
losses: Registry = plugins.losses
initializers: Registry = plugins.initializers
optimizers: Registry = plugins.optimizers
regularizers: Registry = plugins.regularizers
schedules: Registry = plugins.schedules
datasets: Registry = plugins.datasets
augmentations: Registry = plugins.augmentations
models: Registry = plugins.models
metrics: Registry = plugins.metrics
callbacks: Registry = plugins.callbacks
commands: Registry = plugins.commands
