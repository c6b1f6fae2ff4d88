"""Optimizers, regularizers and schedules; the optimizers' parameters and formulas are PyTorch's."""

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register
from tensorgraph_optim import regularizers, schedules
from tensorgraph_optim.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop

OPTIMIZERS = {"adagrad": Adagrad, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop, "sgd": SGD}
REGULARIZERS = ("elastic_net", "l1", "l2")
SCHEDULES = ("constant", "cosine", "exponential", "multi_step", "one_cycle", "step")


@hookimpl
def register_optimizers(register: Register) -> None:
    for name, optimizer in OPTIMIZERS.items():
        register(name, optimizer)


@hookimpl
def register_regularizers(register: Register) -> None:
    for name in REGULARIZERS:
        register(name, getattr(regularizers, name))


@hookimpl
def register_schedules(register: Register) -> None:
    for name in SCHEDULES:
        register(name, getattr(schedules, name))
