"""Weight gradients on a second stream: nobody but the optimizer waits for them.

On a GPU that a layer's own kernels do not fill, they run beside what follows. What they read has
to stay until they have run, so activations and gradients live longer, and memory grows: it is done
only where the environment variable asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from tensorgraph.program import Value
from tensorgraph_cupy.plan.layout import Layout
from tensorgraph_cupy.plan.tasks import Lowered, Task

VARIABLE = "TENSORGRAPH_SIDE_STREAM"  # "1": weight gradients go there
GAP = 3  # tasks that have to come before the one that waits: else nothing would run beside


def enabled() -> bool:
    return os.environ.get(VARIABLE, "") not in ("", "0")


def set_aside(tasks: Sequence[Task], layout: Layout) -> dict[Task, int]:
    """The tasks that go to the second stream → the number of the task before which the first
    stream waits for them, which may be one past the last."""
    found: dict[Task, int] = {}
    for i, task in enumerate(tasks):
        if not _is_weight_gradient(task, layout):
            continue
        made = set(task.outputs)
        join = next(
            (j for j in range(i + 1, len(tasks)) if _needs(tasks[j], made, layout)), len(tasks)
        )
        if join - i > GAP:
            found[task] = join
    return found


def _needs(task: Task, made: set[Value], layout: Layout) -> bool:
    """Whether a task reads this, or ends the graph."""
    return not task.captured or any(layout.root(x) in made for x in task.inputs)


def _is_weight_gradient(task: Task, layout: Layout) -> bool:
    """A convolution's, or a product along the samples: xᵀ @ y."""
    if not isinstance(task, Lowered):
        return False
    call = task.calls[0]  # a bias' gradient may come with it
    if call.op.name != "matmul":
        return call.op.name == "conv_weight"
    strides = [layout[x].strides for x in call.inputs]
    return call.out.spec.ndim == 2 and len(strides[0]) == 2 and strides[0][0] == 1 < strides[0][1]
