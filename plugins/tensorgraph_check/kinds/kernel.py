"""A kernel at work by itself, and the backend that it is one of."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import tensorgraph as tg
from tensorgraph import Kernel, Op, Tensor, config, ops
from tensorgraph.backend import imported
from tensorgraph.errors import ShapeError
from tensorgraph_check import guess
from tensorgraph_check.calls import calls
from tensorgraph_check.sample import Sample, text
from tensorgraph_check.subject import Given, Subject

Function = Callable[..., Tensor]


class KernelSubject(Subject):
    """A kernel: run by itself, on what it says that it supports; reference and samples are those of
    its op, where it has any."""

    kind = "kernel"

    def __init__(self, name: str, thing: Any, *more: Any) -> None:
        super().__init__(name, thing, *more)
        self.backend, kernel = thing
        self.kernel: Kernel = kernel
        self.op = find_op(kernel.op)
        self.run = imported(kernel.run, f"kernel {name!r}")
        of_op = Given().filled(self.op)
        self.known = of_op.samples or ()
        self.given = replace(self.given, reference=self.given.reference or of_op.reference)

    def scope(self) -> config.Scope:
        backend = config.Choice(self.backend, "the kernel's backend")
        return config.Scope(listener=None, grad=True, backend=backend)

    def candidates(self) -> Iterable[Sample]:
        yield from self.known
        yield from guess.kernel(self.op)
        if not self.accepted:
            yield from calls().get(self.op.name, ())

    def call(self, xs: Any, options: Mapping[str, Any]) -> tuple[list[tg.Spec], dict[str, Any]]:
        """The specs and the parameters as kernels see them."""
        specs = [tg.Spec(x.shape, x.dtype) for x in xs]
        params = {**self.op.defaults, **options}
        if self.op.canonicalize is not None:
            params = self.op.canonicalize(*specs, **params)
        return specs, params

    def forward(self, sample: Sample) -> Function:
        def function(*xs: Tensor) -> Tensor:
            specs, params = self.call(xs, sample.options)
            spec = self.op.shape_rule(*specs, **params)
            if (supports := self.kernel.supports) is not None and not supports(*specs, **params):
                shapes = ", ".join(map(str, specs))
                raise ShapeError(f"kernel {self.name!r} does not support {shapes}")
            array = self.run(*[x.data for x in xs], **params)
            return Tensor(array, tg.config.get_backend(), spec)

        return function

    def portable(self, xs: list[Tensor], sample: Sample) -> Any:
        """What the op's portable kernel makes of the same, as an array."""
        if self.op.portable is None:
            return None
        _, params = self.call(xs, sample.options)
        return self.op.portable(tg.config.get_backend().xp, *[x.data for x in xs], **params)

    def serves(self, sample: Sample) -> bool:
        """What the portable kernel refuses, its like may refuse too."""
        try:
            self.portable(sample.tensors("float32"), sample)
        except Exception:  # an array library's own errors
            return False
        return True

    def supports(self, sample: Sample, dtype: str) -> bool:
        specs, params = self.call(sample.tensors(dtype), sample.options)
        return self.kernel.supports is None or self.kernel.supports(*specs, **params)

    def use(self, sample: Sample) -> str:
        names = ", ".join(f"x{i}" for i in range(len(sample.inputs)))
        options = "".join(f", {k}={text(v)}" for k, v in sample.options.items())
        if self.registry is None:
            arrays = ", ".join(f"x{i}.data" for i in range(len(sample.inputs)))
            return f"kernel({arrays}{options})"
        return (
            f'with tg.use(backend="{self.backend}", kernels={{"{self.op.name}": '
            f'"{self.kernel.name}"}}):\n    tg.ops.{self.op.name}({names}{options})'
        )


class BackendSubject(Subject):
    """A backend, made: its samples are those of the ops."""

    kind = "backend"


def find_op(name: str) -> Op[...]:
    """An op that was declared, by its name."""
    module = importlib.import_module(Op.declared[name])
    known = (tg.plugins.ops.get(name), getattr(ops, name, None), *vars(module).values())
    for thing in known:
        if isinstance(thing, Op) and thing.name == name:
            return thing
    raise tg.errors.PluginError(
        f"op {name!r} is declared in {module.__name__} and is no attribute of it; register it "
        "with the hook register_ops"
    )
