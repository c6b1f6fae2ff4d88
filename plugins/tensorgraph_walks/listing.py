"""A plan as text that reads like a program."""

from __future__ import annotations

import itertools
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tensorgraph import Spec, Tensor
from tensorgraph.program import Call, Outline, Task, Value
from tensorgraph_walks.text import names as names_of

WIDTH = 110
KEPT = "\xa0"  # a space at which no line ends
MOST = 24  # characters of a parameter
LONG = 30  # characters of the ops of a chain, from which on it gets a name where it comes again


def ops_of(task: Task) -> str:
    """The ops of a task in order, "add multiply*2"."""
    runs = [
        (name, len(list(run))) for name, run in itertools.groupby(c.op.name for c in task.calls)
    ]
    return " ".join(name if n == 1 else f"{name}*{n}" for name, n in runs)


USUAL = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
IN_SPEC = {"shape", "size", "dtype", "count", "keepdims"}  # the result shows them


def params_of(call: Call) -> str:
    """The parameters of a call that are not as usual and that its result does not show."""
    shown = []
    for name, x in _parts(call.params):
        parts = set(_flat(x))
        default = call.op.defaults.get(name, USUAL.get(name, ...))
        known = name in IN_SPEC or x == default or parts == {default}
        if not known and all(type(part) in (bool, int, float, str) for part in parts):
            text = str(parts.pop() if len(parts) == 1 else x).replace(" ", "")
            shown += [f"{name}={text}"] if len(text) <= MOST else []
    return ", ".join(shown)


def _parts(params: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Names and parameters; those in a named tuple by their own names."""
    pairs: list[tuple[str, Any]] = []
    for name, x in params.items():
        if isinstance(x, Spec):
            continue
        fields = x._asdict() if hasattr(x, "_asdict") else {name: x}
        pairs += [(field, part) for field, part in fields.items() if part is not False]
    return pairs


def _flat(x: Any) -> list[Any]:
    return [part for each in x for part in _flat(each)] if isinstance(x, tuple) else [x]


class Names:
    """What values are called, with signs that say where they lie."""

    def __init__(self, found: Outline, known: Mapping[str, Tensor] | None = None) -> None:
        """``known``: what tensors are called, if not w0, w1, …"""
        self.outline = found
        self.plain = names_of(found.program)
        called = {tensor: name for name, tensor in (known or {}).items()}
        state = found.program.state.items()
        self.plain |= {value: called[tensor] for value, tensor in state if tensor in called}

    def __getitem__(self, value: Value) -> str:
        found = self.outline
        root, mark = value, ""
        while root in found.views:
            root, mark = found.views[root], "'"
        sign = "~" if root in found.pieces else "+" if root in found.sums else ""
        return f"{sign}{self.plain[root]}{mark}"

    def made(self, value: Value) -> str:
        """An output, with the tensor in whose memory it lies."""
        old = self.outline.written.get(value)
        return self[value] if old is None else f"{self[value]}@{self.plain[old]}"


def listing(found: Outline) -> str:
    """The outline of a plan, to be read."""
    names = Names(found)
    program = found.program
    chains = _named_chains(found.tasks)
    body = []
    for i, stage in enumerate(found.stages):
        body += ["", f"stage {i}: {stage.what}"]
        for task in stage.tasks:
            body += _wrapped(statement(task, names, chains), "  ", "      ")
    body.append("")
    at = {tensor: names.plain[value] for value, tensor in program.state.items()}
    new = [
        f"{at.get(tensor, f'w{len(at) + i}')}{KEPT}<-{KEPT}{names[value]}"
        for i, (tensor, value) in enumerate(program.assigned.items())
        if value not in found.written
    ]
    new += [f"gradient of {at.get(x, 'x')} <- {names[g]}" for x, g in program.gradients.items()]
    body += _wrapped("; ".join(new), "", "      ")
    body += _wrapped(f"return {', '.join(names[x] for x in program.outputs)}", "", "      ")
    return "\n".join([*_head(found, names), *_legend(found, body), *_functions(chains), *body])


def statement(task: Task, names: Names, chains: Mapping[str, str]) -> str:
    """One task: "~y5: float32[8,4] = chain(~y2, w3: add relu)"."""
    # outputs of one shape are said together
    made = [
        f"{', '.join(names.made(x) for x in same)}: {spec}"
        for spec, same in itertools.groupby(task.outputs, key=lambda x: x.spec)
    ]
    return f"{'; '.join(made)} = {expression(task, names, chains)}"


def expression(task: Task, names: Names, chains: Mapping[str, str]) -> str:
    """What a task computes, "chain(~y2, w3: add relu)"."""
    if len(task.calls) == 1:
        (call,) = task.calls
        name = call.op.name if task.name == "chain" else task.name
        given = [*(names[x] for x in call.inputs), params_of(call)]
        return f"{name}({', '.join(filter(None, given))})"
    inputs = ", ".join(dict.fromkeys(names[x] for x in task.inputs))
    ops = ops_of(task)
    return f"{chains[ops]}({inputs})" if ops in chains else f"{task.name}({inputs}: {ops})"


def _named_chains(tasks: Sequence[Task]) -> dict[str, str]:
    """Names for the ops of long chains that come more than once."""
    times = Counter(ops_of(task) for task in tasks if len(task.calls) > 1)
    long = [ops for ops, n in times.items() if n > 1 and len(ops) >= LONG]
    return {ops: f"chain{i}" for i, ops in enumerate(long)}


def _functions(chains: Mapping[str, str]) -> list[str]:
    lines = [""] if chains else []
    for ops, name in chains.items():
        lines += _wrapped(f"{name}: {ops}", "", "    ")
    return lines


def headline(found: Outline) -> str:
    counts = [
        f"{n} {what}{'s' * (n != 1)}"
        for n, what in (
            (len(found.tasks), "task"),
            (len(found.stages), "stage"),
            (found.threads, "thread"),
        )
    ]
    return f"{counts[0]} in {counts[1]} on {counts[2]}"


def _head(found: Outline, names: Names) -> list[str]:
    program = found.program
    lines = [headline(found)]
    if found.memory:
        parts = [f"{size(n)} {what}" for what, n in found.memory.items()]
        lines += _wrapped(
            f"memory: {size(sum(found.memory.values()))} ({', '.join(parts)})", "", "  "
        )
    read = [*program.arguments, *(x for _, values in program.hosts for x in values)]
    alike: dict[Any, list[str]] = {}
    for value in (*read, *program.state, *program.added.values()):
        alike.setdefault((names.plain[value][0], value.spec), []).append(names.plain[value])
    for (_, spec), same in alike.items():
        lines += _wrapped(f"{spec}: {' '.join(same)}", "  ", "      ")
    return lines


SIGNS = {
    "~": "~y: a piece of the batch at a time",
    "+": "+y: each thread's share of a sum, then the sum",
    "'": "y': y seen in another shape",
    "@": "y@w: y where tensor w lies",
}


def _legend(found: Outline, body: Sequence[str]) -> list[str]:
    text = "\n".join(body)
    used = [meaning for sign, meaning in SIGNS.items() if sign in text]
    return _wrapped("; ".join(used), "", "") if used else []


def size(count: int) -> str:
    """Bytes in a unit that fits, "1.5 MiB"."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def operations(count: int) -> str:
    """Floating-point operations in a unit that fits, "1.5 MFLOPs"."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}FLOPs"
    return f"{count} FLOPs" if count else ""


def _wrapped(text: str, first: str, others: str) -> list[str]:
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(KEPT, " ") for line in lines]
