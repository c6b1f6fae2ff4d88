"""What is computed in pieces, and in which phase: as early as phases.py says, or later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tensorgraph.backend import Backend
from tensorgraph.program import Call, Program, Value
from tensorgraph_numpy.plan import pieces
from tensorgraph_numpy.plan.own_ops import SPLITS
from tensorgraph_numpy.plan.phases import Phase, phases
from tensorgraph_numpy.plan.split import ELEMENTWISE, Batch

WORTH_PIECES = 200e-6  # seconds of work in a phase: below, neither threads nor the cache gain
HEAVY_BYTES = 1 << 18  # of a matrix that would be read again for every piece
FEW_ROWS = 64  # samples with which a product takes longer to read its matrix than to use it


def batch_of(program: Program, backend: Backend) -> Batch:
    """How the calls are split, without those that are better or only computed at once."""
    whole: set[Value] = set()
    while True:
        batch = Batch(program, whole, SPLITS)
        split = [c for c in program.calls if in_pieces(c, batch)]
        few = {c.out for c in split if _heavy(c, batch)}
        if not few:
            some = pieces.Chunk(0, max(1, batch.size // 2))
            few = {c.out for c in split if pieces.of_piece(c, batch, some, backend) is None}
        if not few:
            found = [phase for phase in phases(program.calls, batch) if phase.pieces]
            slight = [p for p in found if sum(map(pieces.cost, p.calls)) < WORTH_PIECES]
            few = {c.out for phase in slight for c in phase.calls}
        if not few:
            return batch
        whole |= few


def in_pieces(call: Call, batch: Batch) -> bool:
    out = call.out
    return (out in batch.axes or out in batch.sums) and out not in batch.whole


def _heavy(call: Call, batch: Batch) -> bool:
    """A product with few samples and a matrix of weights, or of their gradients, so large that the
    threads better share the matrix than the samples."""
    if call.op.name not in ("matmul", "product") or batch.size > FEW_ROWS * 4:
        return False
    held = [x.spec for x in (*call.inputs, call.out) if x not in batch.axes]
    return any(spec.size * 4 > HEAVY_BYTES for spec in held)


def scheduled(program: Program, batch: Batch) -> list[Phase]:
    """The phases, with calls postponed that nobody needs so soon.

    A call on whole values waits for the last phase before its first reader, so that the updates of
    all parameters come together. An elementwise call on pieces waits for its reader where its
    inputs are kept until then: a mask is made when it is needed, and not kept from the forward
    pass to the backward pass.
    """
    found = phases(program.calls, batch)
    number = {call.out: i for i, phase in enumerate(found) for call in phase.calls}
    readers: dict[Value, list[Value]] = {}
    for call in program.calls:
        for x in call.inputs:
            readers.setdefault(x, []).append(call.out)
    results = set(program.results())
    last_whole = max((i for i, phase in enumerate(found) if not phase.pieces), default=-1)
    for call in reversed(program.calls):
        out = call.out
        latest = min((number[y] for y in readers.get(out, ())), default=len(found))
        if not found[number[out]].pieces:
            latest = min(latest, last_whole)
            while found[latest].pieces:
                latest -= 1
            number[out] = max(number[out], latest)
        elif (
            call.op.name in ELEMENTWISE
            and out not in results
            and latest < len(found)
            and found[latest].pieces
            and _kept(call, latest, number, readers, batch)
        ):
            number[out] = latest
    return [
        Phase(phase.pieces, [c for c in program.calls if number[c.out] == i])
        for i, phase in enumerate(found)
    ]


def _kept(
    call: Call,
    until: int,
    number: Mapping[Value, int],
    readers: Mapping[Value, Sequence[Value]],
    batch: Batch,
) -> bool:
    """Whether all that a call reads is kept until a phase anyway."""
    return all(
        x not in number
        or x not in batch.axes
        or any(number[y] >= until for y in readers[x] if y is not call.out)
        for x in call.inputs
    )
