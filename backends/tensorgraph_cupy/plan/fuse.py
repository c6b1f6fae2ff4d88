"""Tasks that are one launch, or read their input once: a product or a convolution with its bias and
ReLU, a channel's mean with its variance, a loss with its gradient."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from tensorgraph.program import Value
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels import moments
from tensorgraph_cupy.plan.chains import Chained
from tensorgraph_cupy.plan.layout import Layout
from tensorgraph_cupy.plan.lower import label_loss
from tensorgraph_cupy.plan.products import Biased, convolution, product
from tensorgraph_cupy.plan.setting import Make, Setting
from tensorgraph_cupy.plan.tasks import Launch, Lowered, Places, Task


class Fusion:
    """What the rules look up, and the tasks that came of them."""

    def __init__(
        self, tasks: Sequence[Task], layout: Layout, results: Sequence[Value], setting: Setting
    ) -> None:
        self.tasks = list(tasks)
        self.layout = layout
        self.setting = setting
        self.readers = collections.Counter(layout.root(x) for task in tasks for x in task.inputs)
        self.readers.update(layout.root(x) for x in results)

    def replace(self, first: Task, second: Task, made: Task, *, at: Task) -> None:
        """Put one task in the place of two, where one of these is."""
        self.tasks[self.tasks.index(at)] = made
        self.tasks.remove(second if at is first else first)

    def maker(self, value: Value) -> Task | None:
        root = self.layout.root(value)
        return next((task for task in self.tasks if root in task.outputs), None)


def fused(
    tasks: Sequence[Task], layout: Layout, results: Sequence[Value], setting: Setting
) -> list[Task]:
    """The tasks, some of them one where there were two."""
    work = Fusion(tasks, layout, results, setting)
    for rule in (_biased, _with_variance, _with_gradient):
        for task in list(work.tasks):
            if task in work.tasks:
                rule(work, task)
    return work.tasks


def _biased(work: Fusion, chain: Task) -> None:
    """x @ y + bias, and relu of it; a convolution likewise."""
    names = [call.op.name for call in chain.calls]
    if not isinstance(chain, Chained) or names not in (["add"], ["add", "relu"]) or chain.sums:
        return
    whole, bias = chain.calls[0].inputs
    maker = work.maker(whole)
    if maker is None or whole in work.layout.views or work.readers[whole] != 1:
        return
    if len(chain.outputs) != 1 or len(maker.calls) > 1 or whole.spec.ndim < 2:
        return
    shape, own = whole.spec.shape, bias.spec.shape
    spread = (1,) * (len(shape) - len(own)) + own
    if spread != (1, shape[1], *(1 for _ in shape[2:])) or not work.layout.is_plain(bias):
        return
    (out,) = chain.outputs
    rule = {"matmul": product, "conv": convolution}.get(maker.calls[0].op.name)
    if rule is None or work.setting.floating(out, whole, bias) is None:
        return
    biased = Biased("bias_relu" if names[-1] == "relu" else "bias", bias, out)
    make = rule(maker.calls[0], work.setting, biased)
    if make is not None:
        calls = [*maker.calls, *chain.calls]
        work.replace(maker, chain, Lowered(maker.name, calls, make, [out]), at=chain)


def _with_variance(work: Fusion, mean: Task) -> None:
    """The mean and the variance of each channel."""
    if [call.op.name for call in mean.calls] != ["axis_mean"] or not isinstance(mean, Chained):
        return
    (x,), average = mean.calls[0].inputs, mean.calls[0].out
    shape, dtype = x.spec.shape, work.setting.floating(x)
    kept = (1, *shape[1:2], *(1 for _ in shape[2:]))
    if mean.kept != kept or dtype is None:
        return
    for task in work.tasks:
        if [call.op.name for call in task.calls] != ["axis_variance"]:
            continue
        (call,) = task.calls
        if call.inputs == (x, average):
            make = _moments(dtype, (x, average, call.out))
            made = Lowered("mean and variance", [*mean.calls, call], make)
            work.replace(mean, task, made, at=mean)
            return


def _moments(dtype: str, values: tuple[Value, Value, Value]) -> Make:
    channels = values[0].spec.shape[1]
    rows = values[0].spec.size // channels

    def make(places: Places) -> Launch:
        x, average, variance = (places.address(value) for value in values)

        def run(device: Device) -> None:
            space = places.workspace(device)
            moments.moments(device, dtype, rows, channels, x, average, variance, space)

        return run

    return make


def _with_gradient(work: Fusion, loss_task: Task) -> None:
    """The losses and their gradient, where nobody needs the losses before."""
    if [call.op.name for call in loss_task.calls] != ["label_cross_entropy"]:
        return
    (call,) = loss_task.calls
    for task in work.tasks:
        if [c.op.name for c in task.calls] != ["label_cross_entropy_input"]:
            continue
        (back,) = task.calls
        start, end = work.tasks.index(loss_task), work.tasks.index(task)
        between = [x for each in work.tasks[start : end + 1] for x in each.inputs]
        wanted = any(work.layout.root(x) is call.out for x in between)
        same = back.inputs[1:] == call.inputs and back.params == call.params
        if start > end or wanted or not same or not isinstance(task, Lowered):
            continue
        x, labels = call.inputs
        both = {"losses": call.out, "g": back.inputs[0], "gradient": back.out}
        make = label_loss(work.setting, x, labels, call.params, **both)
        if make is not None:
            made = Lowered("loss and gradient", [call, back], make)
            work.replace(loss_task, task, made, at=task)
        return
