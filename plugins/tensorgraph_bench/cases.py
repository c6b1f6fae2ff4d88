"""What can be timed here: every sample on every available backend by every kernel that takes it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import tensorgraph as tg
from tensorgraph import Backend, Op, Spec, Tensor, config
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import BackendError, ConfigError
from tensorgraph.registry import near_miss
from tensorgraph.spec import is_floating
from tensorgraph_bench import shapes
from tensorgraph_bench.samples import BIG, SAMPLES, Sample

PORTABLE = "portable"
SEVERAL = "as chosen"  # by the engine, where a call runs several ops or its gradient
COMPILED = "compiled"  # by tensorgraph.compile, only where it is asked for: it takes its time


class Call(NamedTuple):
    """One op that a sample runs."""

    op: Op[...]
    inputs: tuple[Spec, ...]
    params: Mapping[str, Any]
    out: Spec

    @property
    def flops(self) -> int:
        """Its floating-point operations, as ``model.summary`` counts them."""
        if self.op.count_flops is not None:
            return self.op.count_flops(self.out, *self.inputs, **self.params)
        return self.out.size if is_floating(self.out.dtype) else 0


class Trace(config.Listener):
    """Listens to a call and keeps the ops that run."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def op(self, op: Op[...], inputs: tuple[Any, ...], params: Mapping[str, Any], out: Any) -> None:
        self.calls.append(Call(op, tuple(x.spec for x in inputs), params, out.spec))


class Case(NamedTuple):
    """A sample on a backend by one kernel. ``chosen``: the engine takes it unless it is told."""

    sample: Sample
    backend: str
    kernel: str
    pins: tuple[tuple[str, str], ...] = ()
    chosen: bool = True

    def __str__(self) -> str:
        return f"{self.sample} on {self.backend} by {self.kernel}"

    def pinned(self) -> config.Scope:
        """The settings under which it runs, as a context manager."""
        return tg.use(backend=self.backend, kernels=dict(self.pins))


class Selection(NamedTuple):
    """Which cases are wanted; what is empty restricts nothing. ``shapes`` are names of sets of
    shapes, or files: only their samples then."""

    ops: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    every: bool = False


def all_samples(selection: Selection) -> list[Sample]:
    """Of each op, then the shapes of networks; an op of a stranger is tried on a large array."""
    published = shapes.samples(selection.shapes, selection.every)
    found = published if selection.shapes else [*SAMPLES, *_strangers(), *published]
    return [s for s in found if not selection.ops or s.op in selection.ops]


def _strangers() -> Iterator[Sample]:
    """Ops and functions of plugins, and ops that they bring kernels for, which have no sample and
    take large arrays."""
    known = {sample.op for sample in SAMPLES}
    named = (*tg.plugins.ops, *(kernel.op for _, kernel in tg.plugins.kernels.values()))
    for name in dict.fromkeys(named):
        if name in known:
            continue
        op = tg.plugins.ops.get(name) or getattr(importlib.import_module(Op.declared[name]), name)
        sample = Sample(name, "", (BIG,) * _arity(op), op)
        try:
            traced(sample)
        except Exception:  # it takes other shapes, or parameters: a file of shapes can name them
            continue
        yield sample


def _arity(op: Callable[..., Any]) -> int:
    """How many tensors a call takes at least."""
    parameters = inspect.signature(op).parameters.values()
    return sum(p.kind is not p.KEYWORD_ONLY and p.default is p.empty for p in parameters)


def traced(sample: Sample) -> list[Call]:
    """The ops that a sample runs, found without running them."""
    trace = Trace()
    with config.listen(trace):
        sample.call(*[Tensor(None, ABSTRACT, spec) for spec in sample.specs()])
    return trace.calls


def cases(
    selection: Selection = Selection(),  # noqa: B008  a tuple of tuples
    say: Callable[[str], object] = lambda text: None,
) -> list[Case]:
    """All that is selected. ``say`` is told which backends are not available; one that was asked
    for by its name is a ``BackendError``."""
    samples = all_samples(selection)
    for name in selection.ops:
        if not any(sample.op == name for sample in samples):
            ops = {s.op for s in all_samples(selection._replace(ops=()))}
            raise ConfigError(
                f"--ops: no op with a sample is named {near_miss(name, ops)}; shapes for another "
                "are given in a file, --shapes FILE.toml"
            )
    backends = list(_backends(selection, say))
    found = [case for sample in samples for b in backends for case in of_sample(sample, b)]
    if COMPILED in selection.kernels:
        found += [
            Case(sample, b.name, COMPILED, chosen=False) for sample in samples for b in backends
        ]
    if selection.kernels:
        known = {*(case.kernel for case in found), COMPILED}
        for name in selection.kernels:
            if name not in known:
                raise ConfigError(f"--kernels: no kernel here is named {near_miss(name, known)}")
        found = [case for case in found if case.kernel in selection.kernels]
    return found


def _backends(selection: Selection, say: Callable[[str], object]) -> Iterator[Backend]:
    for name in selection.backends or tg.plugins.backends:
        try:
            yield config.get_backend(name)
        except BackendError as error:
            if selection.backends:
                raise
            say(f"left out: {error}")


def of_sample(sample: Sample, backend: Backend) -> Iterator[Case]:
    """A case for every kernel that takes the sample's op, the one that is chosen first. What only
    moves values beside it, a permutation say, runs as it is chosen."""
    try:
        calls = [] if sample.gradient else traced(sample)
    except Exception:  # it cannot be called: so says what times it
        calls = []
    working = [call for call in calls if call.flops] or calls
    if len(working) != 1:
        yield Case(sample, backend.name, SEVERAL)
        return
    (call,) = working
    op = call.op
    own = [k for k in (*tg.plugins.kernels_for(backend, op.name), *backend.kernels)
           if k.op == op.name]  # fmt: skip
    names = [k.name for k in own if k.supports is None or k.supports(*call.inputs, **call.params)]
    if op.portable is not None:
        names.append(PORTABLE)
    for i, name in enumerate(dict.fromkeys(names)):
        yield Case(sample, backend.name, name, ((op.name, name),), chosen=i == 0)


def not_timed(found: Sequence[Case]) -> list[str]:
    """The ops of plugins, "op snake", and their kernels, "kernel numpy/snake/fast", that no case
    runs although their backend is here: none of the samples suits."""
    here = {case.backend for case in found}
    ops = {case.sample.op for case in found}
    timed = {f"{c.backend}/{op}/{kernel}" for c in found for op, kernel in c.pins}
    offered = [name for name in tg.plugins.kernels if name.partition("/")[0] in here]
    return [
        *(f"op {name}" for name in tg.plugins.ops if name not in ops),
        *(f"kernel {name}" for name in offered if name not in timed),
    ]
