"""What the conformance section tries: the op suite's samples, everything that is registered, larger
shapes and training steps, on the GPU beside NumPy in float64."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from cuda_training import WORKLOADS, Training
from op_cases import ALL
from op_steps import LEFT_OUT, given, rolled, step_of
from tensorgraph_check import check, find
from tensorgraph_check.checks import CHECKS, backends
from tensorgraph_check.op_samples import SKIP
from tensorgraph_check.report import FAILED

import tensorgraph as tg
from bench.cuda.larger import LARGER

Arrays = list[Any]
REFERENCE = "float64"
BASE = {"float32": 1e-5, "tf32": 1e-3, "bfloat16": 1e-2}  # relative norms that are always allowed
LOSSES = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 3e-2}  # of the first training steps
BITS = {"float32": 23, "tf32": 10, "bfloat16": 7}  # after the binary point
MARGIN = 4  # times the error of NumPy on inputs that are rounded alike
PRODUCTS = ("matmul", "conv", "conv_input", "conv_weight", "conv_transpose", "einsum")
KINDS = ("op", "kernel", "activation", "layer", "loss", "regularizer", "optimizer")
STEPS = 4
SPARSE = 60  # in small sizes one in so many


class Found(NamedTuple):
    """A distance by relative norm, what is allowed, and words where it is none of numbers."""

    what: str
    error: float
    allowed: float
    why: str = ""


class Check(NamedTuple):
    name: str
    run: Callable[[Any], Iterator[Found]]  # of NumPy's random generator


def checks(*, small: bool) -> list[Check]:
    """All of them, in an order that is the same in every process."""
    cases = [Check(f"case {case}", functools.partial(of_case, case)) for case in ALL
             if case.op not in LEFT_OUT and "float16" not in str(case)]  # fmt: skip
    own = [("kernel", f"cupy/{k.op}/{k.name}") for k in tg.config.get_backend("cupy").kernels]
    named = [(kind, name) for kind in KINDS for name in sorted(find.registry_of(kind))
             if kind != "kernel"]  # fmt: skip
    things = [
        Check(f"{kind} {name}", functools.partial(of_thing, kind, name))
        for kind, name in [*own, *named, ("backend", "cupy")]
    ]
    large = [Check(f"larger {name}", functools.partial(of_larger, name, small)) for name in LARGER]
    networks = [
        Check(f"training {name}, {precision}", functools.partial(of_training, name, precision))
        for name in WORKLOADS
        for precision in BASE
    ]
    if small:
        return [*networks[1::7], *large[::6], *cases[7::SPARSE], *things[::SPARSE]]
    return [*networks, *large, *cases, *things]


def of_case(case: Any, random: Any) -> Iterator[Found]:
    """Values and gradients of a sample of the op suite, on inputs in another order."""
    step = step_of(case)
    inputs = fresh(case, random)
    precisions = tuple(BASE) if case.op in PRODUCTS else ("float32",)
    yield from compared(step, functools.partial(given, case), inputs, precisions)


def fresh(case: Any, random: Any) -> Arrays:
    """The floating-point inputs with their elements in a random order: they stay in the domain.
    Where the op takes inputs that belong together, those of the case itself."""
    inputs = [np.asarray(x) for x in case.inputs]
    moved = [_shuffled(x, random) if x.dtype.kind == "f" else x for x in inputs]
    if case.op in SKIP:
        return inputs
    call = case.call or getattr(tg.ops, case.op)
    with tg.use(backend="numpy", dtype=REFERENCE), np.errstate(all="ignore"):
        got = call(*map(tg.tensor, moved), **case.params).numpy()
        return moved if relative([got], [np.asarray(case.oracle(*moved))]) < 1e-9 else inputs


def _shuffled(x: Any, random: Any) -> Any:
    return random.permutation(x.ravel()).reshape(x.shape)


def of_larger(name: str, small: bool, random: Any) -> Iterator[Found]:
    """The same in shapes that fill more than a block of threads."""
    large = LARGER[name]

    def tensors(inputs: Arrays, dtype: str) -> Any:
        typed = [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]
        return [tg.tensor(x, requires_grad=x.dtype.kind == "f") for x in typed]

    def step(*xs: Any) -> Any:
        out = large.call(*xs)
        return [out, *tg.grad(large.loss(out), [x for x in xs if x.requires_grad])]

    precisions = tuple(BASE) if large.product else ("float32",)
    yield from compared(step, tensors, large.inputs(random, small), precisions)


def compared(
    step: Callable[..., Any], tensors: Callable[..., Any], inputs: Arrays, precisions: Sequence[str]
) -> Iterator[Found]:
    """Eager and compiled, in each precision: by itself, captured, replayed."""
    inputs = [rounded(x, BITS["float32"]) for x in inputs]

    def on(backend: str, dtype: str, xs: Arrays) -> Arrays:
        with tg.use(backend=backend, dtype=dtype), np.errstate(all="ignore"):
            return arrays(step(*tensors(xs, dtype=dtype)))

    want = on("numpy", REFERENCE, inputs)
    try:
        single = on("numpy", "float32", inputs)
    except (tg.errors.DtypeError, tg.errors.GradientError):  # made for float64, or for no graph
        return
    given_in_turn = inputs, rolled(inputs), inputs, inputs
    for precision in precisions:
        near = single
        if precision != "float32":
            near = on("numpy", REFERENCE, [rounded(x, BITS[precision]) for x in inputs])
        allowed = max(BASE[precision], MARGIN * relative(near, want))
        with tg.use(precision=precision):
            eager = on("cupy", "float32", inputs)
            yield Found(f"eager, {precision}", relative(eager, want), allowed)
            compiled = tg.compile(step)
            with tg.use(backend="cupy", dtype="float32"):
                runs = [arrays(compiled(*tensors(x, dtype="float32"))) for x in given_in_turn]
        yield Found(f"launch by launch, {precision}", relative(runs[0], want), allowed)
        yield Found(f"replayed, {precision}", relative(runs[2], want), allowed)
        yield Found(f"replayed bit for bit, {precision}", float(not same(*runs[2:])), 0)


def of_thing(kind: str, name: str, random: Any) -> Iterator[Found]:
    """Whatever the kit ``tensorgraph check`` claims of a thing, on the backend in force."""
    del random  # the kit has samples of its own
    (subject,) = (s for s in find.named(name, kind) if s.kind == kind)
    if kind == "backend":  # its kernels are checked one by one
        report = check.run(subject, [c for c in CHECKS if c is not backends.own_kernels], {})
    else:
        report = find.report(subject)
    for row in report.rows:
        bad = row.outcome == FAILED
        yield Found(f"tensorgraph check: {row.check}", float(bad), 0, row.detail if bad else "")


def of_training(name: str, precision: str, random: Any) -> Iterator[Found]:
    """The losses of the first steps beside NumPy's, twice the same, and the weights in the end."""
    del random
    make, shape, optimizer, options = WORKLOADS[name]

    def trained(compiled: bool) -> tuple[Arrays, Any]:
        training = Training(make, shape, optimizer, options, compiled=compiled)
        return [np.array(training.run(STEPS))], training.weights()

    with tg.use(backend="numpy", dtype="float32"):
        want, _ = trained(compiled=False)
    with tg.use(backend="cupy", dtype="float32", precision=precision):
        eager, _ = trained(compiled=False)
        first, weights = trained(compiled=True)
        again, once_more = trained(compiled=True)
    allowed = LOSSES[precision]
    yield Found(f"losses, eager, {precision}", relative(eager, want), allowed)
    yield Found(f"losses, compiled, {precision}", relative(first, want), allowed)
    alike = same([*first, *weights.values()], [*again, *once_more.values()])
    yield Found(f"the same run twice, {precision}", float(not alike), 0)


