"""Samples of ops that only gradient rules and other functions call: the calls that happen."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import tensorgraph as tg
from tensorgraph import config, ops
from tensorgraph_check.op_samples import SAMPLES
from tensorgraph_check.sample import Sample
from tensorgraph_check.subject import MOST, leaves, working


class Calls(config.Listener):
    """The first calls of each op that differ in shapes or parameters."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Sample]] = {}

    def op(self, op: Any, inputs: Any, params: Any, out: Any) -> None:
        kept = self.found.setdefault(op.name, {})
        if len(kept) < MOST:
            one = Sample(tuple(x.numpy() for x in inputs), dict(params), guessed=True)
            kept.setdefault(str(one), one)


@functools.cache
def calls() -> Mapping[str, list[Sample]]:
    """What happens when the samples of all known ops run on NumPy, forward and backward twice."""
    listener = Calls()
    for name in filter(tg.plugins.ops.__contains__, SAMPLES):
        for sample in SAMPLES[name]:
            with working("float64", "numpy"), config.listen(listener):
                xs = leaves(sample.tensors("float64"))
                out: Any = tg.plugins.ops[name](*sample.arguments, *xs, **sample.options)
                out = out[0] if isinstance(out, tuple | list) else out
                for _ in range(2):
                    if not out.requires_grad:
                        break
                    wanted = [x for x in xs if x.requires_grad]
                    first, *more = tg.grad(ops.mean(out * out), wanted, create_graph=True)
                    out = sum((ops.mean(g * g) for g in more), ops.mean(first * first))
    return {name: list(kept.values()) for name, kept in listener.found.items()}
