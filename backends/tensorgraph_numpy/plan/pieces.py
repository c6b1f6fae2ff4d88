"""A call on a piece of the batch: its specs, its parameters and its kernel."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

from tensorgraph import Spec, config, execute
from tensorgraph.backend import Backend
from tensorgraph.errors import TensorgraphError
from tensorgraph.program import Call, Value
from tensorgraph_numpy.plan.direct import Direct, direct
from tensorgraph_numpy.plan.split import Batch

CHUNK_BYTES = 6 << 20  # of the largest value of a chunk: several of them fit the shared cache
BYTES_PER_SECOND, FLOPS_PER_SECOND = 2e10, 6e10  # of one thread, to guess what a call costs
FEWEST, MOST = 16, 64  # samples of a chunk: fewer make short runs in memory and short calls


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Samples ``start`` to ``stop`` of the batch, which one thread takes through a phase."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def chunks(batch: Batch, values: Sequence[Value], threads: int) -> list[list[Chunk]]:
    """For each thread its chunks, of about equal sizes; ``values`` are those made in pieces."""
    sizes = [math.prod(x.spec.shape) * _width(x.spec) for x in values if x in batch.axes]
    each = max(1, max(sizes, default=1) // batch.size)
    most = min(MOST, max(FEWEST, 1 << (CHUNK_BYTES // each).bit_length() - 1))
    shards = min(threads, batch.size)
    bounds = [batch.size * i // shards for i in range(shards + 1)]
    found = []
    for first, last in itertools.pairwise(bounds):
        found.append([Chunk(a, min(last, a + most)) for a in range(first, last, most)])
    return found


def _width(spec: Spec) -> int:
    return 1 if spec.dtype == "bool" else int(spec.dtype.lstrip("uintfloa")) // 8


def piece_spec(value: Value, batch: Batch, size: int) -> Spec:
    """The spec of a piece of ``size`` samples of a value, or of the value where it has none."""
    axis = batch.axes.get(value)
    if axis is None:
        return value.spec
    shape = value.spec.shape
    return Spec((*shape[:axis], size, *shape[axis + 1 :]), value.spec.dtype)


def of_piece(call: Call, batch: Batch, chunk: Chunk, backend: Backend) -> Direct | None:
    """How to run a call on the samples of a chunk; None where that would not give these samples
    of its result."""
    specs = tuple(piece_spec(x, batch, len(chunk)) for x in call.inputs)
    wanted = piece_spec(call.out, batch, len(chunk))
    params = dict(call.params)
    if params.get("shape") == call.out.spec.shape:
        params["shape"] = wanted.shape
    if "first" in params:  # the number of the first element
        params["first"] += chunk.start * (call.out.spec.size // batch.size)
    try:
        settled = execute.settle(call.op, backend, specs, params, config.current())
    except TensorgraphError:
        return None
    if settled.spec != wanted:
        return None
    return direct(call.op, settled.kernel, specs, settled.params)


def of_whole(call: Call, backend: Backend) -> Direct:
    """How to run a call on whole values."""
    specs = tuple(x.spec for x in call.inputs)
    settled = execute.settle(call.op, backend, specs, dict(call.params), config.current())
    return direct(call.op, settled.kernel, specs, settled.params)


def cost(call: Call) -> float:
    """About how many seconds a call takes on one thread."""
    moved = sum(x.spec.size * _width(x.spec) for x in (*call.inputs, call.out))
    count = call.op.count_flops
    flops = count(call.out.spec, *[x.spec for x in call.inputs], **call.params) if count else 0
    return float(moved / BYTES_PER_SECOND + flops / FLOPS_PER_SECOND)
