"""What a backend promises: the protocol, arrays that are its own, and every op as NumPy has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorgraph as tg
from tensorgraph import Kernel, Op, config, ops
from tensorgraph.errors import MissingKernelError
from tensorgraph_check.check import SEED, CouldNotRun, Failed, check, describe
from tensorgraph_check.checks.kernels import against_portable
from tensorgraph_check.compare import disagreement, dtype_of, tolerance
from tensorgraph_check.gradient import gradcheck
from tensorgraph_check.kinds.functions import OpSubject
from tensorgraph_check.kinds.kernel import BackendSubject, KernelSubject
from tensorgraph_check.sample import Sample, normal, sample, whole
from tensorgraph_check.subject import leaves, outputs, working

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64"),
)
SHAPES = ((), (0, 3), (2, 1, 4))
ORACLE = "numpy"


class Exporter:
    """An array that is known only by DLPack."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


@check("protocol", "backend")
def protocol(subject: BackendSubject) -> str:
    """It has the parts that ``tensorgraph.Backend`` asks for, and its kernels belong to ops."""
    backend = subject.thing
    lacks = [x for x in ("name", "xp", "kernels", "asarray", "to_host", "synchronize")
             if not hasattr(backend, x)]  # fmt: skip
    if lacks:
        raise Failed(f"it lacks {', '.join(lacks)}", fix="tensorgraph.Backend says what each does")
    if backend.name != subject.name:
        raise Failed(f"its name is {backend.name!r}, and it is registered as {subject.name!r}")
    names = [(kernel.op, kernel.name) for kernel in backend.kernels]
    wrong = [k for k in backend.kernels if not isinstance(k, Kernel) or k.op not in Op.declared]
    wrong += [k for k in backend.kernels if k.name == "portable" or names.count(k[:2]) > 1]
    if wrong:
        raise Failed(
            f"kernel {wrong[0].name!r} of {wrong[0].op!r} is none of an op, or one of two of a name"
        )
    backend.synchronize()
    return f"{len(names)} kernels"


@check("arrays", "backend", needs="protocol")
def arrays(subject: BackendSubject) -> str:
    """Arrays come back from it as they went in, every dtype, with sizes 0 and without axes."""
    import numpy as np

    backend, count = subject.thing, 0
    for dtype in DTYPES:
        for shape in SHAPES:
            given = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
            array = backend.asarray(given, dtype)
            host = backend.to_host(array)
            told = (tuple(array.shape), dtype_of(array))
            right = told == (shape, dtype) and isinstance(host, np.ndarray)
            if not right or not np.array_equal(host, given):
                raise Failed(
                    f"{dtype}{list(shape)} comes back as {told[1]}{list(told[0])} with other "
                    "values, or not as a NumPy array",
                    fix="asarray takes the dtype as a string; to_host gives a numpy.ndarray",
                )
            count += 1
    for numbers, dtype in ((2, "int64"), ([[1, 2], [3, 4]], "uint32"), ((1.5, 2), "float64")):
        if not np.array_equal(backend.to_host(backend.asarray(numbers, dtype)), numbers):
            raise Failed(f"asarray({numbers!r}, {dtype!r}) has other values")
        count += 1
    return f"{count} arrays"


@check("own memory", "backend", needs="arrays")
def copies(subject: BackendSubject) -> str:
    """``asarray`` gives an array that is nobody else's: what is written to the source later does
    not reach it."""
    import numpy as np

    given = np.zeros(3, "float32")
    made = subject.thing.asarray(given, None), subject.thing.asarray(given, "float32")
    given += 1
    if any(subject.thing.to_host(x).any() for x in made):
        raise Failed(
            "asarray shares memory with the NumPy array that it is given",
            code="x = np.zeros(3); y = backend.asarray(x, None); x += 1  # y has changed",
            fix="copy: xp.array(data, dtype, copy=True)",
        )
    return "a copy, with a dtype and without"


@check("DLPack", "backend", needs="arrays")
def exchange(subject: BackendSubject) -> str:
    """It takes arrays of other libraries, and its own, by DLPack."""
    import numpy as np

    given = np.arange(6.0).reshape(2, 3)
    own = subject.thing.asarray(given, None)
    for source in (given, own):
        made = subject.thing.to_host(subject.thing.asarray(Exporter(source), None))
        if not np.array_equal(made, given):
            raise Failed("an array that comes by DLPack has other values")
    return "NumPy's arrays and its own"


@check("random bits", "backend", needs="arrays")
def random_bits(subject: BackendSubject) -> str:
    """From one key come the same bits as on NumPy: a seed means the same on every backend."""
    drawn = []
    for name in (subject.name, ORACLE):
        with working("float32", name):
            drawn.append(ops.uniform((7, 33)))
    _, wrong = disagreement(drawn[:1], drawn[1:], 0.0)
    if wrong:
        raise Failed(
            f"tg.ops.uniform((7, 33)) after tg.seed({SEED}), and on NumPy: {wrong}",
            fix="leave random_bits to its portable kernel, or compute Philox4x32-10 in uint32",
        )
    return "7x33 numbers, the same"


