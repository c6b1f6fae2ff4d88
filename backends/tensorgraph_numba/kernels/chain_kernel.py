"""The kernel of chains: goes through the space block by block and runs the program on each.

Its words are a header, ``HEADER`` words, then sections of entries, a section named in the header by
where it begins and its number of entries. They hold addresses, counts, and places of other words.
Only slots are written by the kernel, and of entries what is said to be its own.
"""

from __future__ import annotations

from typing import Any

from tensorgraph_numba.kernels.chain_blocks import (
    MAXIMUM,
    STORE,
    fill,
    gather,
    keep_apart,
    keep_small,
    larger,
    locate,
    move,
    reduce,
    scatter,
)
from tensorgraph_numba.kernels.chain_lanes import WIDTH
from tensorgraph_numba.kernels.chain_opcodes import execute
from tensorgraph_numba.native import _pointer as at
from tensorgraph_numba.native import inner, kernel, number

# the header: elements in all, in a run, in a block; bytes of one; blocks until sums are added to
# the sums of sums; then the sections
TOTAL, RUN, BLOCK, SIZE, FOLD = range(5)
SECTIONS = ONCE, AHEAD, DIRECT, PHASED, SPREAD, BODY, SUMS, STORES, SLOTS = range(5, 23, 2)
HEADER = 23
# The number of words of an entry, and what they are:
# read at the begin: row, source, axes, number of elements, bytes of one
ONCE_WORDS = 5
# computed at the begin: an instruction, its number of steps
AHEAD_WORDS = 2
# used where it lies: slot, array, axes, bytes of an element, whether it is written, tail row
DIRECT_WORDS = 6
# a row that repeats, but not with the blocks: slot, row, period
PHASED_WORDS = 3
# read for each block: row, source, axes, bytes of an element
SPREAD_WORDS = 4
# slot, row, row of sums of sums in float64, number of elements, period, mode, what the sum of
# nothing is (a float), whether to accumulate, target, tail row
SUMS_WORDS = 10
# slot, target, axes, bytes of an element, mode; the target's own axes and number of elements where
# it is to be cleared first, and to what (a float)
STORES_WORDS = 8
# address, bytes to go on by from step to step, address at the begin of the block
SLOT_WORDS = 3


@inner
def read(a: Any, like: Any) -> None:
    """Read what does not vary, where the instructions that are run ahead expect it."""
    keep_small()
    for k in range(a[PHASED + 1]):
        s = a[PHASED] + k * PHASED_WORDS
        a[a[s]] = a[s + 1]
    for k in range(a[ONCE + 1]):
        s = a[ONCE] + k * ONCE_WORDS
        gather(a, a[s + 2], a[s], a[s + 1], 0, a[s + 3], a[s + 4], like)


@inner
def clear(a: Any, like: Any) -> None:
    """Set the sums to what they are of nothing."""
    keep_small()
    size = a[SIZE]
    for k in range(a[SUMS + 1]):
        s = a[SUMS] + k * SUMS_WORDS
        fill(a[s + 1], a[s + 3], number(a, s + 6), like)
        fill(a[s + 2], a[s + 3], 0.0, 0.0)
    for k in range(a[STORES + 1]):
        s = a[STORES] + k * STORES_WORDS
        done = 0
        while done < a[s + 6]:
            offset, left, stride = locate(a, a[s + 5], done)
            for i in range(left):
                fill(a[s + 1] + (offset + i * stride) * size, 1, number(a, s + 7), like)
            done += left


@inner
def enter(a: Any, position: int, count: int, done: int, like: Any) -> None:
    """Point the slots to a block of ``count`` elements, ``done`` behind the one before in the same
    run; 0 at the begin of a run."""
    for k in range(a[DIRECT + 1]):
        s = a[DIRECT] + k * DIRECT_WORDS
        address = a[a[s] + 2] + done * a[s + 3]
        if done == 0:
            address = a[s + 1] + locate(a, a[s + 2], position)[0] * a[s + 3]
        a[a[s] + 2] = a[a[s]] = address
    for k in range(a[PHASED + 1]):
        s = a[PHASED] + k * PHASED_WORDS
        a[a[s] + 2] = a[a[s]] = a[s + 1] + position % a[s + 2] * a[SIZE]
    for k in range(a[SPREAD + 1]):
        s = a[SPREAD] + k * SPREAD_WORDS
        gather(a, a[s + 2], a[s], a[s + 1], position, count, a[s + 3], like)


