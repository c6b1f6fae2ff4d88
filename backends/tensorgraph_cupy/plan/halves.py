"""Which values are stored as bfloat16 where the precision says so: what the samples of a batch are
turned into on their way, and what is multiplied.

Parameters, statistics, an optimizer's memory, what is returned, scores and losses stay float32, and
so does what a kernel without bfloat16 reads or makes.
"""

from __future__ import annotations

from tensorgraph.program import Call, Program, Value
from tensorgraph_cupy.kernels.pool import KERNELS
from tensorgraph_cupy.plan.chains import SUMS, group_of
from tensorgraph_cupy.plan.layout import VIEWS

FACTORS = ("matmul", "conv", "conv_input", "conv_weight")
ALIKE = (*KERNELS, "drop", "concatenate", "pad_constant")  # all of one dtype
SCORED = "label_cross_entropy_input"  # its gradient has the storage that products want
HALF = "bfloat16"


class Halves:
    """Goes along with the calls of a program, in order."""

    def __init__(self, program: Program) -> None:
        self.single = set(program.results())
        first = [x.spec.shape[0] for x in program.arguments if x.spec.shape]
        self.batch = max(set(first), key=first.count, default=0)
        self.samples = {x for x in program.arguments if x.spec.shape[:1] == (self.batch,)}
        self.scores: set[Value] = set()  # products to which a bias is added to make what is single
        for call in reversed(program.calls):
            name = call.op.name
            if name in VIEWS:
                if call.out in self.single:
                    self.single.update(call.inputs)
            elif name == SCORED:
                self.single.update(call.inputs)
            elif name not in FACTORS + ALIKE and group_of(call) is None:
                self.single.update((*call.inputs, call.out))
            elif name == "add" and call.out in self.single and call.inputs[1].spec.ndim < 2:
                self.scores.add(call.inputs[0])
        self.arguments = self._factors(program)

    def _factors(self, program: Program) -> set[Value]:
        """The arguments that are multiplied, and nothing else: copied to the device as bfloat16."""
        found = {x for x in program.arguments if x.spec.dtype == "float32"} - self.single
        source = {x: x for x in found}  # views of them → whose
        for call in program.calls:
            seen = [source[x] for x in call.inputs if x in source]
            if call.op.name in VIEWS and seen:
                source[call.out] = seen[0]
            elif call.op.name not in FACTORS:
                found.difference_update(seen)
        return found & set(source.values()) - {source[x] for x in program.results() if x in source}

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
        floating = x.spec.dtype == "float32" and x not in self.single | self.scores
        if call.op.name in ("conv", "conv_input", "conv_weight"):
            return HALF if floating else None
        return HALF if floating and x in self.samples and x.spec.ndim > 1 else None


def _moved(call: Call) -> bool:
    first: int = call.params["axes"][0]
    return first != 0