def cases() -> Iterator[tuple[str, Sample]]:
    """All ops that are registered, and samples that they accept on NumPy."""
    for name, thing in sorted(tg.plugins.ops.items()):
        subject = OpSubject(name, thing)
        try:
            with working("float32", ORACLE):
                found = subject.samples
        except CouldNotRun:
            continue
        for one in found:
            yield name, one


class Reached(config.Listener):
    """The ops that ran."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def op(self, op: Any, inputs: Any, params: Any, out: Any) -> None:
        self.names.add(op.name)


def _results(name: str, one: Sample, dtype: str, backend: str, seed: int = SEED) -> list[tg.Tensor]:
    with working(dtype, backend, seed):
        function = OpSubject(name, tg.plugins.ops[name]).forward(one)
        return outputs(function, leaves(one.tensors(dtype)))


@check("ops", "backend", needs="arrays, random bits")
def conformance(subject: BackendSubject) -> str:
    """Every op gives what NumPy's backend gives with the portable kernels, forward and backward,
    in float32 and float64, shape and dtype included."""
    worst, count, reached, wrong = 0.0, 0, Reached(), []
    pins = {name: "portable" for name, has in _portable().items() if has}
    missing = []
    for name, one in cases():
        for dtype in ("float32", "float64"):
            with tg.use(kernels=pins):
                want = _results(name, one, dtype, ORACLE)
            try:
                with config.listen(reached):
                    got = _results(name, one, dtype, subject.name)
            except MissingKernelError as error:
                missing.append(str(error).splitlines()[0])
                continue
            except Exception as error:
                wrong.append((name, one, dtype, describe(error)))
                continue
            for x in got:
                if (tuple(x.data.shape), dtype_of(x.data)) != (x.shape, x.dtype):
                    real = f"{dtype_of(x.data)}{list(x.data.shape)}"
                    wrong.append((name, one, dtype, f"the array is {real}, the rule says {x.spec}"))
            found, difference = disagreement(got, want, subject.given.tolerance)
            if difference:
                wrong.append((name, one, dtype, f"{difference}, allowed {tolerance(dtype):.0e}"))
            worst, count = max(worst, found), count + 1
    if wrong or missing:
        raise _broken(subject, wrong, missing)
    return f"{len(reached.names)} ops, {count} calls, largest difference {worst:.1e}"


def _broken(subject: BackendSubject, wrong: list[Any], missing: list[str]) -> Failed:
    names = list(dict.fromkeys(name for name, *_ in wrong))
    lines = [f"{name} on {one} in {dtype}: {what}" for name, one, dtype, what in wrong[:3]]
    told = f"{len(names)} ops are wrong: {', '.join(names[:20])}. " if names else ""
    code = ""
    if wrong:
        name, one, dtype, _ = wrong[0]
        with config.Scope():
            code = OpSubject(name, tg.plugins.ops[name], registry=tg.plugins.ops).code(one, dtype)
        code = f'tg.use(backend="{subject.name}")\n{code}'
    return Failed(
        told + "; ".join([*lines, *dict.fromkeys(missing)]),
        code=code,
        fix="bring a kernel of your own for the op: register_kernels, or kernels of the backend",
    )


def _portable() -> dict[str, bool]:
    """The ops that a pin may name, and whether they have a portable kernel."""
    return {
        name: thing.portable is not None
        for name, thing in tg.plugins.ops.items()
        if isinstance(thing, Op)
    }


SECOND = {
    "conv": sample(normal(2, 3, 5, 4), normal(4, 3, 3, 2, seed=1), padding=1),
    "max_pool": sample(normal(2, 3, 6, 5), kernel_size=2),
    "cross_entropy": sample(normal(3, 5), whole(5, 3)),
    "softmax": sample(normal(3, 5)),
}


@check("gradients of order 2", "backend", needs="ops")
def gradients(subject: BackendSubject) -> str:
    """Gradients of gradients agree with differences, for ops that need many others."""
    with working("float64", subject.name):
        found = {
            name: gradcheck(
                lambda *xs, name=name, one=one: tg.ops.square(
                    tg.plugins.ops[name](*xs, **one.options)
                ),
                one.tensors("float64"),
                tolerance=1e-5,
            )
            for name, one in SECOND.items()
        }
    return ", ".join(f"{name} {error:.1e}" for name, error in found.items())


@check("own kernels", "backend", needs="protocol, ops")
def own_kernels(subject: BackendSubject) -> str:
    """Each kernel of its own gives what the op's portable kernel gives on its arrays."""
    kernels = list(subject.thing.kernels)
    if not kernels:
        raise CouldNotRun("it brings no kernel: every op runs on its portable one")
    compared, left = 0, []
    for kernel in kernels:
        name = f"{subject.name}/{kernel.op}/{kernel.name}"
        one = KernelSubject(name, (subject.name, kernel), None, tg.plugins.kernels)
        try:
            with one.scope():
                against_portable.function(one)
            compared += 1
        except CouldNotRun as reason:
            left.append(f"{kernel.op}/{kernel.name}: {reason}")
    return f"{compared} of {len(kernels)}" + (f"; not: {'; '.join(left)}" if left else "")
