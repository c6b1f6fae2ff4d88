"""What a thing computes: shapes, dtypes, values, sizes 0 and 1, memory layouts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorgraph as tg
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import TensorgraphError
from tensorgraph.spec import is_floating
from tensorgraph_check.check import CouldNotRun, Failed, check, describe
from tensorgraph_check.compare import difference, disagreement, dtype_of, tolerance
from tensorgraph_check.sample import Sample
from tensorgraph_check.subject import Subject, leaves, working

FUNCTIONS = "layer activation loss regularizer op kernel"
ALL = f"{FUNCTIONS} optimizer"
FLOATS = ("float32", "float64")


@check("samples", ALL, needs="signature")
def accepted(subject: Subject) -> str:
    """There are inputs to try it with: those of its author, or of the likely ones those that it
    accepts. The figures say which."""
    chosen = subject.samples
    how = "guessed" if chosen[0].guessed else "given"
    if len(given := {sample.given for sample in chosen}) == 1 and given != {""}:
        return f"{how}: {'; '.join(sample.shapes for sample in chosen)}; all{given.pop()}"
    return f"{how}: {'; '.join(map(str, chosen))}"


@check("shape rule", FUNCTIONS, needs="host reads")
def shape_rule(subject: Subject) -> str:
    """The shape that is known before any data is there is that of the array that is computed. A
    loss and a regularizer return one number."""
    shapes = []
    for sample in subject.samples:
        with working("float32"), tg.no_grad():
            real = forward(subject, sample)
            try:
                abstract = _shaped(subject, sample)
            except Exception as error:
                raise Failed(
                    f"on {sample}, its values left out: {describe(error)}",
                    code=_shape_code(subject, sample),
                    fix="run on tensors that have no values too, as model.summary does: tg.ops do",
                ) from error
        found = tuple(real.data.shape)
        for rule, spec in (("the shape rule says", real.spec), ("without data it is", abstract)):
            if spec.shape != found:
                raise Failed(
                    f"on {sample} the array has shape {list(found)}, and {rule} {list(spec.shape)}",
                    code=_shape_code(subject, sample),
                    fix="correct the shape rule, or what forward does where there is no data",
                )
        if subject.kind in ("loss", "regularizer") and found and not sample.options:
            raise Failed(
                f"on {sample} it returns shape {list(found)}, and a {subject.kind} is one number",
                code=subject.code(sample),
                fix="end with tg.ops.mean or tg.ops.sum",
            )
        shapes.append(str(list(found)))
    return f"{', '.join(shapes)} with and without data"


def _shaped(subject: Subject, sample: Sample) -> tg.Spec:
    """The spec that comes out where tensors have no values."""
    xs = [tg.Tensor(None, ABSTRACT, x.spec) for x in sample.tensors("float32")]
    if subject.kind == "kernel":
        return forward(subject, sample).spec
    return subject.forward(sample)(*xs).spec


def _shape_code(subject: Subject, sample: Sample) -> str:
    """Python that shows the shape; of a layer, also what it says without data."""
    xs = subject.code(sample)
    return f"{xs}\nlayer.infer_shape(x0.spec)" if subject.kind == "layer" else xs


def forward(subject: Subject, sample: Sample, dtype: str = "float32") -> tg.Tensor:
    """The output of a fresh start."""
    subject._working = sample, dtype
    return subject.forward(sample)(*sample.tensors(dtype))


@check("dtype", ALL, needs="shape rule")
def dtypes(subject: Subject) -> str:
    """float32 stays float32 and float64 stays float64, in the results and their gradients, and the
    arrays have the dtype that the shape rule says. Inputs decide, and not the default dtype."""
    tried = dict[str, None]()
    for dtype, other in zip(FLOATS, reversed(FLOATS)):
        for sample in (one for one in subject.samples if subject.supports(one, dtype)):
            tried[dtype] = None
            follows = any(x.dtype.kind == "f" for x in sample.inputs)
            with working(other if follows else dtype):
                xs = leaves(sample.tensors(dtype))
                first, *gradients = subject.step(sample, dtype).run(*xs)
            real = dtype_of(first.data)
            if real != first.dtype:
                raise Failed(
                    f"on {sample} in {dtype} the array is {real}, and the shape rule says "
                    f"{first.dtype}",
                    code=subject.code(sample, dtype),
                    fix="a kernel returns arrays of the dtype that the shape rule says",
                )
            asked = {str(x) for x in (*sample.options.values(), *sample.arguments)}
            for x in (first, *gradients):
                if is_floating(x.dtype) and x.dtype != dtype and x.dtype not in asked:
                    raise Failed(
                        f"on {sample} in {dtype} it returns {x.spec}",
                        code=subject.code(sample, dtype),
                        fix="make what you need in the dtype of the input: x.dtype",
                    )
    return f"preserved in {' and '.join(tried)}"


@check("reference", FUNCTIONS, needs="determinism, dtype")
def reference(subject: Subject) -> str:
    """The results are those of the author's reference, in float64 and in float32. A layer's is
    called as ``reference(x, state, **options)`` and says what the layer does in eval mode."""
    function = subject.given.reference
    if function is None:
        raise CouldNotRun("no reference is given: reference=f, with f(*arrays, **options) in NumPy")
    figures = []
    for dtype in FLOATS:
        worst, allowed = 0.0, subject.given.tolerance or tolerance(dtype)
        for sample in subject.samples:
            with working(dtype), tg.no_grad():
                subject._working = sample, dtype
                xs = sample.tensors(dtype)
                arrays = [x.numpy() for x in xs]
                if subject.kind == "layer":
                    layer = subject.built(sample, dtype).eval()  # type: ignore[attr-defined]
                    got = layer(*xs).numpy()
                    state = {name: x.numpy() for name, x in layer.state().items()}
                    want = function(*arrays, state, **sample.options)
                else:
                    got = subject.forward(sample)(*xs).numpy()
                    named: Any = [dict(zip(sample.names, arrays))] if sample.names else arrays
                    want = function(*sample.arguments, *named, **sample.options)
            worst = max(worst, _same(subject, sample, dtype, got, want, allowed))
        figures.append(f"{dtype} {worst:.1e} of {allowed:.0e}")
    return f"largest difference: {', '.join(figures)}"


def _same(
    subject: Subject, sample: Sample, dtype: str, got: Any, want: Any, allowed: float
) -> float:
    import numpy as np

    want = np.asarray(want)
    if want.shape != got.shape:
        raise Failed(
            f"on {sample} it has shape {list(got.shape)}, the reference {list(want.shape)}",
            code=subject.code(sample, dtype),
        )
    found = difference(got, want)
    if found > allowed:
        _, what = disagreement([tg.tensor(got)], [tg.tensor(want)], 0.0)
        raise Failed(
            f"on {sample} in {dtype} it gives, and the reference: {what}, allowed {allowed:.0e}",
            code=subject.code(sample, dtype),
        )
    return found


@check("sizes 0 and 1", ALL, needs="shape rule, dtype")
def sizes(subject: Subject) -> str:
    """Axes of size 0 and 1 give results of the right shape, finite for size 1, or a clear error of
    TensorGraph's: an empty batch and a last batch of one are ordinary."""
    ran, refused = 0, list[str]()
    for sample in subject.samples[:2]:
        for small in _resized(subject, sample):
            with working("float32"):
                xs = leaves(small.tensors("float32"))
                try:
                    step = subject.step(small, "float32")
                    out, *gradients = step.run(*xs)
                except TensorgraphError as error:
                    refused.append(str(error).splitlines()[0])
                    continue
                except Exception as error:
                    if not subject.serves(small):
                        refused.append("the portable kernel does not serve it either")
                        continue
                    raise Failed(
                        f"on {small}: {describe(error)}",
                        code=subject.code(small),
                        fix="serve it, or refuse it with a ShapeError in the shape rule",
                    ) from error
            ran += 1
            found = {
                "its value": [out],
                "a gradient": gradients,
                "its state": step.state().values(),
            }
            _sound(subject, small, found)
    if not ran:
        raise CouldNotRun(
            f"all are refused: {refused[0]}" if refused else "its inputs have no axes"
        )
    told = f", {len(refused)} refused clearly" if refused else ""
    return f"{ran} inputs with an axis of 0 or 1{told}"


