"""A program as it was recorded, in words."""

from __future__ import annotations

from tensorgraph.program import Program, Value
from tensorgraph.tensor import Tensor


def names(program: Program) -> dict[Value, str]:
    """A short name for every value: x0 an argument, w0 state, h0 from the host, y0 computed;
    a number that the code holds is its own name."""
    found = {value: f"x{i}" for i, value in enumerate(program.arguments)}
    found.update({value: f"w{i}" for i, value in enumerate(program.state)})
    made = [value for _, values in program.hosts for value in values]
    found.update({value: f"h{i}" for i, value in enumerate(made)})
    found.update({value: f"g{i}" for i, value in enumerate(program.added.values())})
    found.update(
        {value: _shown(x, f"c{i}") for i, (value, x) in enumerate(program.constants.items())}
    )
    found.update({call.out: f"y{i}" for i, call in enumerate(program.calls)})
    return found


def text(program: Program) -> str:
    """A line for each call, then what is written and returned."""
    named = names(program)
    lines = []
    for call in program.calls:
        arguments = [named[x] for x in call.inputs]
        arguments += [f"{name}={value}" for name, value in call.params.items()]
        lines.append(f"{named[call.out]}: {call.out.spec} = {call.op.name}({', '.join(arguments)})")
    at = {tensor: named[value] for value, tensor in program.state.items()}
    for i, (tensor, value) in enumerate(program.assigned.items()):
        lines.append(f"{at.get(tensor, f'w{len(at) + i}')} <- {named[value]}")
    lines += [f"gradient of {at.get(x, 'x')} <- {named[g]}" for x, g in program.gradients.items()]
    lines.append(f"return {', '.join(named[x] for x in program.outputs)}")
    return "\n".join(lines)


def _shown(x: Tensor, otherwise: str) -> str:
    return f"{x.backend.to_host(x.data).item():g}" if x.shape == () else otherwise
