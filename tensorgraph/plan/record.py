"""Recording a step: every op that runs, forward, backward and update, in order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tensorgraph import config
from tensorgraph.errors import RecordingError
from tensorgraph.op import Op
from tensorgraph.tensor import Tensor

HERE = str(Path(__file__).parents[1])


class Recorded(NamedTuple):
    """One op that ran: which, on what, with what result."""

    op: Op[...]
    inputs: tuple[Tensor, ...]
    params: Mapping[str, Any]
    out: Tensor


class Recording(config.Listener):
    """The ops of one run of a step. ``print`` it to read them as a program."""

    def __init__(self) -> None:
        self.calls: list[Recorded] = []

    def op(
        self, op: Op[...], inputs: tuple[Tensor, ...], params: Mapping[str, Any], out: Tensor
    ) -> None:
        self.calls.append(Recorded(op, inputs, params, out))

    def host_read(self, what: str, tensor: Tensor) -> None:
        raise RecordingError(
            f"{what} reads the value of {tensor.spec} while a step is being recorded"
            f"{users_line()}: a replay would not read it again. Return the tensor and read it "
            "after the step, or decide with tg.ops.where"
        )

    def __str__(self) -> str:
        names: dict[Tensor, str] = {}
        lines = []
        for i, call in enumerate(self.calls):
            arguments = [names.setdefault(x, f"x{len(names)}") for x in call.inputs]
            arguments += [f"{name}={value}" for name, value in call.params.items()]
            names[call.out] = f"y{i}"
            lines.append(f"y{i}: {call.out.spec} = {call.op.name}({', '.join(arguments)})")
        return "\n".join(lines)


def record(step: Callable[..., Any], *arguments: Any) -> Recording:
    """Run ``step`` once and return what it did. Reading a value in it is a ``RecordingError``."""
    recording = Recording()
    with config.listen(recording):
        step(*arguments)
    return recording


def users_line() -> str:
    """ " (file, line N)" of the innermost caller outside tensorgraph."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(HERE):
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return f" ({frame.f_code.co_filename}, line {frame.f_lineno})" if frame else ""
