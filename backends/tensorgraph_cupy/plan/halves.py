"""Which values are stored as bfloat16 where the precision says so: what the samples of a batch are
turned into on their way, and what is multiplied.

Parameters, statistics, an optimizer's memory, what is returned, scores and losses stay float32, and
so does what a kernel without bfloat16 reads or makes.
"""

from __future__ import annotations

from tensorgraph.program import Call, Program
from tensorgraph_cupy.kernels.pool import KERNELS
from tensorgraph_cupy.plan.chains import SUMS, group_of
from tensorgraph_cupy.plan.layout import VIEWS

FACTORS = ("matmul", "conv", "conv_input", "conv_weight")
ALIKE = (*KERNELS, "drop", "concatenate", "pad_constant")  # all of one dtype
HALF = "bfloat16"


class Halves:
    """Goes along with the calls of a program, in order."""

    def __init__(self, program: Program) -> None:
        self.single = set(program.results())
        first = [x.spec.shape[0] for x in program.arguments if x.spec.shape]
        self.batch = max(set(first), key=first.count, default=0)
        self.samples = {x for x in program.arguments if x.spec.shape[:1] == (self.batch,)}
        for call in reversed(program.calls):
            name = call.op.name
            if name in VIEWS:
                if call.out in self.single:
                    self.single.update(call.inputs)
            elif name not in FACTORS + ALIKE and group_of(call) is None:
                self.single.update((*call.inputs, call.out))

    def follow(self, call: Call) -> None:
        """Note whether a result has the samples of the batch along its first axis."""
        name, shape = call.op.name, call.out.spec.shape
        has = any(x in self.samples for x in call.inputs) and shape[:1] == (self.batch,)
        if name in SUMS or name == "conv_weight" or (name == "permute_dims" and _moved(call)):
            has = False
        if name == "matmul":
            has = has and call.inputs[0] in self.samples
        if has:
            self.samples.add(call.out)

    def stored(self, call: Call) -> str | None:
        """The dtype of storage of a call's result, where it is another than its own."""
        x = call.out
        floating = x.spec.dtype == "float32" and x not in self.single
        if call.op.name in ("conv", "conv_input", "conv_weight"):
            return HALF if floating else None
        return HALF if floating and x in self.samples and x.spec.ndim > 1 else None


def _moved(call: Call) -> bool:
    first: int = call.params["axes"][0]
    return first != 0
