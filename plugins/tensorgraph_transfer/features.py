"""What the frozen part of a model makes of each image: computed once, and kept.

The model's graph is cut where what is trained, or random, begins. Only one value may cross the cut,
as it does between the parts of a model; else, and where it is the image itself, there is no cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.creation import from_host
from tensorgraph.program import Call, Program, Value

BLOCK = 32  # images whose features are computed together
Ask = Callable[[tg.Tensor], tg.Tensor]

MOST = 4 << 30  # bytes of features; from there on the frozen part is computed again


class Cut:
    """A model for batches of one size, in the mode that it is in, as two functions."""

    def __init__(self, model: tg.Layer, x: tg.Tensor) -> None:
        self.program = program = _recorded(model, x)
        (self.image,) = program.arguments
        written = set(map(id, program.assigned))
        moving = {v for v, t in program.state.items() if t.requires_grad or id(t) in written}
        moving |= {v for _, values in program.hosts for v in values}
        still = {self.image}  # of the image, and of nothing that changes
        for call in program.calls:
            if not moving.isdisjoint(call.inputs):
                moving.add(call.out)
            elif not still.isdisjoint(call.inputs):
                still.add(call.out)
        # what is computed of frozen parameters alone is needed on both sides
        self.before = [call for call in program.calls if call.out not in moving]
        self.after = [call for call in program.calls if call.out not in still]
        read = {v for call in self.after for v in call.inputs} | set(program.outputs)
        self.crossing = [v for v in still if v in read]

    @property
    def pays(self) -> bool:
        return len(self.crossing) == 1 and self.crossing[0] is not self.image

    def features(self, x: tg.Tensor) -> tg.Tensor:
        """What crosses the cut."""
        with tg.no_grad():
            return _run(self.before, {self.image: x, **_given(self.program)})[self.crossing[0]]

    def rest(self, features: tg.Tensor) -> tg.Tensor:
        """What the model makes of it; running statistics are written as the model does."""
        found = {self.crossing[0]: features, **_given(self.program)}
        for make, values in self.program.hosts:
            like = [features] * len(values)
            found |= zip(values, from_host(make, like=like, dtype=values[0].spec.dtype))
        found = _run(self.after, found)
        with tg.no_grad():
            for state, value in self.program.assigned.items():
                state.assign(found[value])
        return found[self.program.outputs[0]]


def _recorded(model: tg.Layer, x: tg.Tensor) -> Program:
    """What the model computes; it and the random numbers are left as they were."""
    kept = [(state, state.data) for state in model.named_state().values()]
    random = tg.config.random_state()
    with tg.no_grad():
        program: Program = tg.plugins.walk("record", model, x)
    for state, data in kept:
        state.data = data
    tg.config.set_random_state(random)
    return program


def _given(program: Program) -> dict[Value, tg.Tensor]:
    return {**program.state, **program.constants}


def _run(calls: Iterable[Call], given: Mapping[Value, tg.Tensor]) -> dict[Value, tg.Tensor]:
    found = dict(given)
    for call in calls:
        found[call.out] = call.op(*[found[v] for v in call.inputs], **call.params)
    return found


def _blocks(n: int, splits: Mapping[str, Any]) -> tuple[list[Any], Any]:
    """Images that are computed together, within a split, and the block of each. The same in every
    run, whatever image is asked for first: so a resumed run has the same bits."""
    parts = [np.asarray(own, np.int64) for own in splits.values()]
    parts.append(np.setdiff1d(np.arange(n), np.concatenate(parts)))
    blocks = [own[i : i + BLOCK] for own in parts for i in range(0, len(own), BLOCK)]
    block_of = np.empty(n, np.int64)
    for number, block in enumerate(blocks):
        block_of[block] = number
    return blocks, block_of


class Features:
    """In the place of a feed and of a model: gives the features of images, and answers for them."""

    def __init__(self, model: tg.Layer, feed: Any, once: Callable[[Ask], Ask]) -> None:
        self.model = model
        self.feed = feed
        self.whole_block = once(self._computed)
        self.cuts: dict[tuple[int, bool], Cut] = {}
        self.kept: Any = None  # of every image of the dataset, filled as they come
        n = len(feed.dataset.labels)
        self.known = np.zeros(n, bool)
        self.blocks, self.block_of = _blocks(n, feed.dataset.splits)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.feed, name)  # its labels, batches, …

    @classmethod
    def of(cls, model: tg.Layer, feed: Any, once: Callable[[Ask], Ask]) -> Features | None:
        """None where nothing can be kept: what would be is random, too much, not of one value, or
        not each image's own."""
        found = cls(model, feed, once)
        pair = feed.images(np.asarray(feed.dataset.splits["train"])[:2])
        cut = found._cut(pair)
        if not cut.pays or len(pair) < 2:
            return None
        both, first = cut.features(pair).numpy(), pair[:1]
        alone = found._cut(first)
        size = both[0].nbytes * len(found.known)
        if both.shape[0] != 2 or size > MOST or not alone.pays:
            return None
        apart = np.abs(both[:1] - alone.features(first).numpy()).max(initial=0.0)
        if not apart <= 1e-3 * max(1.0, np.abs(both).max(initial=0.0)):
            return None
        found.kept = np.empty((len(found.known), *both.shape[1:]), both.dtype)
        return found

    def _cut(self, x: tg.Tensor) -> Cut:
        key = (x.shape[0], self.model.training)
        if key not in self.cuts:
            self.cuts[key] = Cut(self.model, x)
        return self.cuts[key]

    def _computed(self, x: tg.Tensor) -> tg.Tensor:
        with tg.no_grad():
            return self._cut(x).features(x)

    def ahead(self, batches: Iterable[Any]) -> Iterator[tuple[Any, tg.Tensor]]:
        """Each batch of indices with its features."""
        for indices in batches:
            indices = np.asarray(indices)
            for number in np.unique(self.block_of[indices[~self.known[indices]]]):
                block = self.blocks[number]
                x = self.feed.images(block)
                self._cut(x)  # recorded here, and not within a plan that is made
                compute = self.whole_block if len(block) == BLOCK else self._computed
                self.kept[block] = compute(x).numpy()
                self.known[block] = True
            if (len(indices), self.model.training) not in self.cuts:
                self._cut(self.feed.images(indices))
            yield indices, tg.tensor(self.kept[indices])

    def __call__(self, features: tg.Tensor) -> tg.Tensor:
        """The model's answer, after ``ahead`` gave these."""
        return self.cuts[features.shape[0], self.model.training].rest(features)

    def eval(self) -> None:
        self.model.eval()

    def train(self) -> None:
        self.model.train()
