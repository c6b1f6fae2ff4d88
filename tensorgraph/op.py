"""The op: the one place where an operation's shape rule, gradient rule and kernel meet."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, ParamSpec, TypeVar

from tensorgraph.errors import GradientError

if TYPE_CHECKING:
    from tensorgraph.spec import Spec
    from tensorgraph.tensor import Tensor

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])


class Reads(NamedTuple):
    """What a gradient rule reads, taken from the names of its arguments."""

    arguments: tuple[str, ...]  # after g, in order: "out", or an input's name
    params: tuple[str, ...]
    data: frozenset[str]  # those of which it reads the values, not only shape and dtype


class Op(Generic[P]):
    """An operation on tensors.

    Arrays are positional and parameters are keyword-only, so the engine can tell them apart
    without asking the op.
    """

    run: ClassVar[Callable[..., Tensor]]  # tensor.py provides it

    def __init__(self, shape_rule: Callable[P, Spec]) -> None:
        self.name = shape_rule.__name__
        self.shape_rule = shape_rule
        self.signature = inspect.signature(shape_rule)
        parameters = self.signature.parameters.values()
        self.inputs = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.defaults = {
            p.name: p.default
            for p in parameters
            if p.kind is p.KEYWORD_ONLY and p.default is not p.empty
        }
        self.portable: Callable[..., Any] | None = None
        self.canonicalize: Callable[..., dict[str, Any]] | None = None
        self.rule: Callable[..., Any] | None = None
        self.reads = Reads((), (), frozenset())
        self.count_flops: Callable[..., int] | None = None
        self.__name__ = self.name
        self.__doc__ = shape_rule.__doc__
        self.__signature__ = self.signature

    def kernel(self, fn: F) -> F:
        """Give the op a kernel for every backend: ``fn(xp, *arrays, **params)``."""
        self.portable = fn
        return fn

    def canonical(self, fn: F) -> F:
        """Bring the parameters into one form: ``fn(*specs, **params) -> params``.

        Users may write ``stride=2``; the shape rule, the kernels and the gradient rule see
        ``stride=(2, 2)``. Canonical values are hashable.
        """
        self.canonicalize = fn
        return fn

    def vjp(self, fn: F) -> F:
        """Give the op its gradient rule, written in ops and so differentiable in its turn.

        ``fn(g, …)`` takes the gradient of the output and then, by name, what it reads: ``out``,
        inputs, parameters. Only what it names is kept until the backward pass, and of an
        argument annotated ``Shaped`` only the shape and dtype. It returns a gradient for each
        input: a tensor, None for zero, or a function of no arguments that makes the tensor,
        called only where that gradient is wanted.
        """
        parameters = list(inspect.signature(fn).parameters.values())
        arguments = [p for p in parameters if p.kind is not p.KEYWORD_ONLY][1:]
        unknown = {p.name for p in arguments} - {"out", *self.inputs}
        if unknown:
            raise GradientError(
                f"the gradient rule of op {self.name!r} names {', '.join(sorted(unknown))}; "
                f"it may name out, {', '.join(self.inputs)} and, keyword-only, parameters"
            )
        self.rule = fn
        self.reads = Reads(
            tuple(p.name for p in arguments),
            tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY),
            frozenset(p.name for p in arguments if p.annotation not in ("Shaped", "Spec")),
        )
        return fn

    def flops(self, fn: F) -> F:
        """Say how many floating-point operations a call costs: ``fn(out, *inputs, **params)``.

        Without it an op counts one for each element of its output.
        """
        self.count_flops = fn
        return fn

    def gradients(self, g: Tensor, out: Any, saved: Sequence[Any], params: Any) -> Sequence[Any]:
        """What the rule returns, one entry an input; ``saved`` are the inputs as kept."""
        if self.rule is None:
            raise GradientError(f"op {self.name!r} has no gradient rule")
        named = dict(zip(self.inputs, saved, strict=False), out=out)
        arguments: list[Any] = []
        for name in self.reads.arguments:
            if self.variadic and name == self.inputs[-1]:
                arguments.extend(saved[len(self.inputs) - 1 :])
            else:
                arguments.append(named[name])
        found = self.rule(g, *arguments, **{name: params[name] for name in self.reads.params})
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(saved):
            raise GradientError(
                f"the gradient rule of op {self.name!r} returned {len(found)} gradients "
                f"for {len(saved)} inputs"
            )
        return found

    def __call__(self, *inputs: P.args, **params: P.kwargs) -> Tensor:
        return Op.run(self, inputs, params)

    def __repr__(self) -> str:
        return f"<op {self.name}{self.signature}>"


def op(shape_rule: Callable[P, Spec]) -> Op[P]:
    """Declare an op by its shape rule; the docstring becomes the op's documentation."""
    return Op(shape_rule)
