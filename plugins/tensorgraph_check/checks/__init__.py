"""Every check, a module per family, in the order in which they run: first what others need."""

from tensorgraph_check.check import Check
from tensorgraph_check.checks import (
    backends,
    forward,
    gradients,
    kernels,
    memory,
    optimizers,
    repeat,
    surroundings,
)

CHECKS: tuple[Check, ...] = (
    kernels.signature,
    forward.accepted,
    repeat.determinism,
    repeat.host_reads,
    forward.shape_rule,
    forward.dtypes,
    forward.reference,
    kernels.against_portable,
    kernels.untouched,
    gradients.gradients,
    gradients.broadcasting,
    optimizers.descent,
    optimizers.worked_example,
    forward.sizes,
    forward.layouts,
    memory.state,
    repeat.modes,
    memory.run_file,
    surroundings.compiled,
    surroundings.other_backends,
    backends.protocol,
    backends.arrays,
    backends.copies,
    backends.exchange,
    backends.random_bits,
    backends.conformance,
    backends.gradients,
    backends.own_kernels,
)
