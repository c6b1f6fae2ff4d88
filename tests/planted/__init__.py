"""Things with one fault each, and the check that has to catch it.

``cd tests && python -m planted`` prints the table: each fault, and which check caught it.
"""

from planted.backends import BACKEND_FAULTS
from planted.functions import FUNCTION_FAULTS
from planted.kernels import KERNEL_FAULTS
from planted.layers import LAYER_FAULTS
from planted.optimizers import OPTIMIZER_FAULTS

FAULTS = (
    *LAYER_FAULTS,
    *FUNCTION_FAULTS,
    *OPTIMIZER_FAULTS,
    *KERNEL_FAULTS,
    *BACKEND_FAULTS,
)
