"""The op: the one place where an operation's shape rule, gradient rule and kernel meet."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, ParamSpec, TypeVar

from tensorgraph.errors import ConflictError, GradientError

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

    run: ClassVar[Callable[..., Tensor]]  # execute.py provides it
    declared: ClassVar[dict[str, str]] = {}  # name → module: kernels find their op by its name

    def __init__(self, shape_rule: Callable[P, Spec]) -> None:
        self.name = shape_rule.__name__
        module = Op.declared.setdefault(self.name, shape_rule.__module__)
        if module != shape_rule.__module__:
            raise ConflictError(
                f"op {self.name!r} is declared in {module} and again in "
                f"{shape_rule.__module__}; kernels find their op by its name: rename one"
            )
        self.shape_rule = self.__wrapped__ = shape_rule
        self.inputs, self.parameters, self.variadic = _arguments(shape_rule)
        self.defaults: dict[str, Any] = getattr(shape_rule, "__kwdefaults__", None) or {}
        self.portable: Callable[..., Any] | None = None
        self.canonicalize: Callable[..., dict[str, Any]] | None = None
        self.rule: Callable[..., Any] | None = None
        self.reads = Reads((), (), frozenset())
        self.count_flops: Callable[..., int] | None = None
        self.__name__ = self.name
        self.__doc__ = shape_rule.__doc__

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
        inputs, parameters (``**params``: all of them). Only what it names is kept until the
        backward pass, and of an argument annotated ``Shaped`` only the shape and dtype. It returns
        a gradient for each input: a tensor, None for zero, or a function of no arguments that makes
        the tensor, called only where that gradient is wanted.
        """
        (_, *arguments), params, _ = _arguments(fn)
        unknown = set(arguments) - {"out", *self.inputs}
        if unknown:
            raise GradientError(
                f"the gradient rule of op {self.name!r} names {', '.join(sorted(unknown))}; "
                f"it may name out, {', '.join(self.inputs)} and, keyword-only, parameters"
            )
        if fn.__code__.co_flags & inspect.CO_VARKEYWORDS:
            params = self.parameters
        self.rule = fn
        data = frozenset(name for name in arguments if not _is_spec(fn.__annotations__.get(name)))
        self.reads = Reads(tuple(arguments), params, data)
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
        return f"<op {self.name}{inspect.signature(self)}>"


def _arguments(fn: Any) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """The names of a function's positional and of its keyword-only arguments, and whether the last
    of the former is ``*args``. ``inspect.signature`` says the same in fifteen times as long, which
    the import of tensorgraph would feel: it declares every op."""
    code = fn.__code__
    variadic = bool(code.co_flags & inspect.CO_VARARGS)
    keyword_only = code.co_argcount + code.co_kwonlyargcount
    rest = code.co_varnames[keyword_only : keyword_only + variadic]
    names = code.co_varnames[:keyword_only]
    return names[: code.co_argcount] + rest, names[code.co_argcount :], variadic


def _is_spec(annotation: Any) -> bool:
    """Whether an argument is annotated ``Shaped`` or ``Spec``, as a class or as a string."""
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return name.rpartition(".")[2] in ("Shaped", "Spec")


def op(shape_rule: Callable[P, Spec]) -> Op[P]:
    """Declare an op by its shape rule; the docstring becomes the op's documentation."""
    return Op(shape_rule)
