"""Gradients against differences in float64, broadcasting, and what a wrong one suffers from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorgraph as tg
from tensorgraph import Tensor, config
from tensorgraph.errors import TensorgraphError
from tensorgraph.spec import is_floating
from tensorgraph_check import gradient
from tensorgraph_check.check import SEED, CouldNotRun, Failed, check
from tensorgraph_check.compare import GRADIENT, disagreement, tolerance
from tensorgraph_check.kinds.layer import LayerSubject
from tensorgraph_check.sample import Sample
from tensorgraph_check.subject import Subject, working

Function = Callable[..., Tensor]
ORDER, DIRECTIONS = 2, 2
PAIRS = (((3, 4), (4,)), ((3, 1), (1, 4)), ((4,), (3, 4)), ((2, 1, 3), (4, 1)))


@check("gradients", "layer activation loss regularizer op", needs="determinism, host reads, dtype")
def gradients(subject: Subject) -> str:
    """The gradients of all inputs and parameters are those of finite differences, to order 2, in
    float64, along random directions and with random numbers for the gradient of the output."""
    if isinstance(subject.thing, tg.Op) and subject.thing.rule is None:
        raise CouldNotRun("the op has no gradient rule; @op.vjp gives it one")
    worst, count = 0.0, 0
    for sample in subject.samples:
        with working("float64"):
            subject._working = sample, "float64"
            function, at = _differentiable(subject, sample)
            out = function(*at)
            if not is_floating(out.dtype) or not any(is_floating(x.dtype) for x in at):
                continue
            for seed in range(DIRECTIONS):
                for slope in _slopes(function, at, seed):
                    if not slope.error <= (subject.given.tolerance or GRADIENT):
                        raise _wrong(subject, sample, function, at, slope)
                    worst = max(worst, slope.error)
        count += 1
    if not count:
        raise CouldNotRun("no sample has floating-point inputs and results")
    return f"largest relative error {worst:.1e} of {GRADIENT:.0e}, order {ORDER}, {count} samples"


def _slopes(
    function: Function, at: list[Tensor], seed: int, moving: Sequence[int] = ()
) -> list[gradient.Slope]:
    found = gradient.slopes(function, at, order=ORDER, seed=seed, moving=moving, constant=True)
    return list(found)


def _differentiable(subject: Subject, sample: Sample) -> tuple[Function, list[Tensor]]:
    """A pure function of the inputs and, of a layer, its parameters; and where to try it."""
    xs = sample.tensors("float64")
    if not isinstance(subject, LayerSubject):
        forward = subject.forward(sample)

        def seeded(*given: Tensor) -> Tensor:
            config.set_random_state((SEED, 0))
            return forward(*given)

        return seeded, xs
    layer = subject.built(sample, "float64")
    parameters = [p for p in layer.parameters() if p.built and is_floating(p.dtype)]
    buffers = {s: s.data for s in layer.named_state().values() if isinstance(s, tg.Buffer)}

    def function(*given: Tensor) -> Tensor:
        config.set_random_state((SEED, 0))
        for p, value in zip(parameters, given[len(xs) :], strict=True):
            p.data, p.node = value.data, value.node  # the parameter stands for this leaf
        for buffer, array in buffers.items():
            buffer.data = array
        return layer(*given[: len(xs)])

    return function, [*xs, *(p.detach() for p in parameters)]


def _wrong(
    subject: Subject,
    sample: Sample,
    function: Function,
    at: list[Tensor],
    slope: gradient.Slope,
) -> Failed:
    floats = [i for i, x in enumerate(at) if is_floating(x.dtype)]
    culprits, ratios = [], set()
    for i in floats:
        for seed in range(2):
            found = _slopes(function, at, seed, moving=[i])[slope.order - 1]
            if not found.error <= GRADIENT:
                culprits.append(i)
                ratios.add(round(found.exact / found.numeric, 4) if found.numeric else None)
    names = [f"input {i}" for i in range(len(sample.inputs))]
    names += [f"parameter {i}" for i in range(len(at) - len(names))]
    whose = ", ".join(names[i] for i in dict.fromkeys(culprits)) or "the inputs together"
    what = "the gradient" if slope.order == 1 else f"the derivative of order {slope.order}"
    return Failed(
        f"on {sample} {what} with respect to {whose} is {slope.exact:.9g} along a random "
        f"direction, and finite differences give {slope.numeric:.9g} (relative error "
        f"{slope.error:.1e}, allowed {GRADIENT:.0e})",
        code=_code(subject, sample),
        fix=_diagnosis(function, at, floats, slope.order, ratios),
    )


def _code(subject: Subject, sample: Sample) -> str:
    xs = ", ".join(f"x{i}" for i in range(len(sample.inputs)))
    return subject.code(
        sample,
        "float64",
        before=["from tensorgraph.testing import gradcheck"],
        call=f"gradcheck(lambda {xs}: {{}}, [{xs}])",
    )


def _diagnosis(
    function: Function, at: list[Tensor], floats: list[int], order: int, ratios: set[float | None]
) -> str:
    """What is likely wrong, where the numbers tell."""
    if order == 1 and _ignores_g(function, at, floats):
        return "the rule ignores g, the gradient of the output: multiply by it"
    if ratios == {0.0}:
        return "the gradient is 0: the rule returns None, or values were detached on the way"
    if len(ratios) == 1 and (ratio := ratios.pop()) is not None:
        return f"the gradient is {ratio:g} times what it should be, in every direction"
    if order > 1:
        return "the rule is right but cannot be differentiated: write it in ops, without detach()"
    return (
        "look at the rules of the ops that it runs, and at what is detached on the way; if that is "
        'meant: skip = {"gradients": "why"}'
    )


def _ignores_g(function: Function, at: list[Tensor], floats: list[int]) -> bool:
    """Whether twice the gradient of the output gives the same gradient of an input."""
    xs = [x.detach() for x in at]
    for i in floats:
        xs[i].requires_grad = True
    wanted = [xs[i] for i in floats]
    found = []
    for factor in (1.0, 2.0):
        out = function(*xs)
        if not out.requires_grad:
            return False
        found.append(tg.grad(tg.ops.sum(out) * factor, wanted))
    pairs = zip(*found)
    return any((a.numpy() == b.numpy()).all() and (a.numpy() != 0).any() for a, b in pairs)


@check("broadcasting", "op loss kernel", needs="dtype, gradients")
def broadcasting(subject: Subject) -> str:
    """Inputs of shapes that differ give what they give written out in full, and so do the
    gradients, which are summed over the axes that were broadcast."""
    plain = next((s for s in subject.samples if _alike(s)), None)
    if plain is None:
        raise CouldNotRun("it does not take two inputs of one shape and dtype")
    dtype = subject.widest(plain)
    with working(dtype):
        out = subject.forward(plain)(*plain.tensors(dtype))
    if subject.kind != "loss" and out.shape != plain.inputs[0].shape:
        raise CouldNotRun("it is not elementwise: its results have another shape than its inputs")
    refused, served = "", 0
    for shapes in PAIRS:
        sample = plain.resized([shapes[i % 2] for i in range(len(plain.inputs))])
        with working(dtype):
            subject._working = sample, dtype
            function = subject.forward(sample)
            xs = sample.tensors(dtype)
            try:
                got = function(*xs)
            except TensorgraphError as error:
                refused = str(error).splitlines()[0]
                continue
            shape = (xs[0] + xs[1]).shape
            full = [tg.ops.broadcast_to(x, shape=shape) for x in xs]
            _, wrong = disagreement([got], [function(*full)])
            if wrong:
                raise Failed(
                    f"on {sample}, and on the same written out: {wrong}",
                    code=subject.code(sample, dtype),
                    fix="refuse shapes that differ with a ShapeError, as mse_loss does, or begin "
                    "with tg.ops.broadcast_to",
                )
            if got.dtype == dtype and subject.kind != "kernel":
                _broadcast_gradient(subject, sample, function, xs)
        served += 1
    if not served:
        raise CouldNotRun(f"it refuses shapes that differ: {refused}")
    return f"{served} pairs of shapes within {tolerance(dtype):.0e}, gradients {GRADIENT:.0e}"


def _alike(sample: Sample) -> bool:
    shapes = {(x.shape, x.dtype.kind) for x in sample.inputs}
    return len(sample.inputs) > 1 and len(shapes) == 1 and sample.inputs[0].dtype.kind == "f"


def _broadcast_gradient(
    subject: Subject, sample: Sample, function: Function, xs: list[Tensor]
) -> None:
    for slope in gradient.slopes(function, xs, order=1):
        if not slope.error <= (subject.given.tolerance or GRADIENT):
            raise Failed(
                f"on {sample} the gradient is {slope.exact:.9g} along a random direction, and "
                f"finite differences give {slope.numeric:.9g} (relative error {slope.error:.1e})",
                code=_code(subject, sample),
                fix="return g in the shape of the result: the engine sums it over what was "
                "broadcast; or tg.ops.sum_to(g, shape=x.shape)",
            )
