"""The same thing elsewhere: in a compiled step, and on every other backend that is here."""

from __future__ import annotations

from typing import Any

import tensorgraph as tg
from tensorgraph import Tensor, config
from tensorgraph.errors import BackendError
from tensorgraph_check.check import SEED, CouldNotRun, Failed, check, describe
from tensorgraph_check.compare import disagreement, tolerance
from tensorgraph_check.kinds.layer import LayerSubject
from tensorgraph_check.sample import Sample
from tensorgraph_check.subject import Step, Subject, leaves, working

RUNS = 3
DTYPE = "float32"
KEEP = (
    "what changes from call to call has to be a tensor, an attribute of a layer or a tg.Buffer; "
    "what is drawn comes from tg.ops"
)


@check("compiled", "layer activation loss regularizer optimizer op",
       needs="determinism, host reads, dtype")  # fmt: skip
def compiled(subject: Subject) -> str:
    """In a compiled step, recorded once and replayed, it gives what it gives step by step:
    results, gradients and state."""
    worst, allowed = 0.0, subject.given.tolerance or tolerance(DTYPE)
    for sample in subject.samples[:2]:
        plain = _runs(subject, sample, False)
        try:
            replayed = _runs(subject, sample, True)
        except Exception as error:
            raise Failed(describe(error), code=_recorded(subject, sample), fix=KEEP) from error
        for i, (want, got) in enumerate(zip(plain, replayed), start=1):
            found, wrong = disagreement(got, want, allowed)
            if wrong:
                raise Failed(
                    f"on {sample}, run {i} of the compiled step and of the plain one: {wrong}",
                    code=_recorded(subject, sample),
                    fix=KEEP,
                )
            worst = max(worst, found)
    return f"{RUNS} runs, largest difference {worst:.1e} of {allowed:.0e}"


def _recorded(subject: Subject, sample: Sample) -> str:
    if subject.kind == "optimizer":
        return f"{subject.code(sample)}\n# all of it in step = tg.compile(step)"
    xs = ", ".join(f"x{i}" for i in range(len(sample.inputs)))
    return subject.code(sample, call=f"tg.compile(lambda {xs}: {{}})({xs})")


def _runs(subject: Subject, sample: Sample, recorded: bool) -> list[list[Tensor]]:
    """The results of some runs on numbers that differ, and what is kept in the end."""
    results = []
    with working(DTYPE):
        step = subject.step(sample, DTYPE)
        given = sample.tensors(DTYPE)
        step.begin(*leaves(given))
        run: Any = tg.compile(lambda *xs: step.run(*xs)) if recorded else step.run
        for i in range(RUNS):
            config.set_random_state((SEED + i, 0))
            xs = [x if x.dtype != DTYPE else (x * (1 + 0.125 * i)).detach() for x in given]
            results.append([x.detach() for x in run(*leaves(xs))])
        return [*results, [x.detach() for x in step.state().values()]]


@check("other backends", "layer activation loss regularizer optimizer op",
       needs="determinism, dtype")  # fmt: skip
def other_backends(subject: Subject) -> str:
    """Every backend that is available here gives the same results and gradients, within the
    tolerance that is published for the dtype."""
    here = config.get_backend().name
    figures, absent = [], []
    for name in tg.plugins.backends:
        if name == here:
            continue
        try:
            tg.plugins.backend(name)
        except BackendError as error:
            absent.append(f"{name}: {error.__cause__ or error}".partition(";")[0])
            continue
        worst = max(_on(subject, sample, name) for sample in subject.samples)
        figures.append(f"{name} {worst:.1e}")
    if not figures:
        raise CouldNotRun(f"{here} is the only backend here ({'; '.join(absent) or 'no other'})")
    missing = f"; not here: {'; '.join(absent)}" if absent else ""
    return f"against {here}: {', '.join(figures)} of {tolerance(DTYPE):.0e}{missing}"


def _on(subject: Subject, sample: Sample, backend: str) -> float:
    """The largest difference that another backend makes, on numbers that begin the same."""
    with working(DTYPE):
        here = subject.step(sample, DTYPE)
        state = _kept(subject, here)
        want = here.run(*leaves(sample.tensors(DTYPE)))
    with working(DTYPE, backend):
        there = subject.step(sample, DTYPE)
        there.load(state)
        got = there.run(*leaves(sample.tensors(DTYPE)))
        found, wrong = disagreement(got, want, subject.given.tolerance)
    if wrong:
        raise Failed(
            f"on {sample}, backend {backend} and {config.get_backend().name}: {wrong}",
            code=f'tg.use(backend="{backend}")\n{subject.code(sample)}',
            fix="find the kernel that differs: tensorgraph check on the backend, or pin "
            "tg.use(kernels={…: 'portable'})",
        )
    return found


def _kept(subject: Subject, step: Step) -> dict[str, Any]:
    if not isinstance(subject, LayerSubject):
        return {}
    return {name: x.numpy() for name, x in step.state().items()}