@inner
def enter_tail(a: Any, steps: int, left: int, like: Any) -> None:
    """Point the slots to the last ``left`` elements of a run, behind ``steps`` whole steps. The
    program is to take a whole step, on copies of what lies in arrays: it neither reads nor writes
    beyond their ends."""
    keep_small()
    lanes = WIDTH // a[SIZE]
    for k in range(a[SLOTS + 1]):
        s = a[SLOTS] + k * SLOT_WORDS
        a[s] = a[s + 2] + steps * a[s + 1]
    for k in range(a[DIRECT + 1]):
        s = a[DIRECT] + k * DIRECT_WORDS
        if not a[s + 4]:
            move(a[a[s]], a[s + 5], left * a[s + 3])
        a[a[s]] = a[s + 5]
    for k in range(a[SUMS + 1]):
        s = a[SUMS] + k * SUMS_WORDS
        fill(a[s + 9], lanes, number(a, s + 6), like)
        a[a[s]] = a[s + 9]


@inner
def leave_tail(a: Any, steps: int, left: int, like: Any) -> None:
    """Carry the copies to where they belong, and point the slots to the block again."""
    keep_small()
    for k in range(a[DIRECT + 1]):
        s = a[DIRECT] + k * DIRECT_WORDS
        if a[s + 4]:
            move(a[s + 5], a[a[s] + 2] + steps * a[a[s] + 1], left * a[s + 3])
    for k in range(a[SUMS + 1]):
        s = a[SUMS] + k * SUMS_WORDS
        behind = steps % (a[s + 3] // (WIDTH // a[SIZE]))  # the row may be shorter than a block
        row = at(a[a[s] + 2] + behind * WIDTH, like)
        last = at(a[s + 9], like)
        for i in range(left):
            row[i] = larger(last[i], row[i]) if a[s + 5] == MAXIMUM else row[i] + last[i]
    for k in range(a[SLOTS + 1]):
        s = a[SLOTS] + k * SLOT_WORDS
        a[s] = a[s + 2]


@inner
def leave(a: Any, position: int, count: int, like: Any) -> None:
    """Carry a block's rows to arrays that are not written where they lie."""
    keep_small()
    for k in range(a[STORES + 1]):
        s = a[STORES] + k * STORES_WORDS
        row = a[a[s]]
        if a[s + 4] != STORE:
            reduce(a, a[s + 2], row, a[s + 1], position, count, a[SIZE], a[s + 4], like)
        else:
            scatter(a, a[s + 2], row, a[s + 1], position, count, a[s + 3], like)


@inner
def fold(a: Any, like: Any) -> None:
    """Add the sums of the last blocks to the sums of sums, and clear them."""
    keep_apart()
    for k in range(a[SUMS + 1]):
        s = a[SUMS] + k * SUMS_WORDS
        if a[s + 5] != MAXIMUM:
            recent = at(a[s + 1], like)
            whole = at(a[s + 2], 0.0)
            for i in range(a[s + 3]):
                whole[i] += recent[i]
                recent[i] = like * 0


@inner
def finish(a: Any, like: Any) -> None:
    """From the rows of sums and maxima to the targets."""
    keep_apart()
    fold(a, like)
    for k in range(a[SUMS + 1]):
        s = a[SUMS] + k * SUMS_WORDS
        count, period = a[s + 3], a[s + 4]
        to = at(a[s + 8], like)
        if a[s + 5] == MAXIMUM:
            most = at(a[s + 1], like)
            for start in range(period, count, period):
                n = min(period, count - start)
                more = at(a[s + 1] + start * a[SIZE], like)
                for i in range(n):
                    most[i] = larger(more[i], most[i])
            for i in range(period):
                to[i] = larger(to[i], most[i]) if a[s + 7] else most[i]
        else:
            total = at(a[s + 2], 0.0)
            for start in range(period, count, period):
                n = min(period, count - start)
                other = at(a[s + 2] + 8 * start, 0.0)
                for i in range(n):
                    total[i] += other[i]
            for i in range(period):
                to[i] = total[i] + to[i] if a[s + 7] else total[i]


@kernel
def run_chain(a: Any, like: Any) -> None:
    """Words: see above."""
    read(a, like)
    for k in range(a[AHEAD + 1]):
        execute(a, a[a[AHEAD] + k * AHEAD_WORDS], 1, a[a[AHEAD] + k * AHEAD_WORDS + 1], like)
    clear(a, like)
    lanes = WIDTH // a[SIZE]
    run_left = a[RUN]
    blocks_left = a[FOLD]
    position = done = 0
    while position < a[TOTAL]:
        count = min(a[BLOCK], run_left)
        steps = count * a[SIZE] // WIDTH
        left = count - steps * lanes
        enter(a, position, count, done, like)
        if steps:
            execute(a, a[BODY], a[BODY + 1], steps, like)
        if left:
            enter_tail(a, steps, left, like)
            execute(a, a[BODY], a[BODY + 1], 1, like)
            leave_tail(a, steps, left, like)
        if a[STORES + 1]:
            leave(a, position, count, like)
        position += count
        done = count
        run_left -= count
        if run_left == 0:
            run_left = a[RUN]
            done = 0
        blocks_left -= 1
        if blocks_left == 0:
            blocks_left = a[FOLD]
            fold(a, like)
    finish(a, like)
