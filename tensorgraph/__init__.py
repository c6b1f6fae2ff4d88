"""A small autograd engine that grows by plugins."""

# ruff: noqa: I001  "x as x" says that a name is public, and several stand on a line

from tensorgraph import config as config, errors as errors, ops as ops
from tensorgraph.autograd import grad as grad
from tensorgraph.backend import Backend as Backend, Kernel as Kernel
from tensorgraph.config import no_grad as no_grad, seed as seed, use as use
from tensorgraph.creation import tensor as tensor
from tensorgraph.data import Dataset as Dataset
from tensorgraph.discovery import PLUGINS
from tensorgraph.execute import run as run
from tensorgraph.hookspecs import hookimpl as hookimpl
from tensorgraph.layer import Buffer as Buffer, Layer as Layer, Parameter as Parameter
from tensorgraph.op import Op as Op, op as op
from tensorgraph.optimizer import Optimizer as Optimizer
from tensorgraph.program import compile as compile  # noqa: A004  the field's word
from tensorgraph.spec import Shaped as Shaped, Spec as Spec
from tensorgraph.tensor import Tensor as Tensor

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
