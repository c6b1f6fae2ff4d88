"""Plans that check every native call: what it is given, and what it writes; see ``guards``.

The calls run one at a time, on one thread. Around and between the arrays that a task was given,
nothing may change but its outputs and its scratch; nor may any band. What a task must write before
somebody reads it is filled with NaN: scratch before the task, the memory of a piece of the batch
before the piece, whole values and sums before the run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tensorgraph.errors import BackendError
from tensorgraph.program import Value
from tensorgraph_numba import native
from tensorgraph_numba.plan import guards
from tensorgraph_numba.plan.bench import Bench
from tensorgraph_numba.plan.measure import owner
from tensorgraph_numba.plan.memory import Scratch
from tensorgraph_numba.plan.planner import Planner
from tensorgraph_numba.plan.tasks import Task

if TYPE_CHECKING:
    from tensorgraph_numba.plan.runner import Plan

NEAR = guards.BAND  # bytes around an array that are compared
ADDRESSES = 1 << 32, 1 << 47  # words within are some: counts are smaller, floats larger


class Given(NamedTuple):
    """An array that a task was given: "input", "output" or "scratch"."""

    role: str
    array: Any

    def __str__(self) -> str:
        shape = ",".join(map(str, self.array.shape))
        return f"{self.role} {self.array.dtype}[{shape}] with strides {self.array.strides}"


class Bound(NamedTuple):
    """What a call is for: the task, the samples of its piece, all arrays that it was given; whether
    it is the task's first; the memory of pieces, where it is the first call of one."""

    what: str
    given: Sequence[Given]
    first: bool = True
    piece: Any = None


class _Scratch(Scratch):
    """Notes what it hands out."""

    def __init__(self, given: list[Given]) -> None:
        super().__init__()
        self.given = given

    def __call__(self, dtype: str) -> Callable[[int], Any]:
        take = super().__call__(dtype)

        def noted(count: int) -> Any:
            array = take(count)
            self.given.append(Given("scratch", array))
            return array

        return noted


class WatchedBench(Bench):
    """Notes which arrays each task is given."""

    def __init__(self, planner: Planner, thread: int, memory: Any, refused: list[Task]) -> None:
        super().__init__(planner, thread, memory, refused)
        self.given: list[Given] = []
        self.scratch = _Scratch(self.given)
        self.bound: dict[int, Bound] = {}
        self.piece: range | None = None  # the samples that the last call was for

    def __getitem__(self, value: Value) -> Any:
        array = super().__getitem__(value)
        written = self.writing is not None and value in self.writing.outputs
        self.given.append(Given("output" if written else "input", array))
        return array

    def bind(self, task: Task) -> list[native.Call]:
        self.given.clear()
        calls = super().bind(task)
        given = tuple(self.given)
        what = f"task {task.name!r}"
        if self.samples is not None:
            what += f" on samples {self.samples.start} to {self.samples.stop - 1}"
        for i, call in enumerate(calls):
            fresh = self.samples is not None and self.samples is not self.piece
            self.piece = self.samples
            self.bound[id(call)] = Bound(what, given, i == 0, self.memory if fresh else None)
            check_addresses(call, what, given)
        return calls


def check_addresses(call: native.Call, what: str, given: Sequence[Given]) -> None:
    """Refuse a call whose words, or those of its tables, point to where nothing was given."""
    memory = [*(each.array for each in given), *call.arrays, call.words]
    bounds = np.array([bounds_of(x) for x in memory])
    lent = bounds[: len(given)]
    tables = [call.words]
    for x in call.arrays:
        low, high = bounds_of(x)
        if x.dtype == np.int64 and not ((lent[:, 0] < high) & (low < lent[:, 1])).any():
            tables.append(x.ravel())
    words = np.concatenate(tables)
    words = words[(words >= ADDRESSES[0]) & (words < ADDRESSES[1])][:, None]
    inside = ((bounds[:, 0] <= words) & (words <= bounds[:, 1])).any(1)
    if not inside.all():
        raise BackendError(
            f"kernel {call.name!r} of {what} is bound to the addresses "
            f"{', '.join(map(hex, words[~inside, 0]))}, where nothing lies that it was given: "
            f"{_listed(given)}"
        )


def bounds_of(array: Any) -> tuple[int, int]:
    """Where the first byte of an array lies, and the end of its last."""
    start = array.ctypes.data
    return byte_bounds(array) if array.size else (start, start)


class Checked:
    """Runs rows of calls for every thread in turns, as their waits allow, and checks each call."""

    def __init__(
        self, rows: Sequence[Sequence[native.Call | None]], benches: Sequence[WatchedBench]
    ) -> None:
        self.bound = {key: x for bench in benches for key, x in bench.bound.items()}
        parts = [_between_waits(own) for own in rows]
        turns = itertools.zip_longest(*parts, fillvalue=())
        self.calls = [call for turn in turns for part in turn for call in part]

    def __call__(self) -> None:
        for call in self.calls:
            given = [Given("array", x) for x in call.arrays]
            run(call, self.bound.get(id(call), Bound("the sum of the threads' shares", given)))


