"""What lies along the borders of images and is computed for nobody.

A pool of windows of 2 reads 10 of 11 columns: what makes the last one need not run, and there the
gradient is zero. So of every value we ask which leading part of each spatial axis somebody reads
who cannot do with less, and compute that much of it.

The extents only grow: from one element to what the results of the program take, each call raising
those of its inputs to what it reads for its output, and those that have to be of one size to the
largest. What is zero by ``zeros.Supports`` need not be read by who adds up over it.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque

from tensorgraph.program import Call, Program, Value
from tensorgraph_walks.elementwise import is_elementwise
from tensorgraph_walks.windows import CONVOLUTIONS, Slide, Windows, windows_of
from tensorgraph_walks.zeros import Supports

WORTH = 32  # operations saved for each element that is copied, from which on a crop pays


class Extents:
    """How much of each axis of a value is computed: ``extents[value]``."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.supports = Supports(program)
        self._found: dict[Value, list[int]] = {}
        self._readers: dict[Value, list[Call]] = defaultdict(list)
        self._whole: set[Call] = set()  # convolutions that take as much as there is
        results = set(program.results())
        for call in program.calls:
            shape = call.out.spec.shape
            for x in {*call.inputs, call.out}:
                self._readers[x].append(call)
            if call.out not in results and len(shape) > 2:
                self._found[call.out] = [*shape[:2], *[min(1, n) for n in shape[2:]]]
        self._waiting = deque(reversed(program.calls))
        self._queued = set(program.calls)
        self._settle()
        while dear := self._dear():
            self._whole |= dear
            self._wait(*dear)
            self._settle()

    def __getitem__(self, value: Value) -> tuple[int, ...]:
        return tuple(self._found[value]) if value in self._found else value.spec.shape

    def crop(self, call: Call) -> tuple[int, ...]:
        """The part of its image that a convolution takes."""
        windows = windows_of(call)
        assert windows is not None
        image, result = windows.images[0], windows.results[0]
        sizes = zip(image.spec.shape[2:], self[image][2:], self[result][2:], windows.slides)
        taken = [d if w.fits(d, e) else _reached(w, e, n) for n, d, e, w in sizes]
        return (*image.spec.shape[:2], *taken)

    # how the extents grow

    def _wait(self, *calls: Call) -> None:
        for call in calls:
            if call not in self._queued:
                self._queued.add(call)
                self._waiting.append(call)

    def _raise(self, value: Value, axis: int, size: int) -> None:
        found = self._found.get(value)
        if found is not None and found[axis] < size:
            found[axis] = size
            self._wait(*self._readers[value])

    def _settle(self) -> None:
        while self._waiting:
            call = self._waiting.popleft()
            self._queued.remove(call)
            windows = windows_of(call)
            if windows is not None:
                self._slide(call, windows)
            elif is_elementwise(call.op):
                self._align(call)
            elif call.op.name in ("sum", "sum_to"):
                self._sum(call)
            else:
                self._take_whole(call.out, *call.inputs)

    def _take_whole(self, *values: Value) -> None:
        for x in values:
            for axis, n in enumerate(x.spec.shape):
                self._raise(x, axis, n)

    def _align(self, call: Call) -> None:
        """Elementwise: all values that have an axis have as much of it."""
        values = (call.out, *call.inputs)
        for axis in range(-call.out.spec.ndim, 0):
            n = call.out.spec.shape[axis]
            alike = [x for x in values if x.spec.ndim >= -axis and x.spec.shape[axis] == n]
            size = max(self[x][axis] for x in alike)
            for x in alike:
                self._raise(x, axis + x.spec.ndim, size)

    def _sum(self, call: Call) -> None:
        """What is zero need not be summed."""
        (x,) = call.inputs
        shape, lead = call.out.spec.shape, x.spec.ndim - call.out.spec.ndim
        for axis, n in enumerate(x.spec.shape):
            if call.op.name == "sum":
                summed = axis in call.params["axis"]
            else:
                summed = axis < lead or shape[axis - lead] != n
            self._raise(x, axis, self.supports[x][axis] if summed else n)
        self._take_whole(call.out)

    def _slide(self, call: Call, windows: Windows) -> None:
        self._take_whole(*({*call.inputs, call.out} - {*windows.images, *windows.results}))
        for axis, slide in enumerate(windows.slides, 2):
            size = max(self[x][axis] for x in windows.images)
            count = max(self[x][axis] for x in windows.results)
            if call.op.name == "conv_weight":
                count = max(count, self.supports[windows.results[0]][axis])
            elif call.out in windows.images:  # what windows spread
                begun = min(slide.begun(size), windows.results[0].spec.shape[axis])
                count = max(count, min(begun, self.supports[windows.results[0]][axis]))
            whole = windows.images[0].spec.shape[axis], windows.results[0].spec.shape[axis]
            size, count = self._fitting(call, slide, size, max(1, count), whole)
            for x in windows.images:
                self._raise(x, axis, size)
            for x in windows.results:
                self._raise(x, axis, count)

    def _fitting(
        self, call: Call, slide: Slide, size: int, count: int, whole: tuple[int, int]
    ) -> tuple[int, int]:
        """The least extents of images and results from these on that the op takes."""
        if call.op.name not in CONVOLUTIONS:
            while True:
                size = max(size, _reached(slide, count, whole[0]))
                pooled = slide.pooled(size)
                if pooled == count:
                    return size, count
                size, count = (whole[0] if pooled < count else size), max(pooled, count)
        if call.op.name == "conv_input":
            size = max(size, min(whole[0], slide.begins(count - 1) + 1))
            return size, max(count, slide.inside(size))
        size = max(size, _reached(slide, count, whole[0]))
        if call in self._whole:
            count = max(count, min(slide.inside(size), whole[1]))
        return size, count

    def _dear(self) -> set[Call]:
        """The convolutions whose crops cost more than they save."""
        crops: dict[tuple[Value, tuple[int, ...]], list[Call]] = defaultdict(list)
        for call in self.program.calls:
            if call.op.name in ("conv", "conv_weight") and call not in self._whole:
                x, crop = call.inputs[0], self.crop(call)
                if crop != self[x]:
                    crops[x, crop].append(call)
        dear: set[Call] = set()
        for (x, crop), calls in crops.items():
            if sum(self._saved(call, x) for call in calls) < WORTH * math.prod(crop):
                dear.update(calls)
        return dear

    def _saved(self, call: Call, x: Value) -> float:
        """The operations of a convolution that a crop saves."""
        windows = windows_of(call)
        assert windows is not None and call.op.count_flops is not None
        (result,) = windows.results
        specs = [value.spec for value in call.inputs]
        flops = call.op.count_flops(call.out.spec, *specs, **call.params)
        ends = zip(self[x][2:], self[result][2:], windows.slides)
        pixels = math.prod(max(w.inside(d), e) for d, e, w in ends) - math.prod(self[result][2:])
        return float(flops * pixels / math.prod(result.spec.shape[2:]))


def _reached(slide: Slide, count: int, size: int) -> int:
    return max(1, min(size, slide.reached(count)))
