"""What a plan consists of: tasks, which know what they read and write, and are bound to memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tensorgraph.program import Call, Value
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.move import Flat
from tensorgraph_cupy.kernels.view import View

Launch = Callable[[Device], None]  # asks a device (that is: its stream) for all of a task


class Places(Protocol):
    """Where the values of a plan are, once its memory is laid out."""

    def address(self, value: Value) -> int:
        """Where its first element is."""

    def dtype(self, value: Value) -> str:
        """In which its elements are stored."""

    def view(self, value: Value) -> View: ...

    @property
    def device(self) -> Device: ...

    def workspace(self, device: Device) -> int:
        """Where reductions on this device's stream leave their parts."""

    def scratch(self, device: Device, size: int) -> int:
        """So many bytes for what a task on this device's stream leaves to itself."""

    def array(self, value: Value) -> Any:
        """An array of the backend's over its memory."""


class Task:
    """Calls that are launched together."""

    captured = True  # whether a CUDA graph can hold it

    def __init__(self, name: str, calls: Sequence[Call], outputs: Sequence[Value]) -> None:
        made = {call.out for call in calls}
        self.name = name
        self.calls = tuple(calls)
        inputs = [x for call in calls for x in call.inputs]
        self.inputs = tuple(dict.fromkeys(x for x in inputs if x not in made))
        self.outputs = tuple(outputs)

    def bind(self, places: Places) -> Launch:
        """Everything about the launch that does not change from run to run."""
        raise NotImplementedError

    def in_place(self, value: Value, out: Value) -> bool:
        """Whether an output may lie where this input does."""
        return False


class Lowered(Task):
    """One call, or a few, by a kernel of their own: ``make`` binds it."""

    def __init__(
        self,
        name: str,
        calls: Sequence[Call],
        make: Callable[[Places], Launch],
        outputs: Sequence[Value] | None = None,
    ) -> None:
        super().__init__(name, calls, [c.out for c in calls] if outputs is None else outputs)
        self.make = make

    def bind(self, places: Places) -> Launch:
        return self.make(places)


class Eager(Task):
    """A call that no launch function serves: the backend's own kernel, between two graphs."""

    captured = False

    def __init__(self, call: Call, kernel: Any, params: Any) -> None:
        super().__init__(f"{call.op.name}, run by its own kernel", [call], [call.out])
        self.kernel, self.params = kernel, params

    def bind(self, places: Places) -> Launch:
        (call,) = self.calls

        def run(device: Device) -> None:
            arrays = [places.array(x) for x in call.inputs]
            given = [
                array.astype("float32") if places.dtype(x) == "bfloat16" else array
                for x, array in zip(call.inputs, arrays, strict=True)
            ]
            found = self.kernel(*given, **self.params)
            out = places.array(call.out)
            out[...] = found.reshape(out.shape)  # batches of a product may lie as one

        return run


def flat(view: View) -> Flat:
    """As copies see it, which are told the sizes apart."""
    return Flat(view.address, view.dtype, view.strides)