def _between_waits(rows: Sequence[native.Call | None]) -> list[list[native.Call]]:
    parts: list[list[native.Call]] = [[]]
    for call in rows:
        if call is None:
            parts.append([])
        else:
            parts[-1].append(call)
    return parts


def run(call: native.Call, bound: Bound) -> None:
    """Run a call. Raises BackendError if it writes where it may not."""
    if bound.piece is not None:
        poison(bound.piece)
    if bound.first:
        for each in bound.given:
            if each.role == "scratch":
                poison(each.array)
    regions = list(around([each.array for each in bound.given]))
    before = [memory.copy() for _, memory in regions]
    native.run([call])
    for (address, memory), old in zip(regions, before, strict=True):
        changed = memory != old
        if changed.any():
            changed &= ~writable(address, len(memory), bound.given)
        if changed.any():
            places = address + np.flatnonzero(changed)
            for _ in guards.damaged():
                pass  # mended: the next run is checked anew
            raise BackendError(
                f"kernel {call.name!r} of {bound.what} wrote {len(places)} bytes "
                f"{_where(int(places[0]), bound.given)}. It was given {_listed(bound.given)}"
            )
    for address, size, reach in guards.damaged():
        raise BackendError(
            f"kernel {call.name!r} of {bound.what} wrote up to {abs(reach)} bytes "
            f"{'behind the end' if reach > 0 else 'before the beginning'} of another array, of "
            f"{size} bytes at {address:#x}. It was given {_listed(bound.given)}"
        )


def around(arrays: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """The memory of arrays and near them, as far as it is theirs: addresses and bytes."""
    spans: dict[int, list[tuple[int, int]]] = {}
    owners: dict[int, Any] = {}
    for x in arrays:
        if x.size:
            whole = owner(x).ravel("K").view(np.uint8)
            (low, high), (first, last) = bounds_of(x), bounds_of(whole)
            owners[first] = whole
            spans.setdefault(first, []).append((max(low - NEAR, first), min(high + NEAR, last)))
    for first, whole in owners.items():
        merged: list[list[int]] = []
        for low, high in sorted(spans[first]):
            if merged and low <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], high)
            else:
                merged.append([low, high])
        yield from ((low, whole[low - first : high - first]) for low, high in merged)


def writable(address: int, size: int, given: Sequence[Given]) -> Any:
    """Which of these bytes belong to elements of arrays that may be written."""
    mask = np.zeros(size, np.uint8)
    for role, x in given:
        if role == "input" or not x.size:
            continue
        low, high = bounds_of(x)
        if address <= low and high <= address + size:
            element = np.dtype(f"u{x.itemsize}")
            view = np.ndarray(x.shape, element, mask, low - address, x.strides)
            view[...] = np.iinfo(element).max
    return mask.view(bool)


def _where(place: int, given: Sequence[Given]) -> str:
    """A place, as seen from the nearest array that may be written; and in which input it is."""

    def distance(each: Given) -> int:
        low, high = bounds_of(each.array)
        return max(low - place, place - high + 1, 0)

    read = [each for each in given if each.role == "input" and not distance(each)]
    also = f", in its {read[0]}" if read else ""
    written = [each for each in given if each.role != "input"]
    if not written:
        return f"{also[2:] or 'outside'}; it has no outputs"
    nearest = min(written, key=distance)
    low, high = bounds_of(nearest.array)
    if place < low:
        return f"from {low - place} before the beginning of its {nearest}{also}"
    if place >= high:
        return f"from {place - high} behind the end of its {nearest}{also}"
    return f"from {place - low} on between the elements of its {nearest}{also}"


def _listed(given: Sequence[Given]) -> str:
    return "; ".join(dict.fromkeys(map(str, given))) or "nothing"


def poison(array: Any) -> None:
    """Fill an array with what nobody should read: NaN, the largest integer."""
    kind = array.dtype.kind
    array[...] = np.nan if kind == "f" else kind == "b" or np.iinfo(array.dtype).max


def parts(plan: Plan) -> list[Callable[[], None]]:
    """The sections of a plan, checked."""
    planner = plan.planner
    lent = {id(owner(held.array)) for held in planner.loans.values()}
    outputs = [x for phase in planner.phases for task in phase.tasks for x in task.outputs]
    computed = [planner.arrays[x] for x in outputs if x in planner.arrays]
    computed = [x for x in computed if id(owner(x)) not in lent]
    computed += [x for shares in planner.shares.values() for x in shares]
    benches = [bench for bench in plan.benches if isinstance(bench, WatchedBench)]
    made = [each if callable(each) else Checked(each, benches) for each in plan.sections]

    def first() -> None:
        for array in computed:
            poison(array)
        made[0]()

    return [first, *made[1:]] if made else []
