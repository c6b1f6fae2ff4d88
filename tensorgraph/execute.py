"""Running an op: lift Python numbers, choose the kernel, call it, remember what was done."""

from __future__ import annotations

from typing import Any, NamedTuple

from tensorgraph import config
from tensorgraph.backend import ABSTRACT, Backend, mixed_backends, select_kernel
from tensorgraph.discovery import PLUGINS
from tensorgraph.errors import DtypeError
from tensorgraph.op import Op
from tensorgraph.spec import Spec, is_floating, kind
from tensorgraph.tensor import Node, Number, Tensor

CACHE_LIMIT = 10_000


class Call(NamedTuple):
    """All that can be settled about a call before its data: the same for the same specs."""

    kernel: Any
    params: dict[str, Any]
    spec: Spec
    differentiable: bool


_calls: dict[Any, Call] = {}
_numbers: dict[Any, Tensor] = {}


def run(op: Op[...], inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
    """Run an op; remember it in the graph where a gradient may be asked for."""
    settings = config.current()
    for x in inputs:
        if not isinstance(x, Tensor):
            inputs = _lift(op, inputs, settings)
            break
    backend = inputs[0].backend if inputs else config.get_backend()
    for x in inputs:
        if x.backend is not backend:
            backend = _common_backend(op, inputs)
            break
    specs = tuple([x.spec for x in inputs])
    key = (op, backend, specs, settings.kernels, *params.items(), *map(type, params.values()))
    try:
        call = _calls[key]
    except KeyError:
        call = settle(op, backend, specs, params, settings)
        if len(_calls) >= CACHE_LIMIT:
            _calls.clear()
        _calls[key] = call
    except TypeError:  # a list among the parameters cannot be looked up
        call = settle(op, backend, specs, params, settings)
    out = Tensor(call.kernel(*[x.data for x in inputs], **call.params), backend, call.spec)
    if call.differentiable and settings.grad:
        for x in inputs:
            if x.node is not None:
                out.node = Node(op, call.params, inputs, out)
                break
    if settings.listener is not None:
        settings.listener.op(op, inputs, call.params, out)
    return out


def settle(
    op: Op[...],
    backend: Backend,
    specs: tuple[Spec, ...],
    params: dict[str, Any],
    settings: config.Settings,
) -> Call:
    """Check a call of an op by the specs of its inputs, and choose its kernel."""
    unknown = params.keys() - set(op.parameters)
    if unknown or (len(specs) > len(op.inputs) and not op.variadic):
        wrong = ", ".join(map(repr, sorted(unknown))) or "is given without its name"
        known = ", ".join(op.parameters) or "none"
        raise TypeError(
            f"{op.name}: no parameter {wrong}; it has {known} and takes {len(op.inputs)} tensors "
            "by position"
        )
    params = {**op.defaults, **params}
    if op.canonicalize is not None:
        params = op.canonicalize(*specs, **params)
    spec = op.shape_rule(*specs, **params)
    pinned = dict(settings.kernels).get(op.name)
    offered = PLUGINS.kernels_for(backend, op.name)
    kernel = select_kernel(op, backend, offered, specs, params, pinned)
    return Call(kernel, params, spec, op.rule is not None and is_floating(spec.dtype))


def _lift(op: Op[...], inputs: tuple[Any, ...], settings: config.Settings) -> tuple[Tensor, ...]:
    """A Python number takes the dtype and backend of the tensors it meets."""
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    backend = tensors[0].backend if tensors else config.get_backend()
    dtype = next((x.dtype for x in tensors if x.dtype != "bool"), None)
    lifted = []
    for x in inputs:
        if not isinstance(x, Tensor):
            default = settings.dtype.value
            plain = type(x) in (bool, int, float)
            key = (backend, dtype, default, type(x), x or repr(x)) if plain else None  # -0.0 is 0.0
            found = _numbers.get(key)
            if found is None:
                found = _number(op, x, dtype, backend, default)
                if plain:
                    _numbers[key] = found
            x = found
        lifted.append(x)
    return tuple(lifted)


def _number(op: Op[...], value: Any, dtype: str | None, backend: Backend, default: str) -> Tensor:
    if getattr(value, "shape", None) == ():
        value = value.item()  # a NumPy scalar
    natural = {bool: "bool", int: "int64", float: default}.get(type(value))
    if natural is None:
        raise TypeError(
            f"{op.name}: takes tensors and Python numbers, not {type(value).__name__}; "
            "wrap it: tg.tensor(…), or name the parameter that it is"
        )
    dtype = dtype or natural
    if kind(natural) > kind(dtype):
        raise DtypeError(
            f"{op.name}: the number {value!r} does not fit {dtype}; cast the tensor first: "
            "tg.ops.cast(x, dtype='float32')"
        )
    if len(_numbers) >= CACHE_LIMIT:
        _numbers.clear()
    return Number(backend.asarray(value, dtype), backend, Spec((), dtype))


def _common_backend(op: Op[...], inputs: tuple[Tensor, ...]) -> Backend:
    if any(x.backend is ABSTRACT for x in inputs):
        return ABSTRACT  # a model is being shaped: its parameters have values, its input has none
    raise mixed_backends(op.name, inputs)


Op.run = run
PLUGINS.on_change.append(_calls.clear)  # a plugin may bring a kernel for an op that has run
