"""Where the values of a chain lie: arrays that are used where they are, rows of scratch, and the
words that tell the kernel."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph_numba.kernels import chain_kernel as form
from tensorgraph_numba.kernels.chain_blocks import ADD, MAXIMUM
from tensorgraph_numba.kernels.chain_lanes import WIDTH
from tensorgraph_numba.kernels.chain_layout import Axes, Place, Space, described
from tensorgraph_numba.kernels.chain_opcodes import SUMS, WORDS, number_of

FIRST_LEVEL = 24 * 1024  # bytes of the first-level cache that the rows of a block may take
SECOND_LEVEL = 512 * 1024  # bytes of arrays that are likely to lie in the second-level cache
# Numbers of elements that a block may have. Where arrays come from further away it is to be so
# short that the processor fetches those of the next block while it computes this one.
NEAR, FAR, LEAST = 768, 256, 128
LONGEST_MULTIPLE = 1024  # blocks may be longer to begin where a row does that repeats
ADDED = 64  # numbers that are added up one by one, before that is added to the sums of sums


class Slot:
    """Where a value lies while the kernel runs.

    ``kind`` is "direct", "constant", "periodic" or "spread" as that of an array's ``place``; or
    "number" (in an array of as many lanes), "block" (a row of scratch) or "sum" (rows to add up in,
    with the mode ``mode``). ``array`` is what is read or written, ``size`` the bytes of an element.
    """

    def __init__(
        self, kind: str, size: int, *, array: Any = None, place: Place | None = None,
        written: bool = False, mode: int = ADD, accumulate: bool = False,
    ) -> None:  # fmt: skip
        self.kind, self.size, self.array = kind, size, array
        self.place = place or Place(kind, 0, ((1, 0),))
        self.period = self.place.length if self.place.kind == "periodic" else 0
        self.written, self.mode, self.accumulate = written, mode, accumulate
        self.index = self.address = 0


class Store(NamedTuple):
    """An array to which rows are carried, or added (``mode``); ``own`` are the axes of one that is
    cleared first."""

    array: Any
    place: Place
    mode: int
    own: Axes | None


Instruction = tuple[str, Slot, tuple[Slot, ...]]  # operation, result, operands


def start_of(mode: int) -> float:
    """What a sum or a maximum of nothing is."""
    return -math.inf if mode == MAXIMUM else 0.0


def block_length(slots: Sequence[Slot], lanes: int, size: int, total: int) -> int:
    """How many elements the kernel takes at a time."""
    arrays = {slot.array.ctypes.data: slot.size for slot in slots if slot.kind == "direct"}
    rows = sum(slot.kind not in ("constant", "number", "sum", "direct") for slot in slots)
    sums = sum(math.lcm(slot.period or 1, lanes) for slot in slots if slot.kind == "sum")
    fitting = (FIRST_LEVEL // size - sums) // max(rows + len(arrays), 1)
    longest = NEAR if sum(arrays.values()) * total <= SECOND_LEVEL else FAR
    periods = [slot.period or 1 for slot in slots]
    whole = math.lcm(lanes, *periods)
    if whole > longest:  # blocks may begin within rows, if only where a step of these begins
        whole = math.lcm(lanes, *(period for period in periods if period % lanes))
    if whole > LONGEST_MULTIPLE:
        whole = lanes
    length = max(whole, min(max(fitting, LEAST), longest) // whole * whole)
    return min(length, -(-max(total, 1) // lanes) * lanes)


class Plan:
    """Slots with addresses, and the words of the kernel."""

    def __init__(
        self,
        space: Space,
        dtype: str,
        ahead: Sequence[Instruction],
        body: Sequence[Instruction],
        stores: Sequence[tuple[Slot, Store]],
    ) -> None:
        self.ahead, self.body, self.stores = ahead, body, stores
        named = [slot for _, result, operands in (*ahead, *body) for slot in (result, *operands)]
        self.slots = list({id(slot): slot for slot in [*named, *(s for s, _ in stores)]}.values())
        self.total, self.size = space.total, np.dtype(dtype).itemsize
        runs = [s.place.length for s in self.slots if s.kind == "direct"]
        self.run = min(runs, default=max(space.total, 1))
        self.lanes = WIDTH // self.size
        self.block = block_length(self.slots, self.lanes, self.size, space.total)
        for number, slot in enumerate(self.slots):
            slot.index = form.HEADER + form.SLOT_WORDS * number
        self.words = [0] * (form.HEADER + form.SLOT_WORDS * len(self.slots))

    def phased(self, slot: Slot) -> bool:
        """Whether blocks begin in the middle of its period."""
        return slot.period > 1 and bool(self.block % slot.period or self.run % slot.period)

    def length(self, slot: Slot) -> int:
        """Elements of a row: whole steps; of a direct slot what is behind the last whole step."""
        if slot.kind in ("constant", "direct"):
            return self.lanes
        if self.is_short(slot):
            return math.lcm(slot.period or 1, self.lanes)
        more = slot.period - 1 if self.phased(slot) else 0
        return -(-(self.block + more) // self.lanes) * self.lanes

    def is_short(self, slot: Slot) -> bool:
        """Whether a sum is added up in a row of its own period, in registers while a block lasts:
        where a block has it several times."""
        short = slot.kind == "sum" and slot.mode == ADD and not self.phased(slot)
        return short and math.lcm(slot.period or 1, self.lanes) * 2 <= self.block

    def row_bytes(self, slot: Slot) -> int:
        return -(-self.length(slot) * slot.size // 64) * 64

    def allocate(self, scratch: Callable[[int], Any]) -> Any:
        """Give each slot its address in scratch; the memory. Behind its row a sum has one of sums
        of sums in float64, and one for the tail of a run."""
        taken = []
        for slot in self.slots:
            more = 8 * self.length(slot) + WIDTH if slot.kind == "sum" else 0
            taken.append(0 if slot.kind == "number" else self.row_bytes(slot) + more)
        memory = scratch(sum(taken) // self.size)
        address = memory.ctypes.data
        for slot, n in zip(self.slots, taken):
            slot.address = address
            address += n
        return memory

    def encode(self) -> Any:
        """The words."""
        of: dict[str, list[Slot]] = defaultdict(list)
        for s in self.slots:
            of[s.kind].append(s)
            address = s.array.ctypes.data if s.kind == "number" else s.address
            apart = 0 if s.kind in ("number", "constant") else self.lanes * s.size
            self.words[s.index : s.index + form.SLOT_WORDS] = [address, apart, address]
        once = [s for s in [*of["constant"], *of["periodic"]] if s.array is not None]
        phased = [s for s in [*of["periodic"], *of["sum"]] if self.phased(s)]
        axes = {id(s): self.axes(s.place.axes) for s in [*once, *of["direct"], *of["spread"]]}
        at_once = max((self.block // self.length(s) for s in of["sum"]), default=1)
        self.words[: form.ONCE] = [
            self.total, self.run, self.block, self.size, max(1, ADDED // max(1, at_once)),
        ]  # fmt: skip
        self.words[form.SLOTS : form.SLOTS + 2] = [form.HEADER, len(self.slots)]
        # fmt: off
        self.section(form.ONCE, [
            (s.address, s.array.ctypes.data, axes[id(s)], self.length(s), s.size) for s in once
        ])
        self.section(form.DIRECT, [
            (s.index, s.array.ctypes.data, axes[id(s)], s.size, s.written, s.address)
            for s in of["direct"]
        ])
        self.section(form.PHASED, [(s.index, s.address, s.period) for s in phased])
        self.section(form.SPREAD, [
            (s.address, s.array.ctypes.data, axes[id(s)], s.size) for s in of["spread"]
        ])
        self.section(form.SUMS, [
            (s.index, s.address, s.address + self.row_bytes(s), self.length(s), max(s.period, 1),
             s.mode, _word(start_of(s.mode)), s.accumulate, s.array.ctypes.data,
             s.address + self.row_bytes(s) + 8 * self.length(s))
            for s in of["sum"]
        ])
        places = [
            (self.axes(s.place.axes), self.axes(s.own or ((0, 0),))) for _, s in self.stores
        ]
        self.section(form.STORES, [
            (slot.index, s.array.ctypes.data, place, s.array.itemsize, s.mode, own,
             s.array.size if s.own else 0, _word(start_of(s.mode)))
            for (slot, s), (place, own) in zip(self.stores, places)
        ])
        # fmt: on
        self.section(form.BODY, [self.instruction(i) for i in self.body])
        begin = len(self.words)
        self.words += [word for i in self.ahead for word in self.instruction(i)]
        steps = [self.length(result) // self.lanes for _, result, _ in self.ahead]
        self.section(form.AHEAD, [(begin + k * WORDS, n) for k, n in enumerate(steps)])
        return np.array(self.words, np.int64)

    def section(self, name: int, entries: Sequence[Sequence[int]]) -> None:
        """Entries of the same number of words each."""
        self.words[name : name + 2] = [len(self.words), len(entries)]
        self.words += [int(word) for entry in entries for word in entry]

    def axes(self, axes: Axes) -> int:
        """Where these axes are described now."""
        self.words += described(axes)
        return len(self.words) - 1 - 2 * len(axes)

    def instruction(self, instruction: Instruction) -> list[int]:
        op, result, operands = instruction
        last = result.index
        if op in SUMS and self.is_short(result):
            operands, last = operands[:-1], self.length(result) // self.lanes
        elif op in SUMS:
            operands = operands if op != "sum_square" else (operands[0], *operands)
            op = SUMS[op]
        still = {k for k, slot in enumerate(operands) if slot.kind in ("number", "constant")}
        places = [result.index, *(slot.index for slot in operands)]
        return [number_of(op, still), *places, *[last] * (WORDS - 1 - len(places))]


def _word(value: float) -> int:
    """The bits of a float64."""
    return int(np.float64(value).view(np.int64))
