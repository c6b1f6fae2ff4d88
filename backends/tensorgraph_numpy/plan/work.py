"""What a phase of a plan does: calls on whole values, or on pieces that threads share."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tensorgraph.backend import Backend
from tensorgraph.program import Call, Value
from tensorgraph_numpy.plan import pieces
from tensorgraph_numpy.plan.blocks import Blocks, suits
from tensorgraph_numpy.plan.measure import Parts
from tensorgraph_numpy.plan.pieces import Chunk
from tensorgraph_numpy.plan.split import Batch
from tensorgraph_numpy.plan.steps import Ready, steps
from tensorgraph_numpy.threads import POOL


class Whole:
    """Calls on whole values, one after the other; large elementwise ones in blocks."""

    def __init__(
        self,
        calls: Sequence[Call],
        slots: Mapping[Value, int],
        kept: Collection[Value],
        backend: Backend,
    ) -> None:
        self.calls = calls
        how = {call.out: pieces.of_whole(call, backend) for call in calls}
        self._parts: list[Ready | Blocks] = []
        groups = _groups(calls, [suits(call, how[call.out]) for call in calls])
        for i, (large, group) in enumerate(groups):
            read = {x for _, later in groups[i + 1 :] for call in later for x in call.inputs}
            left = {*kept, *read}
            if large:
                self._parts.append(Blocks(group, how, slots, left))
            else:
                found = steps(group, how, lambda x: x.spec, slots, left)
                self._parts.append(Ready(found, [slots[x] for x in left]))

    def __str__(self) -> str:
        return "whole values"

    @property
    def threads(self) -> int:
        return max(
            (len(part.shares) for part in self._parts if isinstance(part, Blocks)), default=1
        )

    def parts(self) -> list[Parts]:
        found = []
        for part in self._parts:
            if isinstance(part, Ready):
                found.append(Parts(part, 1))
            else:
                found += [Parts(chain.ready, len(part.shares)) for chain in part.chains]
        return found

    def run(self, values: list[Any], rows: Sequence[list[Any]]) -> None:
        for part in self._parts:
            part.run(values)


def _groups(calls: Sequence[Call], large: Sequence[bool]) -> list[tuple[bool, list[Call]]]:
    """The calls in groups that run one after the other, large ones and others in turns."""
    number: dict[Value, int] = {}  # odd: large
    found: dict[int, list[Call]] = {}
    for call, kind in zip(calls, large):
        before = [number[x] for x in call.inputs if x in number]
        at = max((n + (n % 2 != kind) for n in before), default=int(kind))
        number[call.out] = at
        found.setdefault(at, []).append(call)
    return [(at % 2 == 1, found[at]) for at in sorted(found)]


class Pieces:
    """Calls on pieces: each thread takes its chunks of the batch through all of them.

    A chunk has a row of values of its own, which later phases find again; its arrays are never put
    side by side unless somebody reads them whole.
    """

    def __init__(
        self,
        calls: Sequence[Call],
        batch: Batch,
        chunks: Sequence[Sequence[Chunk]],
        made: Collection[Value],
        slots: Mapping[Value, int],
        kept: Collection[Value],
        gathered: Collection[Value],
        backend: Backend,
    ) -> None:
        """``chunks`` are those of each thread, whose rows have pieces of the values ``made``
        before; later phases read ``kept`` in pieces and ``gathered`` whole."""
        self.calls = calls
        outs = {call.out for call in calls}
        inputs = dict.fromkeys(x for call in calls for x in call.inputs if x not in outs)
        self.shared = [slots[x] for x in inputs if x not in batch.axes]
        self.cut = [(slots[x], batch.axes[x]) for x in inputs if x in batch.axes and x not in made]
        sums = [call.out for call in calls if call.out in batch.sums]
        self.gathered = [(slots[x], batch.axes[x]) for x in gathered]
        self.sums: dict[int, bool] = {}  # → whether what a piece gives may be written to
        self.shards: list[list[tuple[int, Chunk, Ready]]] = []  # of each thread
        number = 0
        for shard in chunks:
            self.shards.append([])
            for chunk in shard:
                how = {}
                for call in calls:
                    direct = pieces.of_piece(call, batch, chunk, backend)
                    assert direct is not None  # schedule.batch_of has tried
                    how[call.out] = direct
                self.sums = {slots[x]: how[x].fresh for x in sums}
                spec = functools.partial(pieces.piece_spec, batch=batch, size=len(chunk))
                left = {*kept, *gathered, *sums}
                found = steps(calls, how, spec, slots, left)
                self.shards[-1].append((number, chunk, Ready(found, [slots[x] for x in left])))
                number += 1

    @property
    def threads(self) -> int:
        return len(self.shards)

    def __str__(self) -> str:
        size = max(len(chunk) for shard in self.shards for _, chunk, _ in shard)
        return f"pieces of {size} samples"

    def parts(self) -> list[Parts]:
        return [Parts(ready, self.threads) for shard in self.shards for _, _, ready in shard]

    def run(self, values: list[Any], rows: Sequence[list[Any]]) -> None:
        totals: list[dict[int, Any]] = [{} for _ in self.shards]
        POOL.run(
            [
                functools.partial(self._work, shard, values, rows, total)
                for shard, total in zip(self.shards, totals)
            ]
        )
        first = totals[0]
        for total in totals[1:]:
            _add_up(first, total)
        for slot, x in first.items():
            values[slot] = x
        for slot, axis in self.gathered:
            parts = [row[slot] for row in rows]
            values[slot] = np.concatenate(parts, axis) if len(parts) > 1 else parts[0]

    def _work(
        self,
        shard: Sequence[tuple[int, Chunk, Ready]],
        values: list[Any],
        rows: Sequence[list[Any]],
        total: dict[int, Any],
    ) -> None:
        for number, chunk, ready in shard:
            row = rows[number]
            for slot in self.shared:
                row[slot] = values[slot]
            for slot, axis in self.cut:
                row[slot] = values[slot][(*[slice(None)] * axis, slice(chunk.start, chunk.stop))]
            ready.run(row)
            found = {}
            for slot, own in self.sums.items():
                x, row[slot] = row[slot], None
                found[slot] = x if own or slot in total else np.array(x)
            _add_up(total, found)


def _add_up(total: dict[int, Any], more: Mapping[int, Any]) -> None:
    """Add to sums, in their own memory."""
    for slot, x in more.items():
        before = total.get(slot)
        if isinstance(before, np.ndarray):
            before += x
        else:
            total[slot] = x if before is None else before + x
