"""What only kernels promise: the op's signature, the portable kernel's results, clean hands."""

from __future__ import annotations

import inspect
from typing import Any

import tensorgraph as tg
from tensorgraph_check.check import CouldNotRun, Failed, check
from tensorgraph_check.compare import difference, tolerance, worst_index
from tensorgraph_check.kinds.kernel import KernelSubject
from tensorgraph_check.sample import Sample
from tensorgraph_check.subject import working

FLOATS = ("float32", "float64")


@check("signature", "kernel")
def signature(subject: KernelSubject) -> str:
    """The kernel takes the op's arrays by position and every parameter of it by name."""
    takes = []
    for function in filter(None, (subject.run, subject.kernel.supports)):
        try:
            found = inspect.signature(function)
        except (TypeError, ValueError):
            continue  # some functions of C have none to read
        try:
            found.bind(*subject.op.inputs, **dict.fromkeys(subject.op.parameters))
        except TypeError as error:
            raise Failed(
                f"{getattr(function, '__name__', 'it')}{found} cannot be called as op "
                f"{subject.op.name!r}{inspect.signature(subject.op.shape_rule)} calls it: {error}",
                fix="arrays come by position, each parameter of the op by name: kernel(x, *, axis)",
            ) from error
        takes.append(str(found))
    if not takes:
        raise CouldNotRun("its signature cannot be read")
    return ", ".join(takes)


@check("portable kernel", "kernel", needs="determinism, shape rule, dtype")
def against_portable(subject: KernelSubject) -> str:
    """Its results are those of the op's portable kernel, also at the ends that fill no block."""
    if subject.op.portable is None:
        raise CouldNotRun(f"op {subject.op.name!r} has no portable kernel; give a reference")
    tried, worst, allowed = 0, dict.fromkeys(FLOATS, 0.0), subject.given.tolerance
    for sample in _all_samples(subject):
        for dtype in FLOATS:
            with working(dtype):
                xs = sample.tensors(dtype)
                specs, params = subject.call(xs, sample.options)
                if subject.kernel.supports and not subject.kernel.supports(*specs, **params):
                    continue
                host = tg.config.get_backend().to_host
                want = host(subject.portable(sample.tensors(dtype), sample))
                got = host(subject.run(*[x.data for x in xs], **params))
            tried += 1
            _compare(subject, sample, dtype, got, want, allowed or tolerance(dtype))
            worst[dtype] = max(worst[dtype], difference(got, want))
    if not tried:
        raise CouldNotRun("it supports none of the samples, in neither dtype; give samples=[…]")
    figures = ", ".join(f"{k} {v:.1e} of {allowed or tolerance(k):.0e}" for k, v in worst.items())
    return f"{tried} inputs, largest difference: {figures}"


def _all_samples(subject: KernelSubject) -> list[Sample]:
    """Those of its author; or all that are known, not only the first that it accepts."""
    chosen = {str(sample): sample for sample in subject.samples}
    if subject.samples[0].guessed:
        found = (x for x in subject.candidates() if _fits(subject, x) and subject.serves(x))
        chosen = {**{str(sample): sample for sample in found}, **chosen}
    return list(chosen.values())


def _fits(subject: KernelSubject, sample: Sample) -> bool:
    try:
        with working("float32"):
            specs, params = subject.call(sample.tensors("float32"), sample.options)
            subject.op.shape_rule(*specs, **params)
    except Exception:  # a guess that does not fit the op
        return False
    return True


def _compare(
    subject: KernelSubject, sample: Sample, dtype: str, got: Any, want: Any, allowed: float
) -> None:
    at = worst_index(got, want) if got.shape == want.shape else ()
    code = _both(subject, sample, dtype, at)
    if got.shape != want.shape:
        raise Failed(f"on {sample} it gives {got.shape}, the portable {want.shape}", code=code)
    found = difference(got, want)
    if found > allowed:
        ends = [i in (0, n - 1) for i, n in zip(at, got.shape) if n > 1]
        raise Failed(
            f"on {sample} in {dtype} it gives {got[at]:.9g} and the portable kernel "
            f"{want[at]:.9g} at {list(at)} (relative {found:.1e}, allowed {allowed:.0e})",
            code=code,
            fix="the element is at the border: look at the ends of loops and blocks, and padding"
            if any(ends)
            else "",
        )


def _both(subject: KernelSubject, sample: Sample, dtype: str, at: tuple[int, ...]) -> str:
    """Python that shows an element as this kernel and as the portable one have it."""
    if subject.registry is None:
        return subject.code(sample, dtype)
    names = tuple(f"x{i}" for i in range(len(sample.inputs)))
    element = f"[{', '.join(map(str, at))}]" if at else ""
    return subject.script(
        sample,
        dtype,
        f'for kernel in ("{subject.kernel.name}", "portable"):',
        f'    with tg.use(backend="{subject.backend}", kernels={{"{subject.op.name}": kernel}}):',
        f"        print({sample.call(f'tg.ops.{subject.op.name}', names)}.numpy(){element})",
    )


@check("inputs untouched", "kernel")
def untouched(subject: KernelSubject) -> str:
    """The kernel writes to none of its inputs: the graph may need their values."""
    import numpy as np

    for sample in subject.samples:
        with working("float32"):
            xs = sample.tensors("float32")
            _, params = subject.call(xs, sample.options)
            subject.run(*[x.data for x in xs], **params)
            for i, (x, given) in enumerate(zip(xs, sample.tensors("float32"))):
                if not np.array_equal(x.numpy(), given.numpy(), equal_nan=x.dtype[0] == "f"):
                    raise Failed(
                        f"on {sample} it writes to input {i}",
                        code=subject.code(sample),
                        fix="write to an array that the kernel itself has made",
                    )
    return f"{len(subject.samples)} samples"
