"""The ops: every function of tensors that tensorgraph knows, a module per family."""

from tensorgraph.ops.elementwise import *
from tensorgraph.ops.functions import *
from tensorgraph.ops.reduction import *
from tensorgraph.ops.shape import *
from tensorgraph.ops.random import (
    bernoulli,
    box_muller,
    dropout,
    literal,
    normal,
    random_bits,
    uniform,
    unit_interval,
)
