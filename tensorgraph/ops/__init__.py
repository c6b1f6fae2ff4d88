"""The ops: every function of tensors that tensorgraph knows, a module per family."""

from tensorgraph.ops.elementwise import *
from tensorgraph.ops.functions import *
from tensorgraph.ops.reduction import *
from tensorgraph.ops.shape import *