def _sound(subject: Subject, small: Sample, found: Mapping[str, Iterable[tg.Tensor]]) -> None:
    import numpy as np

    (out,) = found["its value"]
    if tuple(out.data.shape) != out.shape:
        raise Failed(
            f"on {small} the array has shape {list(out.data.shape)}, the rule says {out.spec}",
            code=subject.code(small),
        )
    empty = any(x.size == 0 for x in small.inputs)
    for what, tensors in found.items():
        if not empty and not all(np.isfinite(x.numpy()).all() for x in tensors):
            raise Failed(
                f"on {small} {what} is NaN or infinite",
                code=subject.code(small),
                fix="guard the division by n - 1, or by a spread that is 0",
            )


def _resized(subject: Subject, sample: Sample) -> Iterator[Sample]:
    """The batch, and of elementwise things every axis, at 0 and at 1."""
    shapes = [x.shape for x in sample.inputs]
    for i, first in enumerate(shapes if subject.separate else shapes[:1]):
        everywhere = subject.kind in ("activation", "op", "kernel") and len(set(shapes)) == 1
        for axis in range(len(first) if everywhere else min(1, len(first))):
            for n in (0, 1):
                new = [
                    (*shape[:axis], n, *shape[axis + 1 :])
                    if j == i
                    or (not subject.separate and shape[axis : axis + 1] == first[axis : axis + 1])
                    else shape
                    for j, shape in enumerate(shapes)
                ]
                yield sample.resized(new)