def arrays(tensors: Sequence[Any]) -> Arrays:
    return [np.array(x.numpy()) for x in tensors]


def rounded(x: Any, bits: int) -> Any:
    """Floating-point numbers to the nearest with so many bits after the binary point."""
    if x.dtype.kind != "f":
        return x
    fraction, exponent = np.frexp(x)
    return np.ldexp(np.round(np.ldexp(fraction, bits + 1)), exponent - bits - 1)


def relative(got: Arrays, want: Arrays) -> float:
    """The largest distance of a pair of arrays by the norm of the second. Whole numbers are equal
    or not; infinities and NaN have their places."""
    return max((_relative(x, y) for x, y in zip(got, want, strict=True)), default=0.0)


def _relative(got: Any, want: Any) -> float:
    if got.shape != want.shape:
        return np.inf
    if want.dtype.kind != "f" or got.dtype.kind != "f":
        return float((got != want).any())
    a, b = got.astype(REFERENCE), want.astype(REFERENCE)
    finite = np.isfinite(a) & np.isfinite(b)
    if not (finite | (a == b) | (np.isnan(a) & np.isnan(b))).all():
        return np.inf
    distance, size = (float(np.linalg.norm(x)) for x in (a[finite] - b[finite], b[finite]))
    return distance / size if size else distance


def same(first: Arrays, second: Arrays) -> bool:
    return all(
        x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
        for x, y in zip(first, second, strict=True)
    )