@check("non-contiguous input", ALL, needs="determinism, dtype")
def layouts(subject: Subject) -> str:
    """Values that lie scattered in memory, as a transposed or strided view has them, give the same
    results: nobody outside a backend may rely on strides."""
    count, worst, dtype = 0, 0.0, FLOATS[-1]
    for sample in subject.samples:
        if not any(x.ndim for x in sample.inputs):
            continue
        dtype = subject.widest(sample)
        with working(dtype):
            want = subject.step(sample, dtype).run(*leaves(sample.tensors(dtype)))
        for view in (_transposed, _strided):
            with working(dtype):
                xs = [view(x) for x in sample.tensors(dtype)]
                got = subject.step(sample, dtype).run(*leaves(xs))
            found, wrong = disagreement(got, want)
            if wrong:
                raise Failed(
                    f"on {sample} as a {view.__name__[1:]} view, and contiguous: {wrong}",
                    code=_view_code(subject, sample, view.__name__),
                    fix="read arrays by their axes, or begin with xp.ascontiguousarray(x)",
                )
            count, worst = count + 1, max(worst, found)
    if not count:
        raise CouldNotRun("its inputs have no axes")
    return f"{count} views, largest difference {worst:.1e} of {tolerance(dtype):.0e}"


def _transposed(x: tg.Tensor) -> tg.Tensor:
    """The same values, the axes in memory in reverse order."""
    axes = tuple(reversed(range(x.ndim)))
    turned = tg.tensor(tg.ops.permute_dims(x, axes=axes).numpy().copy(order="C"))
    return tg.ops.permute_dims(turned, axes=axes).detach()


def _strided(x: tg.Tensor) -> tg.Tensor:
    """The same values, with others between them in the last axis."""
    if not x.ndim:
        return x
    twice = tg.ops.stack([x, tg.ops.logical_not(x) if x.dtype == "bool" else x + 1], axis=-1)
    wide = tg.ops.reshape(twice, shape=(*x.shape[:-1], 2 * x.shape[-1])).detach()
    view: tg.Tensor = wide[(..., slice(None, None, 2))]
    return view.detach()


def _view_code(subject: Subject, sample: Sample, view: str) -> str:
    views = []
    for i, x in enumerate(sample.inputs):
        if x.ndim:
            views.append(
                f"x{i} = tg.tensor(x{i}.numpy().T.copy()).T"
                if view == "_transposed"
                else f"x{i} = tg.tensor(np.repeat(x{i}.numpy(), 2, -1))[..., ::2]"
            )
    return subject.code(sample, "float64", before=views)
